"""Leases of devices: valid while somebody holds them, met in the order of asking, one place for all users."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effreason.errors import EffreasonError, StepFailure, UserError
from effreason.leasing import locked_files
from effreason.leasing.allotting import FreeDevices
from effreason.leasing.device_queue import DeviceQueue
from effreason.leasing.devices import visible_gpus
from effreason.leasing.folder import leases_folder
from effreason.leasing.lease_table import LeaseTable
from effreason.leasing.records import Claim, Holder, Lease, Ticket

ME = Holder(user="ada", process=1, experiment="small", step="train", flow_run="f")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EFFREASON_LEASES", str(tmp_path / "leases"))
    return leases_folder()


def ticket(count: int = 1, **parts: float) -> Ticket:
    return Ticket(holder=ME, claim=Claim(count=count, parts=parts))


# --------------------------------------------------------------------------------------------------- who gets what

devices = st.lists(st.sampled_from("abcd"), min_size=1, unique=True)
parts = st.sampled_from([0.25, 1 / 3, 0.5, 1.0])


@st.composite
def claims(draw: st.DrawFn) -> Claim:
    wanted = {device: draw(parts) for device in draw(devices)}
    return Claim(count=draw(st.integers(1, len(wanted))), parts=wanted)


queues = st.lists(claims(), max_size=12)


@given(queues)
def test_no_more_is_given_of_a_device_than_there_is(queue):
    free = FreeDevices([])
    given = [met for claim in queue if (met := free.allot(claim)) is not None]
    for device in "abcd":
        assert sum(met.get(device, 0.0) for met in given) <= 1 + 1e-6


@given(queues)
def test_a_claim_gets_all_its_devices_or_none(queue):
    free = FreeDevices([])
    for claim in queue:
        met = free.allot(claim)
        assert met is None or (len(met) == claim.count and met.items() <= claim.parts.items())


@given(queues)
def test_nobody_gets_a_device_that_somebody_before_waits_for(queue):
    free, awaited = FreeDevices([]), set()
    for claim in queue:
        met = free.allot(claim)
        if met is None:
            awaited |= claim.parts.keys()
        else:
            assert not awaited & met.keys()


@given(queues)
def test_whoever_is_first_goes_when_nothing_is_leased_so_everybody_goes_in_the_end(queue):
    rounds = 0
    while queue:
        free = FreeDevices([])
        waiting = [claim for claim in queue if free.allot(claim) is None]
        assert len(waiting) < len(queue)
        queue, rounds = waiting, rounds + 1
    assert rounds <= 12


def test_a_claim_for_other_devices_does_not_wait_behind_one_that_waits():
    free = FreeDevices([{"a": 1.0}])
    assert free.allot(Claim(parts={"a": 1})) is None
    assert free.allot(Claim(parts={"a": 1, "b": 1})) == {"b": 1}


def test_those_who_share_fill_a_device_before_they_begin_another():
    free = FreeDevices([{"b": 0.5}])
    assert free.allot(Claim(parts={"a": 0.5, "b": 0.5})) == {"b": 0.5}
    assert free.allot(Claim(parts={"a": 1, "b": 1})) == {"a": 1}


def test_three_thirds_are_a_whole():
    free = FreeDevices([{"a": 1 / 3}, {"a": 1 / 3}])
    assert free.allot(Claim(parts={"a": 1 / 3})) == {"a": 1 / 3}
    assert free.spent(["a"])


# ---------------------------------------------------------------------------------------- files that count while locked


def test_locked_files_are_in_the_order_in_which_they_were_written(tmp_path):
    written = [locked_files.write(tmp_path, str(number)) for number in range(20)]
    assert [text for _, text in locked_files.valid(tmp_path)] == [str(number) for number in range(20)]
    for lock in written:
        lock.withdraw()
    assert list(tmp_path.iterdir()) == []


def test_what_an_unlocked_file_says_is_never_believed(folder):
    text = Lease(holder=ME, parts={"a": 1}).model_dump_json()
    (folder / "leases" / "00000000000000000001-00000000").write_text(text)
    (folder / "leases" / "00000000000000000002-00000000").write_text("half a li")
    table = LeaseTable(folder)
    assert list(table.leases()) == []
    assert list((folder / "leases").iterdir()) == [], "it is cleared away"


def test_a_locked_file_that_cannot_be_understood_is_no_free_device(folder):
    lock = locked_files.write(folder / "leases", '{"version": 9}')
    with pytest.raises(StepFailure, match="is not a valid lease for this version"):
        list(LeaseTable(folder).leases())
    lock.withdraw()


def test_a_child_keeps_a_lease_that_its_parent_has_let_go(folder):
    table = LeaseTable(folder)
    lock = table.grant(Lease(holder=ME, parts={"a": 1}))
    child = subprocess.Popen(["sleep", "60"], pass_fds=[lock.descriptor])
    stranger = subprocess.Popen(["sleep", "60"])
    lock.withdraw()
    assert [lease.parts for lease in table.leases()] == [{"a": 1}]
    child.kill()
    child.wait()
    assert list(table.leases()) == []
    stranger.kill()
    stranger.wait()


def test_a_folder_that_is_gone_is_told_with_the_remedy(tmp_path):
    with pytest.raises(StepFailure, match=r"No such file.*EFFREASON_LEASES"):
        locked_files.write(tmp_path / "nowhere", "text")
    with pytest.raises(StepFailure, match=r"No such file.*EFFREASON_LEASES"):
        list(locked_files.valid(tmp_path / "nowhere"))


# ------------------------------------------------------------------------------------------------- where they wait


class Waiter:
    """A thread that takes what it can get, and gives it back when told."""

    def __init__(self, device_queue: DeviceQueue, wanted: Ticket) -> None:
        self.stopping, self.enough = threading.Event(), threading.Event()
        self.parts: dict[str, float] | None = None
        self.error: EffreasonError | None = None
        self.answered = threading.Event()
        self._queue, self._wanted = device_queue, wanted
        self.thread = threading.Thread(target=self._wait)
        self.thread.start()
        time.sleep(0.01)

    def _wait(self) -> None:
        try:
            with self._queue.take(self._wanted, self.stopping) as granted:
                self.parts = granted.parts if granted else None
                self.answered.set()
                if granted:
                    self.enough.wait(30)
        except EffreasonError as error:
            self.error = error
            self.answered.set()

    def leave(self) -> None:
        self.stopping.set()
        self.enough.set()
        self._queue.wake()
        self.thread.join(30)


@pytest.fixture
def device_queue(folder: Path) -> DeviceQueue:
    return DeviceQueue(LeaseTable(folder))


@pytest.fixture
def waiters() -> Iterator[list[Waiter]]:
    everybody: list[Waiter] = []
    yield everybody
    for waiter in everybody:
        waiter.leave()


def test_a_device_goes_to_the_next_in_the_queue_at_once(device_queue, waiters):
    waiters += [Waiter(device_queue, ticket(a=1)) for _ in range(3)]
    assert waiters[0].answered.wait(5)
    began = time.monotonic()
    waiters[0].leave()
    assert waiters[1].answered.wait(5)
    assert time.monotonic() - began < 1
    assert not waiters[2].answered.is_set()


def test_one_at_a_time_has_the_right_to_grant(folder):
    with LeaseTable(folder).grant_lock() as first, LeaseTable(folder).grant_lock() as second:
        assert first and not second
    with LeaseTable(folder).grant_lock() as third:
        assert third, "it was given back"


def test_nobody_gets_a_device_while_another_process_may_be_granting_it(device_queue, folder, waiters):
    with LeaseTable(folder).grant_lock():
        waiters.append(Waiter(device_queue, ticket(a=1)))
        assert not waiters[0].answered.wait(0.3)
    assert waiters[0].answered.wait(5) and waiters[0].parts == {"a": 1}


def test_who_wants_two_devices_is_not_starved_by_those_who_want_one(device_queue, waiters):
    waiters += [Waiter(device_queue, ticket(a=1, b=1)), Waiter(device_queue, ticket(a=1, b=1))]
    assert all(waiter.answered.wait(5) for waiter in waiters)
    both, late = Waiter(device_queue, ticket(2, a=1, b=1)), Waiter(device_queue, ticket(a=1, b=1))
    waiters += [both, late]
    waiters[0].leave()
    assert not late.answered.wait(0.3), "one is free, and kept for who came before"
    waiters[1].leave()
    assert both.answered.wait(5) and both.parts == {"a": 1, "b": 1}
    both.leave()
    assert late.answered.wait(5)


def test_who_stops_waiting_leaves_no_ticket_and_delays_nobody(device_queue, folder, waiters):
    waiters += [Waiter(device_queue, ticket(a=1)) for _ in range(3)]
    assert waiters[0].answered.wait(5)
    began = time.monotonic()
    waiters[1].leave()
    assert waiters[1].answered.is_set() and waiters[1].parts is None
    assert time.monotonic() - began < 1
    waiters[0].leave()
    assert waiters[2].answered.wait(5)
    assert list((folder / "queue").iterdir()) == []


def test_a_device_on_which_something_runs_is_not_given_away_though_nobody_leases_it(folder, waiters):
    running = {"a"}
    device_queue = DeviceQueue(LeaseTable(folder), lambda device: device in running)
    waiters += [Waiter(device_queue, ticket(a=1, b=1)), Waiter(device_queue, ticket(a=1, b=1))]
    assert waiters[0].answered.wait(5) and waiters[0].parts == {"b": 1}
    assert not waiters[1].answered.wait(0.3)
    running.clear()
    assert waiters[1].answered.wait(5) and waiters[1].parts == {"a": 1}


def test_those_who_have_a_lease_bar_nobody_from_the_rest_of_the_device_and_one_without_bars_it(folder, waiters):
    running = {"a": 0}
    device_queue = DeviceQueue(LeaseTable(folder), lambda device: running[device])
    waiters.append(Waiter(device_queue, ticket(a=0.25)))
    assert waiters[0].answered.wait(5)
    running["a"] = 1
    waiters.append(Waiter(device_queue, ticket(a=0.25)))
    assert waiters[1].answered.wait(5)
    running["a"] = 3
    waiters.append(Waiter(device_queue, ticket(a=0.25)))
    assert not waiters[2].answered.wait(0.7), "one of the three has no lease any more"
    running["a"] = 2
    assert waiters[2].answered.wait(5)


def test_a_holder_that_dies_while_it_is_asked_what_runs_leaves_its_device_to_nobody_until_that_has_ended(
    folder, waiters
):
    table, running = LeaseTable(folder), {"a": 1}
    locks_of_the_dead = [table.grant(Lease(holder=ME, parts={"a": 0.5}))]

    def asked(device: str) -> int:
        while locks_of_the_dead:
            locks_of_the_dead.pop().withdraw()
        return running[device]

    waiters.append(Waiter(DeviceQueue(table, asked), ticket(a=0.5)))
    assert not waiters[0].answered.wait(0.7)
    running["a"] = 0
    assert waiters[0].answered.wait(5)


def test_what_cannot_be_known_for_a_moment_is_asked_again(folder, waiters):
    answers = iter([StepFailure("It starts anew.", "Wait.")] * 2)

    def asked(device: str) -> int:
        for failure in answers:
            raise failure
        return 0

    waiters.append(Waiter(DeviceQueue(LeaseTable(folder), asked), ticket(a=1)))
    assert waiters[0].answered.wait(5) and waiters[0].parts == {"a": 1}


def test_only_the_step_fails_of_whose_device_nothing_can_be_known_for_long(monkeypatch, folder, waiters):
    monkeypatch.setattr("effreason.leasing.device_queue.UNKNOWN_SECONDS", 0.1)

    def asked(device: str) -> int:
        if device == "a":
            raise StepFailure("The engine is away.", "Start it.")
        return 0

    device_queue = DeviceQueue(LeaseTable(folder), asked)
    waiters.append(Waiter(device_queue, ticket(b=1)))
    assert waiters[0].answered.wait(5)
    # The first of the two attends for both.
    waiters += [Waiter(device_queue, ticket(b=1)), Waiter(device_queue, ticket(a=1))]
    assert waiters[2].answered.wait(5) and "The engine is away" in str(waiters[2].error)
    assert len(list((folder / "queue").iterdir())) == 1, "it has left the queue"
    waiters[0].leave()
    assert waiters[1].answered.wait(5) and waiters[1].parts == {"b": 1}


def test_a_lease_for_which_there_is_no_room_fails_its_step_alone_and_leaves_the_queue(monkeypatch, folder, waiters):
    table = LeaseTable(folder)
    grant, full = table.grant, threading.Event()

    def grant_unless_full(lease: Lease) -> locked_files.LockedFile:
        if full.is_set():
            raise StepFailure("No space left on device.", "Make room.")
        return grant(lease)

    monkeypatch.setattr(table, "grant", grant_unless_full)
    device_queue = DeviceQueue(table)
    waiters += [Waiter(device_queue, ticket(a=1)), Waiter(device_queue, ticket(b=1))]
    assert all(waiter.answered.wait(5) for waiter in waiters)
    # The first of the two attends for both.
    waiters += [Waiter(device_queue, ticket(a=1)), Waiter(device_queue, ticket(b=1))]
    full.set()
    waiters[1].leave()
    assert waiters[3].answered.wait(5) and "No space" in str(waiters[3].error)
    assert len(list((folder / "queue").iterdir())) == 1, "it has left the queue"
    full.clear()
    waiters[0].leave()
    assert waiters[2].answered.wait(5) and waiters[2].parts == {"a": 1}


def test_a_launcher_that_asks_for_long_what_runs_holds_up_no_other_process(folder, waiters):
    asked, answer = threading.Event(), threading.Event()

    def slow(device: str) -> bool:
        asked.set()
        return not answer.wait(30)

    waiters.append(Waiter(DeviceQueue(LeaseTable(folder), slow), ticket(a=1, b=1)))
    assert asked.wait(5)
    waiters.append(Waiter(DeviceQueue(LeaseTable(folder)), ticket(a=1, b=1)))
    assert waiters[1].answered.wait(5) and waiters[1].parts == {"b": 1}, "the first device is the other's"
    answer.set()
    assert waiters[0].answered.wait(5) and waiters[0].parts == {"a": 1}


# ------------------------------------------------------------------------------------------- one place for all users

TAKER = """
import os, sys, threading
from effreason.leasing.device_queue import DeviceQueue
from effreason.leasing.folder import leases_folder
from effreason.leasing.lease_table import LeaseTable
from effreason.leasing.records import Claim, Holder, Ticket
holder = Holder(user="bob", process=2, experiment="other", step="train", flow_run="g")
claim = Claim(parts={"a": 1})
if len(sys.argv) > 1:  # become another user, who may not be allowed to read this very program
    os.umask(0o077)
    os.setuid(int(sys.argv[1]))
print("asks", flush=True)
with DeviceQueue(LeaseTable(leases_folder())).take(Ticket(holder=holder, claim=claim), threading.Event()):
    print("has", flush=True)
    sys.stdin.read()
"""


def taker(*user: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", TAKER, *map(str, user)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    assert process.stdout is not None and process.stdout.readline() == "asks\n"
    return process


def test_the_kernel_frees_the_device_of_a_killed_holder_at_once(device_queue, waiters):
    holder = taker()
    assert holder.stdout.readline() == "has\n"
    waiters.append(Waiter(device_queue, ticket(a=1)))
    assert not waiters[0].answered.wait(0.3)
    began = time.monotonic()
    holder.kill()
    assert waiters[0].answered.wait(5)
    assert time.monotonic() - began < 1
    holder.communicate()


def test_a_killed_waiter_holds_nobody_up(device_queue, waiters):
    waiters.append(Waiter(device_queue, ticket(a=1)))
    between = taker()
    time.sleep(0.3)
    waiters.append(Waiter(device_queue, ticket(a=1)))
    between.kill()
    waiters[0].leave()
    assert waiters[1].answered.wait(5)
    between.communicate()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become other users")
@pytest.mark.parametrize("first", [0, 65534])
def test_users_wait_for_one_another_whatever_their_umask(monkeypatch, first):
    place = Path(tempfile.mkdtemp())  # not in a folder of pytest's, which is closed to other users
    place.chmod(0o777)
    folder = place / "leases"
    monkeypatch.setenv("EFFREASON_LEASES", str(folder))
    one = taker(first)
    assert one.stdout.readline() == "has\n"
    other = taker(1)
    killed = taker(2)
    time.sleep(0.3)
    assert len(list(LeaseTable(folder).queue())) == 2
    killed.kill()
    killed.communicate()
    one.kill()
    one.communicate()
    assert other.stdout.readline() == "has\n"
    assert [lease.holder.user for lease in LeaseTable(folder).leases()] == ["bob"]
    other.communicate("")
    shutil.rmtree(place)


def test_a_folder_that_is_not_to_be_had_is_refused_with_the_remedy(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("EFFREASON_LEASES", str(tmp_path / "file" / "leases"))
    with pytest.raises(UserError, match="EFFREASON_LEASES"):
        leases_folder()


def test_the_folder_that_exists_goes_before_the_one_that_could_be_made(tmp_path, monkeypatch):
    monkeypatch.delenv("EFFREASON_LEASES")
    monkeypatch.setattr("effreason.leasing.folder.USUAL", (tmp_path / "run" / "lock", tmp_path / "tmp"))
    assert leases_folder() == tmp_path / "tmp", "the first one cannot be made"
    (tmp_path / "run").mkdir()
    assert leases_folder() == tmp_path / "tmp", "others already meet there"


# ----------------------------------------------------------------------------------------------- which GPUs there are

TWO_MODELS = json.dumps([{"uuid": "GPU-aa1", "name": "H100"}, {"uuid": "GPU-aa2", "name": "L4"}])


@pytest.mark.parametrize(
    ("visible", "seen"),
    [
        ("", []),
        ("-1", []),
        ("2,0", ["FAKE-2", "FAKE-0"]),
        ("FAKE-10,1", ["FAKE-10", "FAKE-1"]),
        ("FAKE-1", ["FAKE-1"]),
        ("0,99,1", ["FAKE-0"]),
        ("0,-1,1", ["FAKE-0"]),
        ("0,FAKE,1", ["FAKE-0"]),
        ("1, 1", ["FAKE-1"]),
    ],
)
def test_the_visible_gpus_are_those_that_cuda_would_see(monkeypatch, visible, seen):
    monkeypatch.setenv("EFFREASON_FAKE_GPUS", "12")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu.uuid for gpu in visible_gpus()] == seen


def test_an_index_that_could_mean_two_gpus_is_refused(monkeypatch):
    monkeypatch.setenv("EFFREASON_FAKE_GPUS", TWO_MODELS)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    with pytest.raises(UserError, match="CUDA_DEVICE_ORDER=PCI_BUS_ID"):
        visible_gpus()
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert [gpu.name for gpu in visible_gpus()] == ["L4"]
    monkeypatch.delenv("CUDA_DEVICE_ORDER")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-aa2")
    assert [gpu.name for gpu in visible_gpus()] == ["L4"]


def test_made_up_gpus_that_are_no_list_are_refused(monkeypatch):
    monkeypatch.setenv("EFFREASON_FAKE_GPUS", "four")
    with pytest.raises(UserError, match="neither a number nor a list"):
        visible_gpus()
