"""The page: one file with its style, its script, its plots and its data, that asks nothing of any network.

The template escapes everything that it is given, and a content security policy lets run only the one script whose hash
it names: whatever a model wrote is shown and never obeyed.
"""

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import effreason
from effreason.report import costs, method
from effreason.report.axes import colour, marker
from effreason.report.bundle import bundle
from effreason.report.frontier import WIDE
from effreason.report.parts import frontier_of, part
from effreason.report.sheets import Sheet
from effreason.report.studies import Key
from effreason.report.summary import incomplete, verdicts
from effreason.report.sweep import Sweep
from effreason.report.training_plot import TrainingPlot, training_plot
from effreason.report.transcripts import LONGEST, MOST_DRAWN, shortened

PACKAGE = "effreason.report"
SECTIONS = {
    "summary": "Summary",
    "frontier": "Frontier",
    "difficulty": "By difficulty",
    "behaviour": "Behaviour",
    "faithfulness": "Faithfulness",
    "budgets": "Budgets",
    "training": "Training",
    "transcripts": "Transcripts",
    "method": "Method",
}
"""By the id of the section, which is also the name of its template."""


def page(sweep: Sweep, sheets: Mapping[str, Sheet]) -> str:
    """report.html; `sheets` are linked from its sections, by name."""
    style = Markup(_file("plot.css") + _file("page.css"))  # noqa: S704  our own files
    script = Markup(_file("page.js") + _file("explorer.js"))  # noqa: S704  as above
    parts = [part(sweep, name) for name in sweep.parts]
    told = verdicts(sweep)
    return _rendered(
        "page.html",
        experiment=sweep.spec.experiment,
        compared=sweep.compared,
        version=effreason.__version__,
        sections=SECTIONS,
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        sheets=sheets,
        verdicts=told,
        held_back=incomplete(len(sweep.spec.cells), sweep.spec.held_back),
        alarms=any(each.alarms for each in told),
        several_seeds=len(sweep.seeds) > 1,
        keys=_keys(sweep),
        parts=parts,
        tested=[each for each in parts if not each.validation],
        trainings=_trainings(sweep),
        probed=bool(sweep.probed),
        findings=sweep.findings,
        bundle=bundle(sweep.groups),
        drawn=sum(len(group.transcripts) for group in sweep.groups),
        most_drawn=MOST_DRAWN,
        longest_text=f"{LONGEST:,}",
        facts=method.facts(sweep),
        costs=costs.costs(sweep),
        priced=sweep.price is not None,
        cost_notes=costs.notes(sweep),
        steps=costs.steps(sweep),
        environments=costs.environments(sweep),
    )


def picture(sweep: Sweep) -> str:
    """frontier.svg: the plot of the first test suite, by itself."""
    return _rendered(
        "picture.html",
        style=Markup(_file("plot.css")),  # noqa: S704  our own file
        plot=frontier_of(sweep, sweep.parts[0], WIDE),
        part=sweep.parts[0],
        keys=_keys(sweep),
    )


def _rendered(template: str, **values: object) -> str:
    environment = Environment(
        loader=PackageLoader(PACKAGE, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shortened"] = shortened
    return environment.get_template(template).render(values)


def _file(name: str) -> str:
    return files(PACKAGE).joinpath(name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    """As a content security policy names an inline style or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _keys(sweep: Sweep) -> list[Key]:
    return [Key(number, model, colour(number), marker(number)) for number, model in enumerate(sweep.models)]


def _trainings(sweep: Sweep) -> list[TrainingPlot]:
    by_model = ([run for run in sweep.runs if run.cell.model == model and run.curve] for model in sweep.models)
    return [training_plot(runs[0].cell.model, runs) for runs in by_model if runs]
