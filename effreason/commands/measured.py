"""An evaluation as a few lines of text."""

from collections.abc import Iterator

from effreason.artifacts import Evaluation, Measures
from effreason.figures import count, percent


def table(evaluation: Evaluation) -> list[str]:
    """A header and one line a suite. Brackets hold 95% intervals over problems."""
    rows = [HEADER, *(_row(suite, measures) for suite, measures in evaluation.suites.items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
    return [*(line.rstrip() for line in lines), *_notes(evaluation)]


HEADER = ["suite", "problems", "accuracy", "tokens", "truncated", "pass@k"]


def _row(suite: str, measures: Measures) -> list[str]:
    largest = max(map(int, measures.pass_at), default=1)
    passed = f"@{largest} {percent(measures.pass_at[str(largest)])}" if largest > 1 else "–"
    return [
        suite,
        f"{measures.problems} × {measures.samples}",
        str(percent(measures.accuracy)),
        str(count(measures.tokens)),
        str(percent(measures.truncated)),
        passed,
    ]


def _notes(evaluation: Evaluation) -> Iterator[str]:
    for suite, measures in evaluation.suites.items():
        if measures.thinking_tokens:
            answering = count(measures.answer_tokens)
            yield f"{suite}: {count(measures.thinking_tokens)} thinking tokens, {answering} answer tokens"
        if measures.unjudged:
            yield f"{suite}: {measures.unjudged} completions could not be judged and are excluded from every rate"
