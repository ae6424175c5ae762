"""Actors, as nodes have them, and the pool where the steps of a flow run wait for them: a real step, no cluster."""

import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest
from processes import gone

from effreason.choices import BuiltInModel, Container, FolderHome, Process
from effreason.errors import UserError
from effreason.experiment import Experiment
from effreason.order import Order
from effreason.workbench import Runtime, Turn
from tasks.ray.step_actor import Heard, Mark, Placed, StepActor
from tasks.running import engine
from tasks.running.launchers import Work
from tasks.supervision import reaping
from tasks.supervision.owner import Owner

EXPERIMENT = Experiment(name="small", models=(BuiltInModel(),), alphas=(0.2,))
TALKATIVE = """
import os, sys, time
for number in range(3):
    print(os.environ["CUDA_VISIBLE_DEVICES"], number, flush=True)
    time.sleep(0.3)
sys.exit(3)
"""


@pytest.fixture
def work(tmp_path: Path) -> Work:
    order = Order(spec=EXPERIMENT.prepare_spec(), store=FolderHome(path=str(tmp_path)))
    return Work("prepare", order, "small", "run")


NODE = Placed("a node", "01ab", ("2", "3"))


def actor_for(script: str, node: Placed = NODE) -> StepActor:
    return StepActor(node, Process(), ("-c", textwrap.dedent(script)), 2.0)


def heard_to_the_end(actor: StepActor, work: Work, mark: Mark) -> Iterator[Heard]:
    over = False
    while not over:
        heard = actor.heard(work, mark)
        yield heard
        mark, over = heard.mark, heard.over


def texts(heard: list[Heard]) -> list[str]:
    return [line.text for one in heard for line in one.lines]


def test_every_line_of_a_step_is_heard_once_and_how_it_ended(work):
    heard = list(heard_to_the_end(actor_for(TALKATIVE), work, Mark("first")))
    assert texts(heard) == ["2,3 0", "2,3 1", "2,3 2"]
    assert heard[-1].failure is not None and "exit code 3" in heard[-1].failure.happened
    assert len(heard) > 1 and all(one.failure is None for one in heard[:-1])


def test_the_turn_of_a_step_begins_when_its_actor_begins_it(work):
    """On a node that was lost it had other devices, and in between none."""
    long_ago = datetime.now(UTC) - timedelta(hours=9)
    order = work.order.model_copy(update={"runtime": Runtime(turn=Turn(gpus=2.0, began=long_ago))})
    told = "import json, sys; print(json.load(open(sys.argv[2]))['runtime']['turn']['began'])"
    heard = list(heard_to_the_end(actor_for(told), replace(work, order=order), Mark("first")))
    (began,) = texts(heard)
    assert datetime.now(UTC) - datetime.fromisoformat(began) < timedelta(minutes=1)


def test_an_answer_that_got_lost_is_given_again(work):
    actor = actor_for(TALKATIVE)
    while not actor.heard(work, Mark("first")).lines:
        pass
    assert texts(list(heard_to_the_end(actor, work, Mark("first")))) == ["2,3 0", "2,3 1", "2,3 2"]


def test_an_actor_that_was_made_anew_begins_the_step_again(work):
    before, after = actor_for(TALKATIVE), actor_for(TALKATIVE)
    mark = before.heard(work, Mark("first")).mark
    before.leave()
    heard = list(heard_to_the_end(after, work, mark))
    assert texts(heard) == ["2,3 0", "2,3 1", "2,3 2"]
    assert heard[0].mark.incarnation != mark.incarnation


def test_an_actor_serves_one_step_after_another(work):
    actor = actor_for(TALKATIVE)
    first, second = (texts(list(heard_to_the_end(actor, work, Mark(turn)))) for turn in ("first", "second"))
    assert first == second == ["2,3 0", "2,3 1", "2,3 2"]


def test_whoever_leaves_an_actor_leaves_no_process(work):
    actor = actor_for("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)")
    while not (lines := actor.heard(work, Mark("first")).lines):
        pass
    began = time.monotonic()
    actor.leave()
    assert time.monotonic() - began < 2
    assert gone(int(lines[0].text))


def test_a_folder_that_a_node_does_not_have_is_refused(work, tmp_path):
    elsewhere = work.order.model_copy(update={"store": FolderHome(path=str(tmp_path / "nowhere"))})
    with pytest.raises(UserError, match="does not exist on a node"):
        list(heard_to_the_end(actor_for(TALKATIVE), Work("prepare", elsewhere, "small", "run"), Mark("first")))


def test_an_actor_of_containers_first_removes_those_whose_owner_died_on_its_node(monkeypatch):
    """And no others, without asking a Prefect server, of which a node need not know."""
    dead = Owner.this_process()._replace(start="none that there is")
    owners = (dead, Owner.this_process(), dead._replace(host="elsewhere"))
    left = [left_container(owner) for owner in owners]
    removed: list[object] = []
    monkeypatch.setattr(reaping.engine, "engine", nullcontext)
    monkeypatch.setattr(reaping.engine, "containers", lambda client: left)
    monkeypatch.setattr(reaping.engine, "remove", removed.append)
    monkeypatch.setattr(reaping, "get_client", lambda **_: pytest.fail("a Prefect server was asked"))
    StepActor(NODE, Container(), (), 1.0)
    assert removed == left[:1]


def left_container(owner: Owner) -> SimpleNamespace:
    """Running, of a flow run that somebody may know."""
    labels = {engine.STEP_LABEL: "a step", engine.RUN_LABEL: str(uuid4()), **owner.labels()}
    return SimpleNamespace(labels=labels, short_id="0a1b", attrs={"State": {"Status": "running"}})


# ------------------------------------------------------------------------------------------------- actors that are lost


class MadeAnew:
    """An actor as seen from the flow, whose first process dies when it has been heard once."""

    def __init__(self, *actors: StepActor) -> None:
        self.good = True
        self.actors = iter(actors)
        self.actor = next(self.actors)
        self.placed = self.actor.placed

    def heard(self, work: Work, mark: Mark, stopping: threading.Event) -> Heard:
        heard = self.actor.heard(work, mark)
        if following := next(self.actors, None):
            self.actor.leave()
            self.actor = following
        return heard


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """What Ray tells of its nodes, to be changed."""
    nodes: list[dict[str, object]] = []
    monkeypatch.setattr(pytest.importorskip("ray"), "nodes", lambda: nodes)
    return nodes


@pytest.mark.parametrize(
    ("alive", "told"),
    [
        (False, "Its node was lost; it continues on another from its last checkpoint."),
        (
            True,
            "killed on a node, which is still up, perhaps because memory ran out; it continues on another",
        ),
    ],
)
def test_a_step_that_goes_on_says_whether_its_node_was_lost_or_its_process_alone(work, nodes, alive, told):
    from tasks.ray.placement import RunningElsewhere

    nodes += [{"NodeID": NODE.number, "Alive": alive}, {"NodeID": "02cd", "Alive": True}]
    actor = MadeAnew(actor_for(TALKATIVE), actor_for(TALKATIVE, Placed("another", "02cd", ())))
    alarms = [line.text for line in RunningElsewhere(work, actor).lines(threading.Event()) if "alarm" in line.text]
    assert len(alarms) == 1 and told in alarms[0] and not actor.good


@pytest.mark.parametrize(
    ("alive", "by_ray", "told"),
    [
        (False, "The node has died.\nOf memory.", "The node that ran the step was lost (The node has died)."),
        (
            True,
            "The actor died.\nThe OOM killer, due to high memory usage.",
            "which is still up, as the system and Ray do when",
        ),
        (True, "The actor died.\nNobody knows why.", "was killed on a node, which is still up (The actor died)."),
    ],
)
def test_a_step_that_does_not_go_on_says_so_too_and_names_memory_where_ray_does(nodes, alive, by_ray, told):
    from tasks.ray.cluster import _loss

    nodes += [{"NodeID": NODE.number, "Alive": alive}]
    failure = _loss(NODE, by_ray)
    assert told in failure.happened and ("`parallel`" in failure.remedy) == alive


def test_an_actor_that_was_lost_before_it_came_was_on_no_node_that_is_known(nodes):
    from tasks.ray.cluster import _loss

    assert "node that ran the step was lost" in _loss(None, "The actor died.").happened


# -------------------------------------------------------------------------------------------------------- passed on


class FakeActor:
    """An actor that comes when the test says so."""

    def __init__(self) -> None:
        self.good = True
        self.given_back = False
        self.there = threading.Event()

    def come(self, within_seconds: float = 0) -> bool:
        return self.there.wait(min(within_seconds, 0.01))

    def give_back(self) -> None:
        self.given_back = True


class Step(threading.Thread):
    """Waits for an actor, and keeps it until told to leave."""

    def __init__(self, pool: object, claim: object) -> None:
        super().__init__()
        self.pool, self.claim = pool, claim
        self.placed, self.leave, self.fails, self.stopped = (threading.Event() for _ in range(4))
        self.actor: FakeActor | None = None
        self.start()
        time.sleep(0.05)

    def run(self) -> None:
        try:
            with self.pool.actor(self.claim, self.watch) as self.actor:
                self.placed.set()
                assert self.leave.wait(10)
                if self.fails.is_set():
                    raise InterruptedError
        except InterruptedError:
            self.stopped.set()

    def watch(self) -> None:
        if self.leave.is_set():
            raise InterruptedError


@pytest.fixture
def fakes() -> list[FakeActor]:
    return []


@pytest.fixture
def pool(fakes):
    pytest.importorskip("ray")
    from tasks.ray.actor_pool import ActorPool

    def ask(_: object) -> FakeActor:
        fakes.append(FakeActor())
        return fakes[-1]

    return ActorPool(ask)


def done(step: Step) -> None:
    step.leave.set()
    step.join(5)
    assert not step.is_alive()


def test_a_step_leaves_its_actor_to_the_one_that_has_waited_longest(pool, fakes):
    first, second, third = (Step(pool, "one GPU") for _ in range(3))
    fakes[0].there.set()
    assert first.placed.wait(5) and not second.placed.is_set()
    done(first)
    assert second.placed.wait(5) and second.actor is fakes[0]
    assert not third.placed.is_set()
    assert fakes[1].given_back, "its own request is withdrawn"
    done(second)
    assert third.placed.wait(5) and third.actor is fakes[0]
    done(third)
    assert all(fake.given_back for fake in fakes)


def test_an_actor_of_another_size_is_not_passed_on(pool, fakes):
    one, other = Step(pool, "one GPU"), Step(pool, "two GPUs")
    fakes[0].there.set()
    assert one.placed.wait(5)
    done(one)
    assert fakes[0].given_back and not other.placed.is_set()
    done(other)
    assert other.stopped.is_set() and fakes[1].given_back


def test_an_actor_on_which_a_step_failed_or_whose_node_was_lost_is_not_passed_on(pool, fakes):
    failing, waiting = Step(pool, "one GPU"), Step(pool, "one GPU")
    fakes[0].there.set()
    assert failing.placed.wait(5)
    failing.fails.set()
    done(failing)
    assert fakes[0].given_back and not waiting.placed.is_set()
    fakes[1].there.set()
    assert waiting.placed.wait(5)
    done(waiting)


def test_no_actor_is_kept_for_nobody(pool, fakes):
    """Whoever was to have it may get the one that he asked for himself, or go."""
    steps = [Step(pool, "one GPU") for _ in range(8)]
    for fake in fakes[:3]:
        fake.there.set()
    assert all(step.placed.wait(5) for step in steps[:3])
    for fake in fakes[3:]:
        fake.there.set()
    for step in steps:
        done(step)
    assert all(fake.given_back for fake in fakes) and pool.taken == 0
