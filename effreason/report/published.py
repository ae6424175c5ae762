"""What Arora & Zanette (2025, arXiv 2502.04463) published for DeepSeek-R1-Distill-Qwen-7B, as points to orient by.

Read off the project's web page of February 2025: accuracy and mean tokens before training and at two alphas, without
intervals. Another model than any here, under another protocol: they show where such training runs lie, not what to
reach.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Published(NamedTuple):
    """One point. Read by the frontier."""

    label: str
    tokens: float
    accuracy: float

    @property
    def details(self) -> tuple[str, ...]:
        """Lines for whoever asks."""
        return (
            f"Published, another model: R1-Distill-Qwen-7B, {self.label}",
            f"Accuracy: {100 * self.accuracy:.2f}%, published without an interval",
            f"Tokens: {self.tokens:g}, published without an interval",
            "Arora & Zanette (2025), arXiv 2502.04463",
        )


def _points(*figures: tuple[float, float]) -> Sequence[Published]:
    labels = ("A&Z 7B", "A&Z 7B α 0.1", "A&Z 7B α 0.2")
    return [Published(label, tokens, percent / 100) for label, (percent, tokens) in zip(labels, figures, strict=True)]


PUBLISHED: Mapping[str, Sequence[Published]] = {
    "gsm8k": _points((92.63, 1626), (91.73, 814), (88.96, 251)),
    "math500": _points((93.38, 4048), (92.10, 2827), (88.36, 1982)),
    "aime24": _points((55.71, 13180), (51.31, 10904), (53.33, 9216)),
}
"""By the name of the suite."""


def published_on(suite: str) -> Sequence[Published]:
    """The points of a suite of this name; none for any other."""
    return PUBLISHED.get(suite.lower().replace("-", "").replace("_", ""), ())
