"""The report as a browser shows it: its script runs, its controls work, and it fits a phone.

The page is put into a frame of a page of ours, whose script uses it as a reader would and writes down what it found.
"""

import html
import json
import re
import shutil
import subprocess

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
SWEEP = MadeUp(models=("reasoner", "another-model"), alphas=(0.0, 0.2, 0.4), seeds=(0, 1), problems=40, steps=400)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    store = FolderStore(folder / "store")
    return (store.fetch(produce(seal_sweep(store, SWEEP), store), folder / "report") / "report.html").read_text()


@pytest.fixture
def use(page, tmp_path):
    """What the body of a JavaScript function returns when the page has loaded in a frame of that width."""

    def used(body: str, width: int = 1200, scheme: str = "light"):
        frame = f'<iframe id="frame" width="{width}" height="900" srcdoc="{html.escape(page)}"></iframe>'
        script = f"""
            const frame = document.getElementById("frame");
            frame.addEventListener("load", () => {{
                const view = frame.contentWindow, page = frame.contentDocument;
                const all = (selector) => [...page.querySelectorAll(selector)];
                const seen = (element) => element.getClientRects().length > 0;
                const found = () => {{ {body} }};
                let told;
                try {{ told = found(); }} catch (error) {{ told = {{ thrown: String(error) }}; }}
                document.getElementById("found").textContent = JSON.stringify(told);
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


def test_one_part_is_shown_at_a_time_and_the_reader_chooses(use):
    found = use("""
        const shown = () => all(".part").filter(seen).map((part) => part.querySelector("h3").textContent);
        const first = shown();
        page.querySelector(".choice:last-of-type input").click();
        return [first, shown()];""")
    assert found == [["Test suite chain-sum"], ["Validation part"]]


def test_a_legend_hides_its_series_in_its_own_figure_alone(use):
    found = use("""
        const [pareto, reduction] = all(".part:not([hidden]) figure");
        const marks = (figure) => [...figure.querySelectorAll(".mark")].filter(seen).length;
        const before = [marks(pareto), marks(reduction)];
        pareto.querySelector(".legend input").click();
        const after = [marks(pareto), marks(reduction)];
        pareto.querySelector(".legend input").click();
        return [before, after, [marks(pareto), marks(reduction)]];""")
    assert found == [[14, 12], [7, 12], [14, 12]]


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
    assert len(set(found["told"])) == 14
    assert found["told"][0] == "reasoner, as it comes"


@pytest.mark.parametrize("width", [390, 1200])
def test_the_page_never_scrolls_sideways_but_a_wide_table_does(use, width):
    found = use(
        """
        const root = page.documentElement;
        const boxes = all(".scroll").filter(seen);
        return {
            page: root.scrollWidth - root.clientWidth, tables: boxes.some((box) => box.scrollWidth > box.clientWidth),
            plots: all(".part:not([hidden]) figure:first-child svg[role=group]").filter(seen).length,
        };""",
        width,
    )
    assert found["page"] == 0 and found["plots"] == 1
    assert found["tables"] or width > 390


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
        for (const element of all("p, h1, h2, h3, h4, td, th, .limits, .badge, a, summary, dt, dd, pre, svg text")) {
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
