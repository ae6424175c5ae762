"""The report as a browser shows it: its script runs, its controls work, and it fits a phone.

The page is put into a frame of a page of ours, whose script uses it as a reader would and writes down what it found.
"""

import html
import json
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from made_up_sweep import MadeUp, seal_sweep

from effreason.steps import produce
from effreason.store.folder import FolderStore

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update",
    "--disable-background-networking", "--disable-sync", "--virtual-time-budget=5000", "--window-size=1400,1000",
)  # fmt: skip
SCHEMES = {"dark": 0, "light": 1}
SWEEP = MadeUp(
    models=("reasoner", "another-model"), alphas=(0.0, 0.2, 0.4), seeds=(0, 1), suites=("chain-sum", "far-off"),
    problems=24, validation=12, samples=3, steps=200, concise=True, probed=True, hacked=True,
)  # fmt: skip
AXE = find_spec("axe_playwright_python")
"""A package that carries axe-core; of it only that one file is used."""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    store = FolderStore(folder / "store")
    return (store.fetch(produce(seal_sweep(store, SWEEP), store), folder / "report") / "report.html").read_text()


@pytest.fixture
def use(page, tmp_path):
    """What the body of a JavaScript function returns when the page has loaded in a frame of that width."""

    def used(body: str, width: int = 1200, scheme: str = "light", guarded: bool = True):
        shown = page if guarded else re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
        frame = f'<iframe id="frame" width="{width}" height="900" srcdoc="{html.escape(shown)}"></iframe>'
        script = f"""
            const frame = document.getElementById("frame");
            frame.addEventListener("load", () => {{
                const view = frame.contentWindow, page = frame.contentDocument;
                const all = (selector) => [...page.querySelectorAll(selector)];
                const seen = (element) => element.getClientRects().length > 0;
                const found = () => {{ {body} }};
                let told;
                try {{ told = found(); }} catch (error) {{ told = {{ thrown: String(error) }}; }}
                Promise.resolve(told).then((value) => {{
                    document.getElementById("found").textContent = JSON.stringify(value);
                }});
            }});"""
        outer = tmp_path / "outer.html"
        outer.write_text(f'<!DOCTYPE html><output id="found"></output>{frame}<script>{script}</script>')
        colours = f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}"
        command = [CHROMIUM, *OPTIONS, colours, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", outer.as_uri()]
        dumped = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
        return json.loads(html.unescape(re.search(r'<output id="found">(.*?)</output>', dumped, re.DOTALL)[1]))

    return used


def test_the_script_runs_without_an_error_and_asks_for_nothing(use):
    found = use("""return {
        script: page.documentElement.dataset.script, error: page.documentElement.dataset.error ?? null,
        requests: view.performance.getEntriesByType("resource").length, images: all("img").length,
    };""")
    assert found == {"script": "ready", "error": None, "requests": 0, "images": 0}


def test_one_suite_is_shown_at_a_time_and_a_choice_holds_for_every_section(use):
    found = use("""
        const shown = () => all(".part").filter(seen).map((part) => part.dataset.part);
        const choose = (name) => page.querySelector(`#frontier ~ .choices input[value="${name}"]`).click();
        const first = shown();
        choose("far-off");
        const second = shown();
        choose("validation");
        return [first, second, shown()];""")
    sections = 5  # frontier, by difficulty, behaviour, faithfulness, budgets
    assert found[:2] == [["chain-sum"] * sections, ["far-off"] * sections]
    assert found[2] == ["validation"] + ["far-off"] * (sections - 1)


def test_a_legend_hides_its_series_in_its_own_figure_alone(use):
    found = use("""
        const [pareto, reduction] = all(".part:not([hidden]) .plots figure");
        const marks = (figure) => [...figure.querySelectorAll(".mark")].filter(seen).length;
        const before = [marks(pareto), marks(reduction)];
        pareto.querySelector(".legend input").click();
        const after = [marks(pareto), marks(reduction)];
        pareto.querySelector(".legend input").click();
        return [before, after, [marks(pareto), marks(reduction)]];""")
    assert found[0] == found[2] and found[0][1] == found[1][1] == 12 and found[1][0] < found[0][0]


def test_the_keyboard_reaches_every_mark_and_its_figures(use):
    found = use("""
        const marks = all(".part:not([hidden]) .wide .mark"), tip = page.getElementById("tip"), told = [];
        const press = (key) => page.activeElement.dispatchEvent(new view.KeyboardEvent("keydown", {key}));
        const stops = marks.filter((mark) => mark.tabIndex === 0).length;
        marks[0].focus();
        marks.forEach(() => { told.push(tip.textContent.split("\\n")[0]); press("ArrowRight"); });
        const around = page.activeElement === marks[0];
        press("Escape");
        return {stops, told, around, hidden: tip.hidden};""")
    assert found["stops"] == 1 and found["around"] and found["hidden"]
    assert len(set(found["told"])) == len(found["told"]) >= 14
    assert found["told"][0] == "reasoner, base model"


@pytest.mark.parametrize("width", [375, 1200])
def test_the_page_never_scrolls_sideways_but_a_wide_table_does(use, width):
    found = use(
        """
        const root = page.documentElement;
        const boxes = all(".scroll").filter(seen);
        return {
            page: root.scrollWidth - root.clientWidth, tables: boxes.some((box) => box.scrollWidth > box.clientWidth),
            plots: all(".part:not([hidden]) .plots figure:first-child svg[role=group]").filter(seen).length,
        };""",
        width,
    )
    assert found["page"] == 0 and found["plots"] == 1
    assert found["tables"] or width > 375


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(use, scheme):
    """WCAG 2.2 AA: 4.5 to 1 for text, measured where the browser paints it."""
    found = use(
        r"""
        const channels = (colour) => {
            const [, space, values] = colour.match(/^(rgba?|color)\((.*)\)$/);
            const numbers = values.match(/[\d.]+/g).map(Number);
            return space === "color" ? numbers.slice(0, 3) : numbers.slice(0, 3).map((value) => value / 255);
        };
        const light = (colour) => channels(colour)
            .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
            .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
        const ground = (element) => {
            const colour = view.getComputedStyle(element).backgroundColor;
            return colour === "rgba(0, 0, 0, 0)" ? ground(element.parentElement) : colour;
        };
        const worst = {};
        const told = "p, h1, h2, h3, h4, h5, td, th, span, a, summary, dt, dd, pre, label, button, strong, svg text";
        for (const element of all(told)) {
            if (!seen(element)) continue;
            const looks = view.getComputedStyle(element), svg = element.closest("svg");
            const pair = [light(svg ? looks.fill : looks.color), light(ground(svg ?? element))];
            const name = element.tagName + "." + (element.getAttribute("class") ?? "");
            worst[name] = Math.min(worst[name] ?? 99, (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05));
        }
        return worst;""",
        scheme=scheme,
    )
    assert len(found) > 12
    assert {name: ratio for name, ratio in found.items() if ratio < 4.5} == {}


UNPACKED = """
    const until = (holds) => new Promise((done) => {
        const look = () => holds() ? done() : setTimeout(look, 20);
        look();
    });
    const form = page.getElementById("explorer"), cards = () => all("#transcript-list > details");
    const set = (name, value) => {
        form.elements[name].value = value;
        form.dispatchEvent(new view.Event("input", { bubbles: true }));
    };
    const unpacked = until(() => page.documentElement.dataset.transcripts);
"""


def test_transcripts_are_searched_and_filtered(use):
    found = use(
        UNPACKED
        + """return unpacked.then(() => {
            const number = () => Number(page.getElementById("found").textContent.split(" ")[0]);
            const told = { all: number() };
            set("change", "became wrong");
            told.wrong = [number(), [...new Set(cards().map((card) => card.dataset.change))]];
            set("suite", "far-off");
            told.far = number();
            set("words", "no model ever wrote this");
            told.none = [number(), cards().length];
            return told;
        });"""
    )
    assert found["all"] > found["wrong"][0] > found["far"] > 0 and found["none"] == [0, 0]
    assert found["wrong"][1] == ["became wrong"]


def test_a_diff_marks_what_was_left_out_and_keeps_every_word(use):
    found = use(
        UNPACKED
        + """return unpacked.then(() => {
            set("change", "correct both times");
            const card = cards()[0];
            card.open = true;
            return until(() => card.querySelector("pre")).then(() => {
                const [before, after] = card.querySelectorAll("pre");
                const words = (text) => text.split(/\\s+/).filter(Boolean);
                const kept = (pane, tag) => {
                    const copy = pane.cloneNode(true);
                    copy.querySelectorAll(tag).forEach((mark) => mark.remove());
                    return words(copy.textContent);
                };
                return {
                    before: kept(before, "del"), after: kept(after, "ins"),
                    dropped: before.querySelectorAll("del").length,
                    longer: words(before.textContent).length - words(after.textContent).length,
                    hostile: before.textContent.includes("<script>"),
                    error: page.documentElement.dataset.error ?? null,
                };
            });
        });"""
    )
    assert found["before"] == found["after"] != []
    assert found["dropped"] and found["longer"] > 0 and found["hostile"] and found["error"] is None


def test_headings_go_down_one_by_one_and_every_control_has_a_name(use):
    found = use("""
        const levels = all("h1, h2, h3, h4, h5").map((heading) => Number(heading.tagName[1]));
        const nameless = all("input, select, button, [tabindex='0']").filter((control) =>
            !(control.labels?.length || control.getAttribute("aria-label") || control.textContent.trim()));
        const ids = all("[id]").map((element) => element.id);
        const named = all("[aria-labelledby]").map((part) => part.getAttribute("aria-labelledby"));
        return {
            jumps: levels.filter((level, at) => at && level > levels[at - 1] + 1), first: levels[0],
            nameless: nameless.map((control) => control.outerHTML.slice(0, 90)),
            twice: ids.filter((id, at) => ids.indexOf(id) !== at),
            broken: all("a[href^='#']").filter((link) => !page.getElementById(link.hash.slice(1))).length,
            lost: named.filter((id) => !page.getElementById(id)).length,
            landmarks: ["header", "nav", "main", "footer"].map((name) => all(`body > ${name}`).length),
        };""")
    assert found == {
        "jumps": [], "first": 1, "nameless": [], "twice": [], "broken": 0, "lost": 0, "landmarks": [1, 1, 1, 1]
    }  # fmt: skip


def axe_core() -> str:
    assert AXE is not None
    assert AXE.origin is not None
    return Path(AXE.origin).with_name("axe.min.js").read_text()


@pytest.mark.skipif(AXE is None, reason="axe-core is not installed; `make .venv/ready-dev` installs it")
@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 1200), ("light", 375)])
def test_axe_finds_nothing_to_object_to(use, scheme, width):
    """All rules of axe-core: WCAG 2.2 A and AA, and best practices."""
    found = use(
        f"""view.eval({json.dumps(axe_core())});
        return view.axe.run(page, {{ resultTypes: ["violations"] }}).then((told) => told.violations.map((each) =>
            [each.id, each.nodes.length, each.nodes[0].html.slice(0, 200), each.nodes[0].failureSummary]));""",
        width,
        scheme,
        guarded=False,  # the policy would not let a check run either
    )
    assert found == []


def test_it_prints_every_suite_on_white(page, tmp_path):
    path, printed = tmp_path / "report.html", tmp_path / "report.pdf"
    path.write_text(page)
    options = [*OPTIONS, f"--user-data-dir={tmp_path / 'profile'}", f"--print-to-pdf={printed}"]
    subprocess.run([CHROMIUM, *options, path.as_uri()], check=True, capture_output=True, timeout=60)
    pages = len(re.findall(rb"/Type\s*/Page\b", printed.read_bytes()))
    assert 5 <= pages <= 60
