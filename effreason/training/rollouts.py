"""The completions of one step: which problems are asked, and how the answers are judged and rewarded.

Which problems a step takes and how their completions are drawn depends on the seed and the number of the step alone,
so that a training which was interrupted goes on as if it had not been.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from effreason.choices import Algorithm
from effreason.errors import StepFailure
from effreason.generation import Generator, Limits, Request
from effreason.records import Completion, Judgement, Outcome, Problem, Verdict
from effreason.rewards import Terms, shape, token_limit
from effreason.specs import Training
from effreason.training.credit import credit
from effreason.training.world import World

Grade = Callable[[Sequence[tuple[str, str]]], list[Judgement]]
"""A function that judges pairs of a completion's text and the gold answer, in order."""


@dataclass(frozen=True, slots=True)
class Question:
    """A training problem with its rendered prompt. Made by the train step; read by the collector."""

    problem: Problem
    prompt_ids: tuple[int, ...]
    budget: int | None = None
    """The tokens that the prompt allows; None where it names none."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """A completion of a training step with its judgement, reward and advantage. Made by the collector; read by the
    trainer and the ledger."""

    question: Question
    group: int
    """0 … prompts_per_step - 1 within the step."""
    sample: int
    """0 … completions_per_prompt - 1 within the group."""
    completion: Completion
    judgement: Judgement
    reward: float | None
    """The reward; None where the completion could not be judged."""
    advantage: float
    """The advantage of the whole completion; a value model's advantages of single tokens are not kept here."""

    @property
    def outcome(self) -> Outcome:
        return Outcome(self.completion.tokens, self.judgement.verdict)


@dataclass(frozen=True, slots=True)
class Batch:
    """All completions that a step generated, on all processes, one list per prompt."""

    alpha: float
    groups: list[list[Rollout]]
    seconds_generate: float
    seconds_score: float

    @property
    def rollouts(self) -> list[Rollout]:
        return [rollout for group in self.groups for rollout in group]

    @property
    def accuracy(self) -> float:
        """The share of the judged completions that are correct."""
        judged = [rollout for rollout in self.rollouts if rollout.reward is not None]
        return sum(rollout.outcome.correct for rollout in judged) / len(judged)


@dataclass(frozen=True)
class Collector:
    """Makes the batch of any step, by the policy in its present state."""

    questions: Sequence[Question]
    generator: Generator
    grade: Grade
    training: Training
    seed: int
    world: World = World()

    def batch(self, step: int, alpha: float) -> Batch:
        """Return the batch of step 1, 2, …

        Raises:
            StepFailure: none of the completions could be judged, so there is nothing to learn from.
        """
        clock = time.perf_counter()
        asked = questions_of_step(self.questions, self.training.prompts_per_step, self.seed, step)
        mine = self.world.share(range(len(asked)))
        completions = self._generate([asked[place] for place in mine], mine, step, alpha)
        generated = time.perf_counter()
        judgements = self._judge([asked[place] for place in mine], completions)
        answered = self.world.gather(list(zip(completions, judgements, strict=True)))
        groups = self._reward(asked, answered, alpha)
        batch = Batch(alpha, groups, generated - clock, time.perf_counter() - generated)
        if all(rollout.reward is None for rollout in batch.rollouts):
            raise StepFailure(
                f"None of the {len(batch.rollouts)} completions of step {step} could be judged.",
                "Check the gold answers of the training problems, or give the grader more time by running fewer "
                "steps concurrently.",
            )
        return batch

    def _generate(
        self, asked: Sequence[Question], places: Sequence[int], step: int, alpha: float
    ) -> list[list[Completion]]:
        training = self.training
        limit = token_limit(training.penalty, alpha, training.max_tokens)
        requests = [
            Request(question.prompt_ids, training.completions_per_prompt, self._seed(step, place))
            for question, place in zip(asked, places, strict=True)
        ]
        return self.generator.generate(requests, Limits(training.temperature, 1.0, limit))

    def _seed(self, step: int, place: int) -> int:
        return Random(f"{self.seed}/{step}/{place}").getrandbits(32)

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

    def _reward(
        self, asked: Sequence[Question], answered: Sequence[tuple[list[Completion], list[Judgement]]], alpha: float
    ) -> list[list[Rollout]]:
        outcomes = [
            [Outcome(completion.tokens, judgement.verdict) for completion, judgement in zip(*group, strict=True)]
            for group in answered
        ]
        budgets = [question.budget for question in asked if question.budget is not None]
        terms = Terms(self.training.max_tokens, tuple(budgets) or None)
        rewards = shape(self.training.penalty, outcomes, alpha, terms)
        columns = (asked, answered, rewards, credit(self.training.algorithm, rewards, outcomes))
        return [
            [
                Rollout(question, place, sample, *row)
                for sample, row in enumerate(zip(*group, earned, credited, strict=True))
            ]
            for place, (question, group, earned, credited) in enumerate(zip(*columns, strict=True))
        ]


def charged(batch: Batch, costs: Mapping[tuple[int, int], float], algorithm: Algorithm) -> Batch:
    """Return the batch credited again after each completion has paid its cost, by group and sample; rewards stay as
    they were given."""
    rewards = [
        [None if one.reward is None else one.reward - costs[one.group, one.sample] for one in group]
        for group in batch.groups
    ]
    credited = credit(algorithm, rewards, [[one.outcome for one in group] for group in batch.groups])
    return replace(
        batch,
        groups=[
            [replace(one, advantage=advantage) for one, advantage in zip(*group, strict=True)]
            for group in zip(batch.groups, credited, strict=True)
        ],
    )


def questions_of_step(questions: Sequence[Question], count: int, seed: int, step: int) -> list[Question]:
    """Return the `count` questions of step 1, 2, …: every epoch takes each question once, in an order of its own."""
    first = (step - 1) * count
    orders: dict[int, list[int]] = {}
    chosen = []
    for place in range(first, first + count):
        epoch, index = divmod(place, len(questions))
        if epoch not in orders:
            orders[epoch] = Random(f"{seed}/epoch/{epoch}").sample(range(len(questions)), len(questions))
        chosen.append(questions[orders[epoch][index]])
    return chosen
