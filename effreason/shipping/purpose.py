"""What a policy was trained for, in the words of its card: no more than algorithm, schedule and alpha say."""

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
    """Made by `purpose_of`; read by the card."""

    aim: str
    """Goes on after the name of the base."""
    algorithm: str
    penalty: str
    """For length, with its alpha."""
    caution: str
    """What the training did about length, and what that says nothing of."""
    tag: str
    """By which the hub finds models that were trained in this way."""


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
    """That any step can have had: where alpha depends on accuracy, it rises fastest while all answers are right."""
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
