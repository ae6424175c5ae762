"""The nouns of the domain, passed between modules in memory. None imports a framework."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Problem:
    """One question with its gold answer. Made by `problems`; read by training, evaluation and the report."""

    id: str
    """First 16 hex digits of the SHA-256 of the question with its white space normalised."""
    question: str
    answer: str
    """The gold answer alone, as the grader takes it."""
    difficulty: float | None = None
    """The source's own measure (terms of a chain, MATH level), larger is harder; None where it has none."""


class Verdict(StrEnum):
    """The grader's judgement of a completion. A completion is correct where its verdict is RIGHT."""

    RIGHT = "right"
    WRONG = "wrong"
    UNJUDGED = "unjudged"
    """The grader failed or ran out of time; the model is not to blame, so it counts neither as correct nor as wrong."""


class Judgement(NamedTuple):
    """A verdict with its evidence. Made by `grading`."""

    verdict: Verdict
    extracted: str | None
    """The answer that was found in the text, as written there; None if there was none."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled answer. Made by a Generator; read by grading, training and evaluation."""

    text: str
    """The text, decoded without special tokens."""
    token_ids: tuple[int, ...]
    """The sampled tokens, the end-of-sequence token included when the model chose to stop."""
    truncated: bool
    """Whether the token limit cut it off before the model chose to stop."""
    log_probabilities: tuple[float, ...] | None = None
    """Log-probabilities of `token_ids` as they were drawn, temperature included, in nats; None where not asked for."""

    @property
    def tokens(self) -> int:
        """The length: every sampled token but the end-of-sequence token."""
        return len(self.token_ids) - (not self.truncated)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The length and the verdict of a completion, on which a reward is based. A truncated completion is never RIGHT."""

    tokens: int
    verdict: Verdict

    @property
    def correct(self) -> bool:
        return self.verdict is Verdict.RIGHT

    @property
    def judged(self) -> bool:
        return self.verdict is not Verdict.UNJUDGED


Group = Sequence[Outcome]
"""All completions of one prompt in one batch."""


@dataclass(frozen=True, slots=True)
class JudgedCompletion:
    """A completion of an evaluation with its verdict: one row of completions.parquet."""

    suite: str
    problem_id: str
    sample: int
    """0 … samples - 1 within the problem."""
    text: str
    tokens: int
    truncated: bool
    verdict: Verdict
    extracted: str | None
    tokens_thinking: int | None = None
    """Thinking tokens among `tokens`, closing mark included; None where the completion marks none."""
