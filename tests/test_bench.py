"""The benchmark's own arithmetic, and that its contestants are given the same work."""

import json
import time
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from effreason.benchmarks import training
from effreason.benchmarks.ablation import ablations
from effreason.benchmarks.ours import ours, spec_of
from effreason.benchmarks.rounds import STILL, ratio, seconds_of_rounds, take_turns
from effreason.benchmarks.target import HeldOut, Level, Pursuit, bound, pursue, ratio_of
from effreason.benchmarks.trl_contestants import AS_IT_COMES, BEST, _Clock, candidates, required, trainer, trl
from effreason.benchmarks.work import AfterStep, Order, Stride, Work, strides
from effreason.choices import BuiltInModel, Prompt
from effreason.models import load
from effreason.prompts import render

torch.set_num_threads(1)

SMALL = Work(prompts=2, completions=2, max_tokens=24, problems=40)
ORDER = Order(SMALL, 2, 1e-4, 3)


class Scripted:
    """A contestant whose steps take the seconds of a script."""

    def __init__(self, *seconds: float) -> None:
        self.seconds = seconds
        self.orders: list[Order] = []

    def __call__(self, order: Order, after_step: AfterStep) -> None:
        self.orders.append(order)
        for seconds in self.seconds[: order.steps]:
            if after_step(Stride(seconds, 0.0, 0.0, 1), None):  # type: ignore[arg-type]
                return


class Scale:
    """Measures levels by a script, the base first."""

    def __init__(self, *levels: Level) -> None:
        self.base, *self.rest = levels

    def measure(self, _: PreTrainedModel) -> Level:
        return self.rest.pop(0)


def run(seed: int, seconds: float, reached: bool = True) -> Pursuit:
    return Pursuit(seed, reached, seconds, 1, Level(1.0, 1.0))


def test_a_ratio_is_paired_by_round_and_its_limits_are_the_extremes() -> None:
    found = ratio([1.0, 2.0, 9.0, 4.0, 5.0], [2.0, 8.0, 9.0, 8.0, 50.0])
    assert (found.middle, found.low, found.high) == (0.5, 0.1, 1.0)
    assert found.confidence == 1 - 2 / 2**5


def test_one_round_gives_no_interval() -> None:
    assert ratio([1.0], [2.0]).confidence is None


def test_the_first_step_of_every_round_is_not_timed() -> None:
    one, other = Scripted(100.0, 1.0, 3.0, 8.0), Scripted(50.0, 2.0, 2.0, 2.0)
    found = take_turns({"one": one, "other": other}, SMALL, rounds=3, steps=3)
    assert seconds_of_rounds(found["one"]) == [3.0, 3.0, 3.0]
    assert one.orders == other.orders
    assert [order.seed for order in one.orders] == [0, 1, 2]
    assert {order.learning_rate for order in one.orders} == {STILL}


def test_the_target_asks_for_fewer_tokens_and_no_less_accuracy() -> None:
    base = Level(100.0, 0.9)
    assert Level(60.0, 0.9).reaches(base)
    assert not Level(60.1, 1.0).reaches(base)
    assert not Level(10.0, 0.89).reaches(base)


def test_a_pursuit_counts_the_seconds_until_the_measurement_that_found_the_target() -> None:
    scale = Scale(Level(100.0, 0.9), Level(70.0, 0.9), Level(50.0, 0.95))
    order = Order(SMALL, 10, 1e-4, 5)
    found = pursue(Scripted(*[1.0] * 10), order, scale, every=2, patience=100.0)  # type: ignore[arg-type]
    assert found == Pursuit(5, True, 4.0, 4, Level(50.0, 0.95))


@pytest.mark.parametrize(("steps", "patience", "taken"), [(3, 100.0, 3), (10, 4.5, 5)])
def test_a_pursuit_that_runs_out_is_missed(steps: int, patience: float, taken: int) -> None:
    scale = Scale(*[Level(100.0, 0.9)] * 10)
    order = Order(SMALL, steps, 1e-4, 0)
    found = pursue(Scripted(*[1.0] * 10), order, scale, every=2, patience=patience)  # type: ignore[arg-type]
    assert not found.reached
    assert found.steps == taken


def test_a_run_that_missed_gives_a_bound_and_no_ratio() -> None:
    hit, missed = [run(0, 1.0), run(1, 2.0)], [run(0, 10.0), run(1, 20.0, reached=False)]
    reached = ratio_of(hit, [run(0, 4.0), run(1, 8.0)])
    assert reached is not None and reached.middle == 0.25
    assert ratio_of(hit, missed) is None
    assert bound(hit, missed).startswith("<= 0.100")
    assert bound(missed, hit).startswith(">= 10.000")
    assert bound(missed, missed).startswith("no bound")


def test_problems_to_measure_on_are_not_trained_on() -> None:
    work = Work(problems=2000)
    held_out = work.held_out(300)
    assert len({problem.id for problem in held_out}) == 300
    assert not {problem.id for problem in held_out} & {problem.id for problem in work.to_train_on()}


def test_the_contestants_have_equal_settings() -> None:
    theirs, ours_ = required(ORDER), spec_of(ORDER)
    training_ = ours_.training
    assert theirs["per_device_train_batch_size"] == training_.completions_per_step
    assert theirs["num_generations"] == training_.completions_per_prompt
    assert theirs["max_completion_length"] == training_.max_tokens
    assert theirs["learning_rate"] == training_.learning_rate
    assert theirs["temperature"] == training_.temperature
    assert theirs["max_steps"] == training_.steps
    assert theirs["seed"] == ours_.seed
    assert training_.warmup_steps == 0 and theirs["lr_scheduler_type"] == "constant"


def test_every_candidate_makes_one_update_of_all_completions() -> None:
    for settings in candidates(128).values():
        chosen = {**required(Order(Work(), 1, 1e-4, 0)), **settings}
        assert chosen["per_device_train_batch_size"] * chosen.get("gradient_accumulation_steps", 1) == 128


def test_trl_is_asked_our_prompts_step_by_step(tmp_path: Path) -> None:
    made = trainer(AS_IT_COMES, ORDER, str(tmp_path), _Clock(lambda *_: False))
    asked = [row["prompt"] for batch in made.get_train_dataloader() for row in batch]
    expected = [problem.question for problem in ORDER.problems() for _ in range(SMALL.completions)]
    assert asked[: len(expected)] == expected
    tokenizer = load(BuiltInModel(), "cpu").tokenizer
    rendered = [list(render(Prompt(), question, tokenizer)) for question in expected[:4]]
    assert made._tokenize_prompts(expected[:4])[0] == rendered


def test_trl_as_it_comes_keeps_its_defaults_and_the_best_does_not(tmp_path: Path) -> None:
    default = trainer(AS_IT_COMES, ORDER, str(tmp_path), _Clock(lambda *_: False))
    best = trainer(BEST, ORDER, str(tmp_path), _Clock(lambda *_: False))
    assert (default.args.bf16, default.args.activation_checkpointing, default.args.scale_rewards) == (
        True,
        True,
        "group",
    )
    assert (best.args.bf16, best.args.activation_checkpointing, best.args.scale_rewards) == (False, False, "none")


@pytest.mark.filterwarnings("default::FutureWarning")
def test_every_contestant_takes_its_steps_and_tells_where_the_time_went() -> None:
    for contestant in (ours, trl(BEST)):
        clock = time.perf_counter()
        taken = strides(contestant, ORDER)
        wall = time.perf_counter() - clock
        assert len(taken) == 2
        assert all(stride.update > 0 and stride.generate > 0 and stride.score > 0 for stride in taken)
        assert all(4 <= stride.tokens <= 4 * SMALL.max_tokens for stride in taken)
        assert sum(stride.seconds for stride in taken) <= wall


def test_a_contestant_stops_when_it_is_told() -> None:
    for contestant in (ours, trl(BEST)):
        told: list[Stride] = []

        def stop(stride: Stride, _: PreTrainedModel, told: list[Stride] = told) -> bool:
            told.append(stride)
            return True

        contestant(Order(SMALL, 5, 1e-4, 0), stop)
        assert len(told) == 1


def test_measuring_leaves_the_model_as_it_is() -> None:
    held_out = HeldOut(SMALL, 6)
    model = load(BuiltInModel(), "cpu").model
    assert held_out.measure(model) == held_out.base
    with torch.no_grad():
        model.lm_head.weight.mul_(0.1)
    assert held_out.measure(model) != held_out.base


def test_each_ablation_trains() -> None:
    order = Order(SMALL, 1, STILL, 0)
    for name, contestant in ablations().items():
        assert len(strides(contestant, order)) == 1, name


@pytest.mark.slow
def test_the_whole_path_leaves_its_figures(tmp_path: Path) -> None:
    training.main(["--quick", "--output", str(tmp_path)])
    found = json.loads((tmp_path / "bench.json").read_text())
    assert found["step_ratio"] > 0 and found["step_ratio_best"] > 0
    assert {"target_ratio", "target_ratio_best", "notes"} <= set(found)
    for part in ("TRL's best local settings", "Seconds per step", "Seconds to the target"):
        assert part in (tmp_path / "bench.md").read_text()
