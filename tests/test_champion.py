"""The champion's pointer: promotions, rollbacks, rivals, and a maker that is killed at every point, on both homes."""

import os
import secrets
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from effreason.artifacts import Decision, Policy
from effreason.choices import BuiltInModel, FolderHome, Home, Prompt, S3Home
from effreason.cli import main
from effreason.errors import StepFailure, UserError
from effreason.promotion.champion import Champion, Entry, Maker, lines
from effreason.provenance import provenance
from effreason.specs import Address, Training, TrainSpec
from effreason.store import Store, open_store

LINE = "small"
ME = Maker("me@here", "It answers badly.")


@pytest.fixture(params=["folder", "s3"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    if request.param == "folder":
        return FolderHome(path=str(tmp_path / "store"))
    s3_home: S3Home = request.getfixturevalue("s3_home")
    return s3_home.model_copy(update={"cache_bytes": 0})


@pytest.fixture
def store(home: Home) -> Store:
    return open_store(home)


def policy(store: Store, seed: int) -> Address:
    """A small sealed policy."""
    spec = TrainSpec(
        model=BuiltInModel(), problems=f"prepare/{'0' * 24}", prompt=Prompt(), training=Training(), alpha=0.1, seed=seed
    )
    made = Policy(
        address=spec.address, model="reasoner", alpha=0.1, seed=seed, steps=1, generated_tokens=1, seconds=1.0
    )
    with tempfile.TemporaryDirectory() as folder:
        store.seal(spec, made, Path(folder), provenance(datetime.now(UTC), 1.0))
    return spec.address


def decision(policy: Address, night: str = "2026-01-31", promotes: bool = True) -> Decision:
    address = f"gate/{secrets.token_hex(12)}"
    return Decision(
        address=address, line=LINE, night=night, policy=policy, promotes=promotes, reason="So it is.", checks=(),
        measured=(),
    )  # fmt: skip


def promote(store: Store, made: Decision) -> Entry:
    champion = Champion(store, LINE)
    evaluations = {"candidate": f"evaluate/{'1' * 24}", "champion": f"evaluate/{'2' * 24}"}
    return champion.promote(made, evaluations, champion.entry(), "flow run moose")


# --------------------------------------------------------------------------------------------- one after the other


def test_without_a_promotion_the_champion_is_the_base_model(store):
    assert Champion(store, LINE).entry() is None and Champion(store, LINE).history() == [] and lines(store) == []


def test_the_history_says_who_when_why_and_by_which_figures(store):
    made = decision(policy(store, 1))
    entry = promote(store, made)
    assert Champion(store, LINE).history() == [entry] and lines(store) == [LINE]
    assert (entry.policy, entry.by, entry.why, entry.decision) == (made.policy, "flow run moose", made.reason, made)
    assert entry.evaluations["candidate"] == f"evaluate/{'1' * 24}"
    assert abs((datetime.fromisoformat(entry.at) - datetime.now(UTC)).total_seconds()) < 60


def test_a_rollback_is_an_entry_and_each_goes_back_one_further(store):
    first, second, third = (policy(store, seed) for seed in range(3))
    for each in (first, second, third):
        promote(store, decision(each))
    champion = Champion(store, LINE)
    back = [champion.roll_back(ME) for _ in range(3)]
    assert [entry.policy for entry in back] == [second, first, None]
    assert [entry.restores for entry in back] == [2, 1, 0] and back[0].why == ME.why
    with pytest.raises(UserError, match="base model"):
        champion.roll_back(ME)
    assert champion.roll_back(ME, to=4).policy == second, "a rollback stands for what it went back to"
    assert [entry.number for entry in champion.history()] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("to", [1, 9, -1])
def test_nobody_goes_back_to_what_is_in_force_or_never_was(tmp_path, to):
    store = open_store(FolderHome(path=str(tmp_path)))
    promote(store, decision(policy(store, 1)))
    with pytest.raises(UserError):
        Champion(store, LINE).roll_back(ME, to)
    assert len(Champion(store, LINE).history()) == 1


def test_a_refused_candidate_and_one_that_is_not_stored_never_become_champion(store):
    with pytest.raises(UserError, match="refused"):
        promote(store, decision(policy(store, 1), promotes=False))
    with pytest.raises(StepFailure, match="not in the store"):
        promote(store, decision(f"train/{'a' * 24}"))
    assert Champion(store, LINE).history() == []


def test_what_was_rolled_back_is_not_promoted_again_by_a_gate(tmp_path):
    store = open_store(FolderHome(path=str(tmp_path)))
    bad = policy(store, 1)
    promote(store, decision(bad))
    Champion(store, LINE).roll_back(ME)
    with pytest.raises(UserError, match=r"rolled back\..*--to 1"):
        promote(store, decision(bad))


def test_a_night_that_is_run_again_starts_from_the_champion_that_it_started_from(tmp_path):
    store = open_store(FolderHome(path=str(tmp_path)))
    champion = Champion(store, LINE)
    before = promote(store, decision(policy(store, 1), "2026-01-30"))
    made = decision(policy(store, 2), "2026-01-31")
    after = promote(store, made)
    assert champion.before("2026-01-31", made.policy) == before
    assert champion.before("2026-02-01", policy(store, 3)) == after
    assert champion.promote(made, {}, before, "flow run again") == after, "it is done already"
    again = decision(made.policy, made.night)
    assert champion.promote(again, {}, before, "flow run again") == after, "though the gate's drift has another past"


def test_another_candidate_of_a_night_is_compared_with_the_champion_in_force(tmp_path):
    """Whether the night has promoted one, has been rolled back, or a later night or one typed by mistake came first."""
    store = open_store(FolderHome(path=str(tmp_path)))
    champion, night = Champion(store, LINE), "2026-01-31"
    first = promote(store, decision(policy(store, 1), night))
    assert champion.before(night, policy(store, 2)) == first
    back = champion.roll_back(ME)
    assert champion.before(night, policy(store, 2)) == back
    ahead = promote(store, decision(policy(store, 3), "2027-01-31"))
    assert champion.before(night, policy(store, 2)) == ahead
    assert promote(store, decision(policy(store, 2), night)).number == 4


def test_an_earlier_night_that_is_run_again_changes_nothing_where_it_had_promoted(tmp_path):
    store = open_store(FolderHome(path=str(tmp_path)))
    champion = Champion(store, LINE)
    first = decision(policy(store, 1), "2026-01-01")
    one = promote(store, first)
    three = promote(store, decision(policy(store, 3), "2026-01-03"))
    assert champion.before("2026-01-01", first.policy) is None
    assert champion.promote(first, {}, None, "again") == one
    with pytest.raises(StepFailure, match="Meanwhile"):
        champion.promote(decision(policy(store, 2), "2026-01-02"), {}, one, "again")
    with pytest.raises(UserError, match="has been replaced"):
        champion.promote(first, {}, three, "by hand")
    assert champion.history() == [one, three]


def test_a_night_whose_candidate_was_rolled_back_does_not_promote_it_when_it_is_run_again(tmp_path):
    store = open_store(FolderHome(path=str(tmp_path)))
    champion, bad = Champion(store, LINE), decision(policy(store, 1))
    promoted = promote(store, bad)
    champion.roll_back(ME)
    assert champion.before(bad.night, bad.policy) is None, "it was compared with the base model, and is again"
    with pytest.raises(UserError, match=r"rolled back\..*--to 1"):
        champion.promote(bad, {}, None, "again")
    champion.roll_back(ME, to=1)
    assert champion.promote(bad, {}, None, "again") == promoted


# ------------------------------------------------------------------------------------------------- side by side


def test_of_promotions_at_the_same_moment_one_wins_and_the_others_are_told(home, store):
    rivals = 6
    made = [decision(policy(store, seed)) for seed in range(rivals)]
    ready = threading.Barrier(rivals)

    def rival(one: Decision) -> Entry | StepFailure:
        mine = Champion(open_store(home), LINE)
        seen = mine.entry()
        ready.wait()
        try:
            return mine.promote(one, {}, seen, one.policy)
        except StepFailure as failure:
            return failure

    with ThreadPoolExecutor(rivals) as pool:
        ended = list(pool.map(rival, made))
    (winner,) = (each for each in ended if isinstance(each, Entry))
    assert Champion(store, LINE).history() == [winner]
    losers = [each for each in ended if isinstance(each, StepFailure)]
    assert len(losers) == rivals - 1 and all(str(winner.policy) in str(each) for each in losers)


def test_a_promotion_that_was_compared_with_an_earlier_champion_is_too_late(store):
    champion = Champion(store, LINE)
    winner = promote(store, decision(policy(store, 1)))
    with pytest.raises(StepFailure, match="Meanwhile"):
        champion.promote(decision(policy(store, 2)), {}, None, "late")
    assert champion.entry() == winner


# ---------------------------------------------------------------------------------------------------- it is killed

EVENTS = frozenset({"open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.scandir", "os.listdir"})


def at_system_calls(store: Store, reached: Callable[[], None]) -> None:
    """`reached` before every call that touches the file system, and before what is written reaches the disk."""
    sys.addaudithook(lambda event, _: reached() if event in EVENTS else None)
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        reached()
        fsync(descriptor)

    os.fsync = watched


def at_requests(store: Store, reached: Callable[[], None]) -> None:
    """`reached` before every request is sent, and when its answer has come but nobody has looked at it."""
    events = store._shelf.client.meta.events  # type: ignore[attr-defined]
    events.register("before-send.s3.*", lambda **_: reached())
    events.register("response-received.s3.*", lambda **_: reached())


def killed(home: Home, at: int, work: Callable[[Store], object]) -> bool:
    """Do the work in a process of its own that is killed at the point with this number; whether it got so far."""
    if (child := os.fork()) == 0:
        points = iter(range(at))

        def reached() -> None:
            if next(points, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            store = open_store(home)
            (at_requests if home.kind == "s3" else at_system_calls)(store, reached)
            work(store)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


Change = Callable[[Champion, Entry, Decision], object]
CHANGES: dict[str, Change] = {
    "promotion": lambda champion, seen, made: champion.promote(made, {}, seen, "the night"),
    "rollback": lambda champion, seen, made: champion.roll_back(ME),
}


def changed(change: Change, line: str, seen: Entry, made: Decision, store: Store) -> None:
    change(Champion(store, line), seen, made)


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_that_is_killed_at_any_point_leaves_the_old_champion_or_the_new_one_whole(home, store, kind):
    """And whoever comes next can go on from there."""
    first, made = decision(policy(store, 0), "2026-01-01"), decision(policy(store, 1))
    lengths: set[int] = set()
    for at in range(500):
        champion = Champion(store, f"small-{at}")
        old = champion.promote(first, {}, None, "an earlier night")
        was_killed = killed(home, at, partial(changed, CHANGES[kind], champion.line, old, made))
        history = champion.history()
        lengths.add(len(history))
        new = [entry.policy for entry in history[1:]]
        assert history[0] == old and new in ([], [made.policy if kind == "promotion" else None])
        if not was_killed:
            break
        if not new:
            CHANGES[kind](champion, old, made)
        assert len(champion.history()) == 2
    assert lengths == {1, 2} and len(new) == 1, "killed before and after the change, and at last not killed"
    assert at >= 6


# ------------------------------------------------------------------------------------------------------- as typed


def test_what_is_typed_shows_the_champion_and_brings_an_earlier_one_back(tmp_path, capsys):
    store = open_store(FolderHome(path=str(tmp_path)))
    first, second = policy(store, 1), policy(store, 2)
    promote(store, decision(first, "2026-01-30"))
    promote(store, decision(second, "2026-01-31"))
    place = ["--store", str(tmp_path)]
    assert main(["champion", *place]) == 0 and capsys.readouterr().out == f"small: {second}\n"
    assert main(["rollback", "small", "--why", "It rambles.", *place]) == 0
    assert first in capsys.readouterr().out
    assert main(["rollback", "small", "--to", second[:14], *place]) == 0
    assert main(["rollback", "small", "--to", "0", *place]) == 0
    capsys.readouterr()
    assert main(["champion", "small", *place]) == 0
    told = capsys.readouterr().out
    assert told.startswith("The champion of small is the base model.")
    assert "It rambles." in told and f"rollback to 2  {second}" in told and "flow run moose: So it is." in told
    assert main(["champion", "small", "--json", *place]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5
    assert main(["rollback", "small", "--to", "never", *place]) == 2
    assert "was never champion" in capsys.readouterr().err
    assert main(["champion", "smal", *place]) == 2
    assert "Did you mean small?" in capsys.readouterr().err
    assert main(["champion", "../../x", *place]) == 2
