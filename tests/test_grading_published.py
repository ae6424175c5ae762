"""math-verify's own published test cases, run through our grader.

They are in its source distribution, which is fetched for the occasion. Ours departs from them in the few places that
are named here.
"""

import ast
import contextlib
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pytest

from effreason.grading import grade_all
from effreason.grading.extraction import answer_in
from effreason.records import Verdict

DEPARTURES = {
    "test_number_extraction": (2, "a comma between digits of a gold answer makes a list, not a decimal"),
    "test_latex_notation": (2, "a formula that is broken over lines is still read"),
    "test_complex_math_expressions": (2, "decimals need five digits, not two"),
    "test_math_extraction_additional_cases": (1, "a box wins over a sentence that comes later"),
    "test_set_rel_assymetry": (1, "inequalities may always stand for an interval"),
    "test_boxed": (1, "a gold answer is an answer, not a text to be searched"),
    "test_open_thoughts": (3, "boxes are one answer only when nothing but `and` or a comma joins them"),
    "test_strict_variable_comparison": (1, "f(x) is never f(y)"),
    "test_string_extraction": (1, "1 - 1/e is not 1 + 1/e, whatever the case says"),
}
"""By the name of the test: how many of its cases differ, and why."""


class Case(NamedTuple):
    test: str
    gold: str
    text: str
    right: bool


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    folder = tmp_path_factory.mktemp("math-verify")
    wanted = f"math-verify=={version('math-verify')}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", wanted]
    if subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode:
        pytest.skip("the package index cannot be reached")
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    return [case for path in sorted(folder.glob("*/tests/test_*.py")) for case in _cases(path)]


@pytest.mark.slow
def test_the_published_cases_get_their_verdicts_but_for_the_named_departures(published: list[Case]) -> None:
    judgements = grade_all([(case.text, _gold(case.gold)) for case in published])
    differ = Counter(
        case.test
        for case, judgement in zip(published, judgements, strict=True)
        if (judgement.verdict is Verdict.RIGHT) != case.right
    )
    assert len(published) > 250
    assert differ == {test: count for test, (count, _) in DEPARTURES.items()}


def _cases(path: Path) -> Iterator[Case]:
    """The literal cases of every parametrised test that compares a gold answer with a prediction."""
    for test in ast.walk(ast.parse(path.read_text())):
        for mark in test.decorator_list if isinstance(test, ast.FunctionDef) else ():
            match mark:
                case ast.Call(args=[ast.Constant(value=str(names)), ast.List(elts=rows), *_]):
                    fields = [name.strip() for name in names.split(",")]
                    yield from _compared(test.name, fields, rows)


def _compared(test: str, fields: list[str], rows: list[ast.expr]) -> Iterator[Case]:
    if fields[:2] != ["gold", "pred"]:
        return
    for row in rows:
        with contextlib.suppress(ValueError):  # a computed case
            case = dict(zip(fields, ast.literal_eval(row), strict=True))
            yield Case(test, case["gold"], case["pred"], bool(case.get("expected", case.get("result"))))


def _gold(text: str) -> str:
    """Their gold answers are texts; ours are answers alone."""
    return (answer_in(text) or "") if "\\boxed" in text or len(text) > 300 else text.strip().strip("$")
