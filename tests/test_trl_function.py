"""The length rewards in somebody else's script: TRL's own trainer on a tiny random model, and what is refused."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from tiny_training import EOS, tiny_model, tiny_tokenizer
from trl import GRPOConfig, GRPOTrainer

from effreason.choices import BudgetPenalty, DifficultyTargetPenalty, MinMaxPenalty, Penalty, SigmoidPenalty
from effreason.errors import UserError
from effreason.records import Judgement, Outcome, Verdict
from effreason.rewards import Terms, shape
from effreason.rewards.sigmoid import sigmoid_rewards
from effreason.rewards.trl_function import LengthReward, length_reward

MAX_TOKENS = 20
GROUP = 4


def by_first_letter(text: str, gold: str) -> Judgement:
    """Right where the completion begins with one of the gold letters; unjudged where it is empty."""
    letter = text[:1] or None
    verdict = Verdict.UNJUDGED if letter is None else Verdict.RIGHT if letter in gold else Verdict.WRONG
    return Judgement(verdict, letter)


def reward_of(penalty: Penalty, alpha: float = 0.4, group_size: int = 2) -> LengthReward:
    return length_reward(penalty, alpha, group_size=group_size, max_tokens=10, eos_token_id=EOS, grade=by_first_letter)


class Watched:
    """A reward function of TRL's that keeps what it was shown and what it answered."""

    def __init__(self, reward: LengthReward) -> None:
        self.reward = reward
        self.calls: list[tuple[dict[str, list[object]], list[float | None]]] = []

    def __call__(self, **columns: list[object]) -> list[float | None]:
        rewards = self.reward(**columns)
        self.calls.append((columns, rewards))
        return rewards


@pytest.mark.parametrize(
    ("penalty", "alpha"), [(SigmoidPenalty(), 0.3), (DifficultyTargetPenalty(), 0.3), (BudgetPenalty(), 0.02)]
)
def test_a_trainer_of_trl_learns_by_it(tmp_path: Path, penalty: Penalty, alpha: float) -> None:
    watched = Watched(
        length_reward(penalty, alpha, group_size=GROUP, max_tokens=MAX_TOKENS, eos_token_id=EOS, grade=by_first_letter)
    )
    rows = [{"prompt": word, "answer": "abcdefgh", "budget": 4 + place} for place, word in enumerate("abcdefghij")]
    trainer = GRPOTrainer(
        model=tiny_model(),
        processing_class=tiny_tokenizer(),
        reward_funcs=[watched],
        train_dataset=Dataset.from_list(rows),
        args=GRPOConfig(
            output_dir=str(tmp_path),
            max_steps=1,
            per_device_train_batch_size=2 * GROUP,
            gradient_accumulation_steps=2,
            num_generations=GROUP,
            max_completion_length=MAX_TOKENS,
            report_to=[],
            use_cpu=True,
            bf16=False,
        ),
    )
    trainer.train()

    (columns, rewards), *_ = watched.calls
    outcomes = [
        Outcome(len(ids) - (ids[-1] == EOS), by_first_letter(text, "abcdefgh").verdict)
        if ids[-1] == EOS
        else Outcome(len(ids), Verdict.WRONG)
        for ids, text in zip(columns["completion_ids"], columns["completions"], strict=True)
    ]
    groups = [outcomes[start : start + GROUP] for start in range(0, len(outcomes), GROUP)]
    terms = Terms(MAX_TOKENS, tuple(columns["budget"][::GROUP]))
    assert rewards == [reward for row in shape(penalty, groups, alpha, terms) for reward in row]
    assert len(groups) == 4 and len(set(rewards) - {None, 0.0, 0.5, 1.0}) >= 1, "these rewards show no length"
    assert trainer.state.log_history[0]["reward"] == pytest.approx(
        sum(reward for reward in rewards if reward is not None) / sum(reward is not None for reward in rewards)
    )


def test_lengths_are_the_samplers_own_and_what_has_not_ended_is_wrong() -> None:
    rewards = reward_of(SigmoidPenalty())(
        prompts=["p"] * 2 + ["q"] * 2,
        completions=["a b", "a b c d", "a b", ""],
        completion_ids=[[2, 3, EOS], [2, 3, 4, 5, EOS], [2, 3], [EOS]],
        answer=["a"] * 4,
    )
    right, wrong = Verdict.RIGHT, Verdict.WRONG
    expected = sigmoid_rewards([Outcome(2, right), Outcome(4, right)], 0.4)
    assert rewards == [*expected, *sigmoid_rewards([Outcome(2, wrong), Outcome(0, Verdict.UNJUDGED)], 0.4)]
    assert rewards[2:] == [0.0, None]


def test_the_last_message_of_a_conversation_is_judged() -> None:
    conversation = [{"role": "user", "content": "a?"}]
    rewards = reward_of(MinMaxPenalty())(
        prompts=[conversation] * 2,
        completions=[[{"role": "assistant", "content": "a b"}], [{"role": "assistant", "content": "b"}]],
        completion_ids=[[2, 3, EOS], [3, EOS]],
        answer=["a", "a"],
        trainer_state=None,
    )
    assert rewards == pytest.approx([1 - 0.2, 0.0])


def test_any_of_several_tokens_may_end_a_completion() -> None:
    reward = length_reward(SigmoidPenalty(), 0.0, group_size=2, max_tokens=9, eos_token_id=[1, 7])
    ids = [[2, 7], [2, 1]]
    assert reward(["p", "p"], ["the answer is 4", "the answer is 5"], ids, answer=["4", "4"]) == [1.0, 0.0]


def test_more_than_one_process_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    reward = reward_of(SigmoidPenalty())
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match=r"2 processes, TRL.*in one process, or train with `effreason`"):
        reward(prompts=["p"] * 2, completions=["a"] * 2, completion_ids=[[2, EOS]] * 2, answer=["a"] * 2)
    with pytest.raises(UserError, match="2 processes, TRL"):
        reward_of(SigmoidPenalty())


def test_processes_that_torch_knows_of_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 3)
    with pytest.raises(UserError, match="3 processes, TRL"):
        reward_of(SigmoidPenalty())


@pytest.mark.parametrize("prompts", [["p", "p", "q"], ["p", "q", "q", "p"], ["p", "q"]])
def test_groups_that_are_not_whole_are_refused_with_the_remedy(prompts: list[str]) -> None:
    many = len(prompts)
    with pytest.raises(UserError, match="Set group_size to num_generations"):
        reward_of(SigmoidPenalty())(prompts, ["a"] * many, [[2, EOS]] * many, answer=["a"] * many)


def test_rows_without_what_the_reward_needs_are_refused_with_the_remedy() -> None:
    with pytest.raises(UserError, match="no column `answer`"):
        reward_of(SigmoidPenalty())(["p"] * 2, ["a"] * 2, [[2, EOS]] * 2)
    with pytest.raises(UserError, match="column `budget`"):
        reward_of(BudgetPenalty())(["p"] * 2, ["a"] * 2, [[2, EOS]] * 2, answer=["a"] * 2)


def test_an_alpha_that_the_penalty_does_not_bear_is_refused() -> None:
    with pytest.raises(ValueError, match="usual values are"):
        reward_of(SigmoidPenalty(), alpha=1.0)


def test_it_brings_in_no_framework() -> None:
    program = (
        "import effreason.rewards.trl_function, sys; print(*{'torch', 'transformers', 'trl'}.intersection(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


def test_the_script_of_the_manual_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manual = (Path(__file__).parent.parent / "docs" / "penalties.md").read_text(encoding="utf-8")
    script = manual.split("```python\n")[1].split("```")[0]
    brief = script.replace("max_steps=20", "max_steps=1").replace("_batch_size=64", "_batch_size=16")
    monkeypatch.chdir(tmp_path)
    variables: dict[str, object] = {}
    exec(compile(brief, "docs/penalties.md", "exec"), variables)  # noqa: S102
    trainer = variables["trainer"]
    assert isinstance(trainer, GRPOTrainer)
    assert trainer.state.log_history[0]["rewards/LengthReward/mean"] > 0.5
