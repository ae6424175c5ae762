"""The completions of one step: which problems are asked, and how the answers are judged and credited.

Which problems a step takes and how their completions are drawn depends on the seed and the number of the step alone,
so that a training which was interrupted goes on as if it had not been.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from effreason.advantages import advantages
from effreason.errors import StepFailure
from effreason.generation import Generator, Limits, Request
from effreason.records import Completion, Judgement, Outcome, Problem, Verdict
from effreason.rewards import shape
from effreason.specs import Training

Grade = Callable[[Sequence[tuple[str, str]]], list[Judgement]]
"""Judges pairs of a completion's text and the gold answer, in order."""


@dataclass(frozen=True, slots=True)
class Question:
    """A training problem as it is put to the model. Made by the train step; read by the collector."""

    problem: Problem
    prompt_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rollout:
    """A completion of a training step with what became of it. Made by the collector; read by the trainer and the
    ledger."""

    question: Question
    sample: int
    """0 … completions_per_prompt - 1 within the group."""
    completion: Completion
    judgement: Judgement
    reward: float | None
    """None where the completion could not be judged."""
    advantage: float


@dataclass(frozen=True, slots=True)
class Batch:
    """All that a step generated, one list a prompt."""

    groups: list[list[Rollout]]
    seconds_generate: float
    seconds_score: float

    @property
    def rollouts(self) -> list[Rollout]:
        return [rollout for group in self.groups for rollout in group]


@dataclass(frozen=True)
class Collector:
    """Makes the batch of any step, by the policy as it stands."""

    questions: Sequence[Question]
    generator: Generator
    grade: Grade
    training: Training
    alpha: float
    seed: int

    def batch(self, step: int) -> Batch:
        """The batch of step 1, 2, …

        Raises:
            StepFailure: none of the completions could be judged, so there is nothing to learn from.
        """
        clock = time.perf_counter()
        asked = questions_of_step(self.questions, self.training.prompts_per_step, self.seed, step)
        completions = self._generate(asked, step)
        generated = time.perf_counter()
        groups = self._credit(asked, completions, self._judge(asked, completions))
        batch = Batch(groups, generated - clock, time.perf_counter() - generated)
        if all(rollout.reward is None for rollout in batch.rollouts):
            raise StepFailure(
                f"None of the {len(batch.rollouts)} completions of step {step} could be judged.",
                "Look at the gold answers of the training problems, or give the grader more time by running fewer "
                "steps side by side.",
            )
        return batch

    def _generate(self, asked: Sequence[Question], step: int) -> list[list[Completion]]:
        count = self.training.completions_per_prompt
        limits = Limits(self.training.temperature, 1.0, self.training.max_tokens)
        requests = [
            Request(question.prompt_ids, count, Random(f"{self.seed}/{step}/{place}").getrandbits(32))
            for place, question in enumerate(asked)
        ]
        return self.generator.generate(requests, limits)

    def _judge(self, asked: Sequence[Question], completions: list[list[Completion]]) -> list[list[Judgement]]:
        finished = [
            (completion.text, question.problem.answer)
            for question, group in zip(asked, completions, strict=True)
            for completion in group
            if not completion.truncated
        ]
        judged = iter(self.grade(finished))
        return [
            [Judgement(Verdict.WRONG, None) if completion.truncated else next(judged) for completion in group]
            for group in completions
        ]

    def _credit(
        self, asked: Sequence[Question], completions: list[list[Completion]], judgements: list[list[Judgement]]
    ) -> list[list[Rollout]]:
        rewards = [
            shape(self.training.penalty, [Outcome(c.tokens, j.verdict) for c, j in zip(*pair, strict=True)], self.alpha)
            for pair in zip(completions, judgements, strict=True)
        ]
        columns = (asked, completions, judgements, rewards, advantages(self.training.advantage, rewards))
        return [
            [Rollout(question, sample, *row) for sample, row in enumerate(zip(*group, strict=True))]
            for question, *group in zip(*columns, strict=True)
        ]


def questions_of_step(questions: Sequence[Question], count: int, seed: int, step: int) -> list[Question]:
    """The `count` questions of step 1, 2, …: every epoch takes each question once, in an order of its own."""
    first = (step - 1) * count
    orders: dict[int, list[int]] = {}
    chosen = []
    for place in range(first, first + count):
        epoch, index = divmod(place, len(questions))
        if epoch not in orders:
            orders[epoch] = Random(f"{seed}/epoch/{epoch}").sample(range(len(questions)), len(questions))
        chosen.append(questions[orders[epoch][index]])
    return chosen
