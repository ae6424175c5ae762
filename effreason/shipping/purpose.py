"""The purpose of a policy as its card states it, derived from its algorithm, schedule and alpha alone."""

from typing import NamedTuple

from effreason.choices import (
    AccuracyConstrained,
    Algorithm,
    ConstantAlpha,
    LinearWarmup,
    PolicyGradient,
    Ppo,
    Schedule,
    SftShortest,
)
from effreason.rewards.schedule import alpha_at
from effreason.specs import TrainSpec


class Purpose(NamedTuple):
    """The purpose of a policy, in words. Made by `purpose_of`; read by the card."""

    aim: str
    """Continues the sentence that begins with the name of the base."""
    algorithm: str
    penalty: str
    """The length penalty, with its alpha."""
    caution: str
    """What was done about length in training, and what does not follow from it."""
    tag: str
    """Tag by which the hub finds models that were trained in this way."""


RL = "reinforcement-learning"
OTHER_QUESTION = "Whether answers show the reasoning that leads to them is another question."
REWARDED = f"Shorter answers are what was rewarded. {OTHER_QUESTION}"
UNPENALISED = (
    "No penalty for length was in the reward: where answers are shorter or longer than the base's, that is a side "
    f"effect. {OTHER_QUESTION}"
)
SUPERVISED = Purpose(
    aim="fine-tuned on the shortest of its own right completions of training problems, to answer with fewer tokens.",
    algorithm="sft-shortest",
    penalty="none: supervised learning has no use for one",
    caution=f"Short answers are what it learned from. {OTHER_QUESTION}",
    tag="sft",
)


def purpose_of(spec: TrainSpec) -> Purpose:
    training = spec.training
    if isinstance(training.algorithm, SftShortest):
        return SUPERVISED
    algorithm, highest = _algorithm(training.algorithm), _highest_alpha(spec)
    if highest == 0:
        aim = f"trained by {algorithm} for right answers, without a penalty for length: a control."
        return Purpose(aim, algorithm, "none (alpha 0)", UNPENALISED, RL)
    penalty = f"{training.penalty.kind}, {_strength(training.schedule, highest)}"
    return Purpose(f"trained by {algorithm} to answer with fewer tokens.", algorithm, penalty, REWARDED, RL)


def _algorithm(algorithm: Algorithm) -> str:
    match algorithm:
        case PolicyGradient():
            return f"{algorithm.kind} with {algorithm.advantage.kind} advantages"
        case Ppo() | SftShortest():
            return algorithm.kind


def _highest_alpha(spec: TrainSpec) -> float:
    """Return the highest alpha that any step can have had.

    If alpha depends on accuracy, it rises fastest while all answers are right.
    """
    return alpha_at(spec.training.schedule, spec.alpha, [1.0] * (spec.training.steps - 1))


def _strength(schedule: Schedule, highest: float) -> str:
    match schedule:
        case ConstantAlpha():
            return f"alpha {highest:g}"
        case LinearWarmup():
            return f"alpha rising from 0 to {highest:g}"
        case AccuracyConstrained():
            return (
                f"alpha found during the training, {highest:g} at most, "
                f"under a limit of {schedule.max_accuracy_loss:g} on the loss of accuracy (a fraction)"
            )
