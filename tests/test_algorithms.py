"""What each algorithm learns, on a model of twelve words; and the recipes by name."""

from pathlib import Path

import pytest
import torch
from tiny_training import Run, all_right, by_first_letter, metrics_of, tiny_spec, weights_of

from effreason.choices import (
    AccuracyConstrained,
    DropBelowAlpha,
    KlInReward,
    Lora,
    Ppo,
    SequenceClip,
    SftShortest,
    TruncationPenalty,
)
from effreason.frozen import Frozen
from effreason.generation import Limits, Request
from effreason.recipes import RECIPES
from effreason.records import Judgement, Verdict
from effreason.specs import Training


@pytest.mark.parametrize(
    "settings",
    [
        {"algorithm": Ppo(), "updates_per_step": 2},
        {"objective": SequenceClip(), "updates_per_step": 2},
        {"overlap": True},
        {"filter": DropBelowAlpha(threshold=0.1)},
        {"kl": KlInReward(weight=1e-3)},
        {"penalty": TruncationPenalty(), "max_tokens": 40},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_tokens_fall_when_short_answers_earn_more(tmp_path: Path, settings: dict[str, object]) -> None:
    usual = {"steps": 15, "completions_per_prompt": 8, "learning_rate": 1e-2, "checkpoint_every": 100}
    spec = tiny_spec(alpha=0.8, **(usual | settings))
    lines = metrics_of(Run(tmp_path, spec)(all_right), tmp_path / "kept")
    tokens = [line["tokens"] for line in lines]
    assert sum(tokens[-3:]) < 0.75 * sum(tokens[:3])


@pytest.mark.parametrize("weights", [None, Lora(rank=4, scale=8)])
def test_supervised_learning_samples_from_the_starting_model_and_makes_its_shortest_likelier(
    tmp_path: Path, weights: Frozen | None
) -> None:
    settings = {} if weights is None else {"weights": weights}
    spec = tiny_spec(
        algorithm=SftShortest(), steps=6, completions_per_prompt=8, learning_rate=1e-2, updates_per_step=2, **settings
    )
    run = Run(tmp_path, spec, of_the_start=True)
    lines = metrics_of(run(all_right), tmp_path / "kept")
    assert {line["filtered"] for line in lines} == {7 / 8}
    requests = [Request(question.prompt_ids, 16, 1) for question in run.collector.questions]
    limits = Limits(1.0, 1.0, spec.training.max_tokens)
    after = [one.tokens for group in run.sampler.generate(requests, limits) for one in group]
    before = [line["tokens"] for line in lines]
    assert sum(after) / len(after) < 0.75 * sum(before) / len(before)


def test_completions_that_could_not_be_judged_teach_ppo_nothing(tmp_path: Path) -> None:
    def only_the_first(pairs: object) -> list[Judgement]:
        verdicts = [Verdict.RIGHT, *[Verdict.UNJUDGED] * (len(list(pairs)) - 1)]  # type: ignore[call-overload]
        return [Judgement(verdict, None) for verdict in verdicts]

    run = Run(tmp_path, tiny_spec(algorithm=Ppo(), steps=2, max_tokens=60))
    before = weights_of(run.model)
    ledger = run(only_the_first)
    assert all(line["unjudged"] > 0.5 for line in ledger.lines)
    assert not torch.equal(weights_of(run.model), before)  # the value of the one that was judged is learned


def test_alpha_is_found_during_the_training(tmp_path: Path) -> None:
    schedule = AccuracyConstrained(free_steps=2)
    lines = metrics_of(
        Run(tmp_path, tiny_spec(alpha=0.8, steps=6, schedule=schedule, max_tokens=60))(all_right), tmp_path / "kept"
    )
    assert [line["alpha"] for line in lines[:2]] == [0, 0]
    assert lines[-1]["alpha"] > lines[2]["alpha"] > 0


def test_what_filtering_left_out_and_saved_is_written_down(tmp_path: Path) -> None:
    lines = metrics_of(Run(tmp_path, tiny_spec(steps=2))(), tmp_path / "kept")
    for line in lines:
        assert line["filtered"] >= line["unjudged"] > 0
        assert 0 < line["filtered_tokens"] < line["generated_tokens"] + 16
        assert line["seconds_filtered"] > 0
        assert line["peak_memory_bytes"] > 1e6


def test_the_figures_of_ppo_tell_of_nothing_left_out_but_what_nobody_could_judge(tmp_path: Path) -> None:
    spec = tiny_spec(steps=2, updates_per_step=2, algorithm=Ppo(), filter=DropBelowAlpha(threshold=1.0))
    for name in ("all", "some"):
        (tmp_path / name).mkdir()
    for line in Run(tmp_path / "all", spec)(all_right).lines:
        assert (line["filtered"], line["filtered_tokens"], line["seconds_filtered"]) == (0, 0, 0)
    for line in Run(tmp_path / "some", spec)(by_first_letter).lines:
        assert line["filtered"] == line["unjudged"] > 0
        assert 0 < line["filtered_tokens"] < line["generated_tokens"]


# ------------------------------------------------------------------------------------------------------ recipes


@pytest.mark.parametrize("preset", RECIPES)
def test_a_recipe_holds_where_nothing_else_is_said_and_survives_being_written_down(preset: str) -> None:
    recipe = Training.model_validate({"preset": preset, "steps": 7})
    assert (recipe.preset, recipe.steps) == (preset, 7)
    assert Training.model_validate_json(recipe.model_dump_json()) == recipe
    changed = Training.model_validate({"preset": preset, "learning_rate": 0.5})
    assert changed.learning_rate == 0.5
    assert changed.algorithm == recipe.algorithm


@pytest.mark.parametrize("preset", RECIPES)
def test_every_recipe_trains(tmp_path: Path, preset: str) -> None:
    small = {"prompts_per_step": 4, "completions_per_prompt": 4, "learning_rate": 1e-3, "steps": 2}
    run = Run(tmp_path, tiny_spec(preset=preset, **small))
    before = weights_of(run.model)
    assert len(run().lines) == 2
    assert not torch.equal(weights_of(run.model), before)
