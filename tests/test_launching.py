"""Steps as child processes: what they say is heard, and however the parent ends, they end."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from processes import alive, gone

from effreason.artifacts import Manifest, Problems
from effreason.choices import BuiltInModel, FolderHome
from effreason.errors import EffreasonError, StepFailure, UserError
from effreason.experiment import Experiment, Resources
from effreason.order import Order
from effreason.progress import Progress
from effreason.specs import Spec
from tasks.running import launching
from tasks.running.launching import StepRunner, launch, worth_another_try
from tasks.running.process import Stopped

FAKE_STEP = Path(__file__).with_name("fake_step.py")


class Diary:
    """A listener that writes down what it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, object]] = []
        self.running = threading.Event()

    def found(self, label: str, manifest: Manifest) -> None:
        self.heard.append(("found", label))

    def began(self, label: str) -> None:
        self.heard.append(("began", label))

    def progressed(self, label: str, progress: Progress) -> None:
        self.heard.append(("progressed", (progress.done, progress.total)))
        self.running.set()

    def said(self, label: str, line: str) -> None:
        self.heard.append(("said", line))

    def ended(self, label: str, manifest: Manifest) -> None:
        self.heard.append(("ended", label))

    def failed(self, label: str, error: EffreasonError) -> None:
        self.heard.append(("failed", type(error).__name__))


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    return Experiment(
        name="small",
        models=(BuiltInModel(),),
        alphas=(0.2,),
        store=FolderHome(path=str(tmp_path / "store")),
        runtime=Resources(parallel=2, device="cpu"),
    )


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Makes the lines of a Python script the step command."""

    def play(script: str) -> None:
        monkeypatch.setattr(launching, "STEP", (sys.executable, "-uc", textwrap.dedent(script)))

    yield play


@pytest.fixture
def fake_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(launching, "STEP", (sys.executable, str(FAKE_STEP)))
    monkeypatch.setenv("FAKE_STEP_DIARY", str(tmp_path / "diary"))


def prepare(experiment: Experiment, diary: Diary | None = None) -> Problems:
    with StepRunner(experiment, [diary] if diary else []):
        return launch(experiment, "prepare", experiment.prepare_spec(), Problems)


def number_in(path: Path, within_seconds: float = 15.0) -> int:
    deadline = time.monotonic() + within_seconds
    while time.monotonic() < deadline:
        if path.exists() and path.read_text().strip():
            return int(path.read_text())
        time.sleep(0.05)
    raise AssertionError(f"{path} was not written")


# ------------------------------------------------------------------------------------- what a step says is heard


def test_what_a_step_makes_is_returned_and_what_it_says_is_passed_on(experiment, fake_step):
    diary = Diary()
    made = prepare(experiment, diary)
    assert made.address == experiment.prepare_spec().address
    progress = [event for kind, event in diary.heard if kind == "progressed"]
    assert progress == [(1, 3), (2, 3), (3, 3)]
    said = {event for kind, event in diary.heard if kind == "said"}
    assert said == {
        "a library that prints on standard output",
        "a line of the log",
        "library.py:1: UserWarning: a warning of the step",
    }
    assert diary.heard[0] == ("began", "prepare") and diary.heard[-1] == ("ended", "prepare")


def test_what_is_in_the_store_starts_no_process(experiment, fake_step, tmp_path):
    first, diary = prepare(experiment), Diary()
    assert prepare(experiment, diary) == first
    assert diary.heard == [("found", "prepare")]
    assert len((tmp_path / "diary").read_text().splitlines()) == 1


def test_lines_that_are_no_protocol_harm_nothing(experiment, step, tmp_path):
    step(
        r"""
        import sys
        for noise in ("{}", "[1]", "{\"progress\": 7}", "{\"manifest\": {}}", "{half", "\x00\xff", "", "0"):
            print(noise)
        sys.stdout.buffer.write(b"\xff\xfe no text\n")
        sys.stdout.buffer.write(b"10%\r50%\r100%\n")
        sys.stdout.write("{\"fault\": {\"kind\": \"failure\", \"happened\": \"It rained.\", \"remedy\": \"Wait.\"}}")
        """
    )
    diary = Diary()
    with pytest.raises(StepFailure, match=r"It rained\. Wait\."):
        prepare(experiment, diary)
    said = [event for kind, event in diary.heard if kind == "said"]
    assert "{half" in said and "100%" in said and "10%\r50%\r100%" not in said


def test_a_manifest_counts_even_if_the_process_breaks_while_it_ends(experiment, step, fake_step, tmp_path):
    script = f"""
        import os, runpy, signal, sys
        sys.argv = ["fake_step", *sys.argv[1:]]
        try:
            runpy.run_path({str(FAKE_STEP)!r}, run_name="__main__")
        except SystemExit:
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGSEGV)
        """
    step(script)
    assert prepare(experiment).address == experiment.prepare_spec().address


# --------------------------------------------------------------------------------------- the causes of a failure


@pytest.mark.parametrize(("mood", "error"), [("user", UserError), ("failure", StepFailure)])
def test_a_fault_arrives_as_the_error_that_it_was(experiment, fake_step, monkeypatch, mood, error):
    monkeypatch.setenv("FAKE_STEP_MOODS", json.dumps({"prepare": mood}))
    with pytest.raises(error) as raised:
        prepare(experiment)
    assert (raised.value.happened, raised.value.remedy) == ("The oven is cold.", "Light it.")


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("import os; os.kill(os.getpid(), 9)", "killed from outside, as happens when memory runs out"),
        ("import sys; sys.exit(137)", "killed from outside"),
        ("import os; os.kill(os.getpid(), 11)", "ended by SIGSEGV"),
        (
            "import sys; print('half a tank', file=sys.stderr); sys.exit(3)",
            "exit code 3 .* Its last output: half a tank",
        ),
        ("raise ValueError('no such wheel')", "exit code 1 .* Its last output: ValueError: no such wheel"),
        ("pass", "exit code 0 and no result"),
    ],
)
def test_a_step_that_ends_without_a_word_is_told_by_how_it_ended(experiment, step, script, told):
    step(script)
    with pytest.raises(StepFailure, match=told):
        prepare(experiment)


def test_an_error_that_nobody_foresaw_is_told_and_counts_as_a_failure_of_the_step(experiment, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tasks.running.launchers.scratch", full)
    diary = Diary()
    with (
        StepRunner(experiment, [diary]) as runner,
        pytest.raises(StepFailure, match=r"prepare failed with OSError.*No space left"),
    ):
        launch(experiment, "prepare", experiment.prepare_spec(), Problems)
    assert diary.heard[-1] == ("failed", "StepFailure")
    assert "No space left" in str(runner.faults["prepare"]), "so that the run says why it failed"


@pytest.mark.parametrize(
    ("error", "again"),
    [(UserError("a", "b"), False), (Stopped(), False), (StepFailure("a", "b"), True), (KeyError("a bug"), False)],
)
def test_only_a_failure_of_the_circumstances_is_worth_another_try(error, again):
    state = SimpleNamespace(result=lambda raise_on_failure: error)
    assert worth_another_try(None, None, state) is again


# ------------------------------------------------------------------------------- no process outlives its purpose


def launched(
    experiment: Experiment, label: str, runner: StepRunner, errors: list[Exception], spec: Spec | None = None
) -> threading.Thread:
    def run() -> None:
        try:
            runner.artifact(label, spec or experiment.prepare_spec())
        except EffreasonError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_stopped_step_may_save_its_work_first(experiment, step, tmp_path):
    step(
        f"""
        import os, signal, sys, time
        from pathlib import Path
        def save(*_):
            time.sleep(0.5)
            Path({str(tmp_path)!r}, "saved").touch()
            sys.exit(1)
        signal.signal(signal.SIGTERM, save)
        Path({str(tmp_path)!r}, "pid").write_text(str(os.getpid()))
        time.sleep(600)
        """
    )
    errors: list[Exception] = []
    with StepRunner(experiment) as runner:
        thread = launched(experiment, "prepare", runner, errors)
        pid = number_in(tmp_path / "pid")
    assert not alive(pid), "none is left when the block has been left"
    thread.join(5)
    assert (tmp_path / "saved").exists()
    assert [type(error) for error in errors] == [Stopped]


def test_a_step_that_will_not_listen_is_killed_with_its_children(experiment, step, tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.running.process.GRACE_SECONDS", 0.5)
    step(
        f"""
        import os, signal, subprocess, sys, time
        from pathlib import Path
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path({str(tmp_path)!r}, "child").write_text(str(child.pid))
        Path({str(tmp_path)!r}, "pid").write_text(str(os.getpid()))
        time.sleep(600)
        """
    )
    with StepRunner(experiment) as runner:
        thread = launched(experiment, "prepare", runner, [])
        pid, child = number_in(tmp_path / "pid"), number_in(tmp_path / "child")
    thread.join(5)
    assert gone(pid) and gone(child)


def test_a_grandchild_that_holds_the_pipes_holds_nobody_up(experiment, step, tmp_path):
    step(
        f"""
        import subprocess, sys
        from pathlib import Path
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path({str(tmp_path)!r}, "child").write_text(str(child.pid))
        sys.exit(3)
        """
    )
    with pytest.raises(StepFailure, match="exit code 3"):
        prepare(experiment)
    assert gone(number_in(tmp_path / "child"))


def test_who_waits_for_a_turn_when_all_is_over_never_begins(experiment, fake_step, monkeypatch, tmp_path):
    monkeypatch.setenv("FAKE_STEP_MOODS", json.dumps({"prepare": "hang"}))
    alone = experiment.model_copy(update={"runtime": Resources(parallel=1, device="cpu")})
    errors: list[Exception] = []
    with StepRunner(alone) as runner:
        threads = [launched(alone, label, runner, errors) for label in ("first", "second")]
        while not (tmp_path / "diary").exists():
            time.sleep(0.05)
    for thread in threads:
        thread.join(5)
    assert [type(error) for error in errors] == [Stopped, Stopped]
    assert len((tmp_path / "diary").read_text().splitlines()) == 1


PARENT = """
import os, sys
from pathlib import Path
from effreason.experiment import Experiment
from tasks.running import launching
launching.STEP = (sys.executable, "-uc", Path(sys.argv[2]).read_text(), *sys.argv[3:])
experiment = Experiment.model_validate_json(sys.argv[1])
with launching.StepRunner(experiment) as runner:
    runner.artifact("prepare", experiment.prepare_spec())
"""

CHILD = """
import os, sys, threading, time
from pathlib import Path
folder = Path(sys.argv[1])
def until_stdin_closes():
    while os.read(0, 1):
        pass
    os._exit(137)
threading.Thread(target=until_stdin_closes, daemon=True).start()
(folder / "pid").write_text(str(os.getpid()))
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_death_of_the_parent_is_that_of_the_step(experiment, tmp_path, number):
    (tmp_path / "child.py").write_text(CHILD)
    arguments = [experiment.model_dump_json(), str(tmp_path / "child.py"), str(tmp_path)]
    parent = subprocess.Popen([sys.executable, "-c", PARENT, *arguments], stderr=subprocess.DEVNULL)
    pid = number_in(tmp_path / "pid", 30)
    time.sleep(0.5)
    assert alive(pid), "until the parent dies"
    began = time.monotonic()
    parent.send_signal(number)
    parent.wait(10)
    assert gone(pid)
    assert time.monotonic() - began < 10


def test_the_real_step_ends_when_its_parent_dies(experiment, tmp_path):
    """It blocks on an order that is a pipe, and so cannot have ended by itself."""
    os.mkfifo(tmp_path / "order.json")
    command = [*launching.STEP, "prepare", str(tmp_path / "order.json")]
    step = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(2)
    assert step.poll() is None
    assert step.stdin is not None
    step.stdin.close()
    assert step.wait(10) == 137


# --------------------------------------------------------------------------------- what a step gets of the machine


def test_no_more_steps_run_side_by_side_than_there_are_turns(experiment, step, tmp_path):
    step(
        f"""
        import os, time
        from pathlib import Path
        mine = Path({str(tmp_path)!r}, f"running-{{os.getpid()}}")
        mine.touch()
        time.sleep(0.3)
        count = len(list(Path({str(tmp_path)!r}).glob("running-*")))
        Path({str(tmp_path)!r}, f"seen-{{os.getpid()}}").write_text(str(count))
        mine.unlink()
        """
    )
    errors: list[Exception] = []
    with StepRunner(experiment) as runner:
        threads = [launched(experiment, str(number), runner, errors) for number in range(5)]
        for thread in threads:
            thread.join(60)
    seen = [int(path.read_text()) for path in tmp_path.glob("seen-*")]
    assert len(seen) == 5 and max(seen) == 2


def test_the_cores_are_divided_among_the_steps_and_each_sees_one_gpu(experiment, step, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-77")
    monkeypatch.setattr("tasks.running.turns.usable_cores", lambda: 8)
    step(
        f"""
        import os, shutil, sys, time
        from pathlib import Path
        shutil.copy(sys.argv[2], Path({str(tmp_path)!r}, f"order-{{os.getpid()}}"))
        Path({str(tmp_path)!r}, f"gpu-{{os.getpid()}}").write_text(os.environ["CUDA_VISIBLE_DEVICES"])
        time.sleep(0.5)
        """
    )
    wide = experiment.model_copy(update={"runtime": Resources()})
    measured = wide.evaluate_spec(wide.models[0], None, wide.prepare_spec().address)
    with StepRunner(wide) as runner:
        threads = [launched(wide, str(number), runner, [], measured) for number in range(2)]
        for thread in threads:
            thread.join(60)
    assert sorted(path.read_text() for path in tmp_path.glob("gpu-*")) == ["4", "GPU-77"]
    orders = [Order.model_validate_json(path.read_text()) for path in tmp_path.glob("order-*")]
    assert [order.runtime.threads for order in orders] == [4, 4]
    assert orders[0].spec == measured and orders[0].store == wide.store
