"""The length penalties as reward functions of TRL, for a training script of one's own.

    GRPOTrainer(..., reward_funcs=[length_reward(SigmoidPenalty(), 0.2, group_size=8, max_tokens=1024, eos_token_id=2)])

TRL hands a reward function the completions of one process only, and a group may straddle processes: a reward that
depends on the group would come out wrong without a word. So this one works in a training of one process and refuses
any other; the project's own training shapes rewards where the groups are whole, on any number of processes.

Lengths are the sampler's own token counts, without the token that ends a completion; a completion that does not end
with it is truncated, hence wrong. One that cannot be judged gets None, which TRL leaves out of the group's statistics.
Nothing here imports TRL or torch.
"""

import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from effreason.choices import Penalty, check_alpha
from effreason.errors import UserError
from effreason.grading import grade_all
from effreason.records import Judgement, Outcome, Verdict
from effreason.rewards import Terms, shape

Written = str | Sequence[Mapping[str, object]]
"""A completion as TRL passes it: text, or the messages of a conversation."""

Grade = Callable[[str, str], Judgement]
"""A function that judges the text of one completion by the gold answer."""


@dataclass(frozen=True)
class LengthReward:
    """A reward function of TRL's `GRPOTrainer`. Made by `length_reward`."""

    penalty: Penalty
    alpha: float
    group_size: int
    max_tokens: int
    eos_token_ids: frozenset[int]
    grade: Grade | None

    def __call__(
        self,
        prompts: Sequence[object],
        completions: Sequence[Written],
        completion_ids: Sequence[Sequence[int]],
        answer: Sequence[str] | None = None,
        budget: Sequence[int] | None = None,
        **_: object,
    ) -> list[float | None]:
        """Return one reward per completion, in order; None for those that could not be judged.

        `answer` and `budget` are columns of the training rows: the gold answer alone, and the tokens that the prompt
        allows, where it names a budget.

        Raises:
            UserError: more than one process trains, the groups are not whole, or a column is missing.
        """
        _refuse_several_processes()
        starts = self._starts(prompts)
        if answer is None:
            raise UserError("The training rows have no column `answer`.", "Add one that holds only the gold answer.")
        outcomes = self._outcomes(completions, completion_ids, answer)
        groups = [outcomes[start : start + self.group_size] for start in starts]
        budgets = None if budget is None else tuple(budget[start] for start in starts)
        shaped = shape(self.penalty, groups, self.alpha, Terms(self.max_tokens, budgets))
        return [reward for group in shaped for reward in group]

    def _starts(self, prompts: Sequence[object]) -> range:
        """Return the index at which each group begins."""
        starts = range(0, len(prompts), self.group_size)
        if any(
            list(prompts[start : start + self.group_size]) != [prompts[start]] * self.group_size for start in starts
        ):
            raise UserError(
                f"The {len(prompts)} completions do not form whole groups of {self.group_size} per prompt.",
                "Set group_size to num_generations (and num_generations_eval) of the GRPOConfig.",
            )
        return starts

    def _outcomes(
        self, completions: Sequence[Written], completion_ids: Sequence[Sequence[int]], answers: Sequence[str]
    ) -> list[Outcome]:
        ended = [bool(ids) and ids[-1] in self.eos_token_ids for ids in completion_ids]
        texts = [_text(completion) if end else "" for completion, end in zip(completions, ended, strict=True)]
        judged = iter(
            self._judged([(text, gold) for text, gold, end in zip(texts, answers, ended, strict=True) if end])
        )
        return [
            Outcome(len(ids) - end, next(judged).verdict if end else Verdict.WRONG)
            for ids, end in zip(completion_ids, ended, strict=True)
        ]

    def _judged(self, pairs: list[tuple[str, str]]) -> list[Judgement]:
        return grade_all(pairs) if self.grade is None else [self.grade(text, gold) for text, gold in pairs]


def length_reward(
    penalty: Penalty,
    alpha: float,
    *,
    group_size: int,
    max_tokens: int,
    eos_token_id: int | Collection[int],
    grade: Grade | None = None,
) -> LengthReward:
    """Return correctness less the length penalty, as an entry of `GRPOTrainer(reward_funcs=[...])`.

    The rows need a column `answer` with the gold answer alone, and for the budget penalty a column `budget`.

    Args:
        group_size: completions of one prompt, `num_generations` of the GRPOConfig.
        max_tokens: its `max_completion_length`.
        eos_token_id: the token that ends a completion, or all that do.
        grade: judges a text by the gold answer; None takes the project's own grader.

    Raises:
        UserError: more than one process trains.
        ValueError: alpha is outside the penalty's range.
    """
    _refuse_several_processes()
    check_alpha(penalty, alpha)
    ends = {eos_token_id} if isinstance(eos_token_id, int) else eos_token_id
    return LengthReward(penalty, alpha, group_size, max_tokens, frozenset(ends), grade)


def _text(completion: Written) -> str:
    return completion if isinstance(completion, str) else str(completion[-1]["content"] or "")


def _refuse_several_processes() -> None:
    if (count := max(int(os.environ.get("WORLD_SIZE") or 1), _torch_processes())) > 1:
        raise UserError(
            f"With {count} processes, TRL shows a length reward only its own process's part of each group.",
            "Run the script in one process, or train with `effreason`, which shapes rewards after gathering them.",
        )


def _torch_processes() -> int:
    """Return torch.distributed's process count if it is in use, else 1; rewards need no framework of their own."""
    torch_distributed = sys.modules.get("torch.distributed")
    if torch_distributed and torch_distributed.is_available() and torch_distributed.is_initialized():
        return int(torch_distributed.get_world_size())
    return 1
