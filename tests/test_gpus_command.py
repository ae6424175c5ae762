"""`effreason gpus`: what a person asks who wonders why a step waits."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from effreason.cli import main
from effreason.leasing.folder import leases_folder
from effreason.leasing.lease_table import LeaseTable
from effreason.leasing.records import CORES, Claim, Holder, Lease, Ticket

HERE = Path(__file__).parent


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LeaseTable:
    monkeypatch.setenv("EFFREASON_LEASES", str(tmp_path / "leases"))
    monkeypatch.setenv("EFFREASON_FAKE_GPUS", "3")
    return LeaseTable(leases_folder())


def holder(step: str) -> Holder:
    return Holder(user="ada", process=77, experiment="small", step=step, flow_run="f-1")


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["gpus", *arguments]) == 0
    return capsys.readouterr().out


def test_every_gpu_is_shown_with_all_who_have_it_and_those_who_wait_in_their_order(table, capsys):
    locks = [
        table.grant(Lease(holder=holder("train 0.1"), parts={"FAKE-0": 1, "FAKE-1": 0.5})),
        table.grant(Lease(holder=holder("train 0.2"), parts={"FAKE-1": 0.5})),
        table.grant(Lease(holder=holder("prepare"), parts={CORES: 0.25})),
        table.grant(Lease(holder=holder("elsewhere"), parts={"GPU-of-others": 1})),
        table.line_up(Ticket(holder=holder("train 0.4"), claim=Claim(count=2, parts={"FAKE-0": 1, "FAKE-2": 1}))),
        table.line_up(Ticket(holder=holder("evaluate"), claim=Claim(parts={"FAKE-1": 0.5}))),
        table.line_up(Ticket(holder=holder("report"), claim=Claim(parts={CORES: 0.5}))),
    ]
    table = [line.split("  ") for line in shown(capsys).splitlines()]
    told = [
        " | ".join(cell.strip() for cell in line if cell.strip())[: -len(" | 2026-01-31 09:30:00")] for line in table
    ]
    assert told[1:3] == [
        "FAKE-0 | made up | 80.0 GiB | - | ada small train 0.1 (process 77)",
        "FAKE-1 | made up | 80.0 GiB | - | 50%: ada small train 0.1 (process 77)",
    ]
    assert told[3] == "50%: ada small train 0.2 (process 77)", "on the same GPU"
    assert " ".join(table[4]).split() == ["FAKE-2", "made", "up", "80.0", "GiB", "-", "free"]
    assert told[5:7] == [
        "cpu | cores | - | - | 25%: ada small prepare (process 77)",
        "GPU-of-others | - | - | - | ada small elsewhere (process 77)",
    ]
    assert told[9:] == [
        "1 | 2 of 2 GPUs | ada small train 0.4 (process 77)",
        "2 | 50% of 1 of 1 GPUs | ada small evaluate (process 77)",
        "3 | 50% of the cores | ada small report (process 77)",
    ]
    for lock in locks:
        lock.withdraw()


def test_programs_get_the_same_as_json(table, capsys):
    lease = table.grant(Lease(holder=holder("train"), parts={"FAKE-0": 0.5}))
    ticket = table.line_up(Ticket(holder=holder("evaluate"), claim=Claim(parts={"FAKE-0": 1})))
    answer = json.loads(shown(capsys, "--json"))
    assert [gpu["uuid"] for gpu in answer["gpus"]] == ["FAKE-0", "FAKE-1", "FAKE-2"]
    assert answer["leases"][0]["parts"] == {"FAKE-0": 0.5}
    assert answer["leases"][0]["holder"]["flow_run"] == "f-1"
    assert answer["queue"][0]["holder"]["step"] == "evaluate"
    lease.withdraw()
    ticket.withdraw()


def test_a_machine_without_a_gpu_says_so(table, capsys, monkeypatch):
    monkeypatch.setenv("EFFREASON_FAKE_GPUS", "0")
    assert "no GPU" in shown(capsys)


@pytest.mark.skipif(shutil.which("cc") is None, reason="the driver's library is stood in for by a compiled one")
def test_the_driver_is_asked_for_gpus_and_for_the_instances_of_those_that_are_divided(tmp_path):
    library = tmp_path / "libnvidia-ml.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, HERE / "fake_nvml.c"], check=True)
    environment = {name: value for name, value in os.environ.items() if name != "EFFREASON_FAKE_GPUS"}
    answer = subprocess.run(
        [sys.executable, "-m", "effreason", "gpus", "--json"],
        env={**environment, "LD_LIBRARY_PATH": str(tmp_path)},
        cwd=HERE.parent,
        capture_output=True,
        check=True,
    )
    gpus = json.loads(answer.stdout)["gpus"]
    assert [tuple(gpu.values()) for gpu in gpus] == [
        ("GPU-aaaa", "NVIDIA H100", 0, 80 << 30, 3 << 30, 42),
        ("MIG-bbbb", "NVIDIA A100 MIG 3g.20gb", 1, 20 << 30, 0, None),
        ("MIG-cccc", "NVIDIA A100 MIG 3g.20gb", 1, 20 << 30, 0, None),
    ], "a GPU that is lost, and places without an instance, are left out"
