"""The page about a night, in Markdown: the decision, its figures, and whether they are usual."""

from collections.abc import Iterator, Sequence

from effreason.artifacts import Decision, Interval
from effreason.figures import count, percent, points
from effreason.promotion.drift import FEWEST_NIGHTS, Figure
from effreason.specs import GateSpec


def page(spec: GateSpec, decision: Decision, figures: Sequence[Figure]) -> str:
    """Return the text of night.md."""
    return "\n".join([*_decision(spec, decision), "", *_measured(decision), "", *_drift(figures), ""])


def _decision(spec: GateSpec, decision: Decision) -> Iterator[str]:
    yield f"# {decision.line}, night of {decision.night}: {'promoted' if decision.promotes else 'refused'}"
    yield ""
    yield decision.reason
    yield ""
    yield f"Confidence limits are one-sided at {100 * spec.gate.confidence:g}% and paired by problem."
    yield ""
    columns = "accuracy change (points) | largest loss allowed (points) | token ratio"
    yield f"| suite | compared with | problems | {columns} | outcome |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | --- |"
    for each in decision.checks:
        limit, outcome = f"{100 * each.max_accuracy_loss:.1f}", "refused" if each.refusal else "passed"
        compared = f"{each.suite} | {_model(each.against)} | {each.problems}"
        yield f"| {compared} | {points(each.accuracy)} | {limit} | {percent(each.token_ratio)} | {outcome} |"


def _measured(decision: Decision) -> Iterator[str]:
    yield "## What was measured"
    yield ""
    yield "95% intervals over problems."
    yield ""
    yield "| suite | model | problems | accuracy | tokens per completion |"
    yield "| --- | --- | ---: | ---: | ---: |"
    for each in decision.measured:
        figures = f"{_of('accuracy', each.accuracy)} | {_of('tokens', each.tokens)}"
        yield f"| {each.suite} | {_model(each.who)} | {each.problems} | {figures} |"


def _drift(figures: Sequence[Figure]) -> Iterator[str]:
    yield "## Drift"
    yield ""
    yield _summary(figures)
    yield ""
    yield "| suite | model | figure | tonight | earlier nights | expected | verdict |"
    yield "| --- | --- | --- | ---: | ---: | ---: | --- |"
    for each in figures:
        usual = _of(each.quantity, each.expected) if each.expected else "too few nights"
        word = {None: "", True: "unusual", False: "usual"}[each.unusual]
        tonight = _of(each.quantity, each.tonight)
        yield f"| {each.suite} | {_model(each.who)} | {each.quantity} | {tonight} | {each.nights} | {usual} | {word} |"


def _summary(figures: Sequence[Figure]) -> str:
    known = [each for each in figures if each.unusual is not None]
    if not known:
        nights = max((each.nights for each in figures), default=0)
        return f"Too few nights to say what is usual: {nights} earlier ones, and {FEWEST_NIGHTS} are needed."
    unusual = [f"{each.quantity} of the {_model(each.who)} on {each.suite}" for each in known if each.unusual]
    told = f"Unusual: {', '.join(unusual)}." if unusual else "Every figure of tonight is within its expected interval."
    return f"{told} Expected: 95% prediction intervals from the earlier nights, jointly over all figures."


def _model(who: str) -> str:
    return "base model" if who == "base" else who


def _of(quantity: str, interval: Interval | None) -> str:
    return str(percent(interval) if quantity == "accuracy" else count(interval))
