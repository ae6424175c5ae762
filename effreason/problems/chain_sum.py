"""The built-in task: add a chain of digits and keep the last digit, `7+5+8+3=?` having the answer 3.

A chain of n digits takes n - 1 steps whatever the digits are, so that its length is its difficulty, and how many tokens
an answer needs is known. The worked solutions that the built-in reasoner learns from are written here too. They spend
tokens as large reasoning models do: they open with a plan, doubt steps that are right, redo those they guessed, and
verify an answer up to three times. About six tokens in ten could go at little cost, which is what a reward on length
is to find out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

ANSWER_MARK = "####"
"""The mark before the answer, as in GSM8K."""

GUESS = 0.06
"""Chance that a step is first guessed, wrongly, and then redone. A small model does not learn to see that a digit is
wrong once it is written, so a guess is called one beforehand: `maybe 2+8=1 no, redo: 2+8=0`."""
DOUBT = 0.03
"""Chance that a correct step is checked once more."""
MISS = 0.004
"""Chance that a step is written wrong and goes unseen until a verification; so verifying seldom helps."""
PLAN = 0.5
"""Chance that a solution opens by saying what it will do."""
REMARK = 0.4
"""Chance that the answer is said in words before it is verified or given."""
VERIFICATIONS = (0.40, 0.30, 0.20, 0.10)
"""Chance of 0, 1, 2 and 3 verifications."""
THREE_UP_TO_TERMS = 5
"""Longer chains are verified twice at most: reasoning models overthink the easy questions most (arXiv 2412.21187)."""

_PLANS = ("let me add step by step\n", "step by step:\n", "let me add:\n")
_REDOS = (" wait, check again: ", " no, redo: ", " wait, no, redo: ", " hmm, that is wrong, redo: ")
_DOUBTS = (" wait, check again: ", " hmm, check: ")
_RELIEFS = (" yes,", " that is correct,")
_VERIFIES = ("let me verify:\n", "let me check again:\n", "verify the answer:\n", "wait, let me verify:\n")
_AGREEMENTS = ("yes, same\n", "the answer is correct\n", "good, same answer\n")
_DIFFERS = "no, that differs, redo:\n"


@dataclass(frozen=True, slots=True)
class ChainSum:
    """One question of the task. Made by `chain_sums`; read by the problem source, and by `worked`."""

    question: str
    """The question, such as `7+5+8+3=?`."""
    answer: str
    """The last digit of the sum."""
    terms: int
    """The number of digits that are added: the difficulty."""

    @property
    def digits(self) -> tuple[int, ...]:
        return tuple(int(digit) for digit in self.question.removesuffix("=?").split("+"))


def chain_sums(count: int, seed: int, terms: tuple[int, int] = (2, 10)) -> list[ChainSum]:
    """Return `count` different chains, shuffled; the same for the same arguments.

    Every number of terms from the first to the second of `terms`, both included, has an equal share; where there are
    too few different chains (100 of two terms) the longer ones fill up. Raises ValueError when `terms` is no range
    from 1 up, or when there are fewer than `count` different chains.
    """
    random = Random(seed)
    chains = [
        _chain(number, length)
        for length, share in _shares(count, *terms)
        for number in random.sample(range(10**length), share)
    ]
    random.shuffle(chains)
    return chains


def worked(chain: ChainSum, random: Random) -> str:
    """Return a solution as the built-in reasoner is to write it: steps, guesses, verifications, and last `#### d`.

    A mistake that no step and no verification saw makes the answer wrong, about once in a hundred solutions.
    """
    parts = [random.choice(_PLANS)] if _happens(PLAN, random) else []
    steps, answer = _attempt(chain, random)
    parts.append(steps)
    if _happens(REMARK, random):
        parts.append(f"so the answer is {answer}\n")
    for _ in range(_verifications(chain, random)):
        text, answer = _verification(chain, answer, random)
        parts.append(text)
    return "".join((*parts, f"{ANSWER_MARK} {answer}"))


def _shares(count: int, fewest: int, most: int) -> Iterator[tuple[int, int]]:
    if not 1 <= fewest <= most:
        raise ValueError(f"the numbers of terms must be at least 1, the smaller first, not ({fewest}, {most})")
    left = count
    for length in range(fewest, most + 1):
        share = min(-(-left // (most + 1 - length)), 10**length)
        left -= share
        yield length, share
    if left:
        raise ValueError(f"only {count - left} different chains of {fewest} to {most} terms exist, not {count}")


def _chain(number: int, length: int) -> ChainSum:
    """Return the chain whose digits are those of `number`, zeros in front."""
    digits = f"{number:0{length}d}"
    return ChainSum("+".join(digits) + "=?", str(sum(map(int, digits)) % 10), length)


def _verifications(chain: ChainSum, random: Random) -> int:
    (times,) = random.choices(range(len(VERIFICATIONS)), VERIFICATIONS)
    return times if chain.terms <= THREE_UP_TO_TERMS else min(times, 2)


def _verification(chain: ChainSum, answer: int, random: Random) -> tuple[str, int]:
    """Add once more, and a third time, which counts, if the sums differ; return the text and the answer after it."""
    steps, again = _attempt(chain, random)
    text = random.choice(_VERIFIES) + steps
    if again == answer:
        return text + random.choice(_AGREEMENTS), answer
    steps, answer = _attempt(chain, random)
    return text + _DIFFERS + steps, answer


def _attempt(chain: ChainSum, random: Random) -> tuple[str, int]:
    """Return all steps of one addition, and the sum that it arrives at."""
    first, *rest = chain.digits
    total, steps = first, []
    for number, digit in enumerate(rest, start=1):
        step, total = _step(number, total, digit, random)
        steps.append(step)
    return " ".join(steps) + "\n", total


def _step(number: int, total: int, digit: int, random: Random) -> tuple[str, int]:
    """Return one addition, with the remarks about it, and the total that it leaves.

    The number in front tells a small model which digit comes next; without it, it hardly learns to keep its place.
    """
    right = (total + digit) % 10
    wrong = (right + random.randint(1, 9)) % 10
    said, redone = f"{total}+{digit}={wrong}", f"({number}) {total}+{digit}={right}"
    if _happens(MISS, random):
        return f"({number}) {said}", wrong
    if _happens(GUESS, random):
        return f"({number}) maybe {said}" + random.choice(_REDOS) + redone, right
    if _happens(DOUBT, random):
        return redone + random.choice(_DOUBTS) + redone + random.choice(_RELIEFS), right
    return redone, right


def _happens(chance: float, random: Random) -> bool:
    return random.random() < chance
