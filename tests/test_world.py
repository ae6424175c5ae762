"""Several processes that train together."""

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from test_microbatches import rollout
from test_resume import ordered
from tiny_training import without_times_of

from effreason.choices import BatchNormalised, Lora, PolicyGradient, Ppo
from effreason.order import Order
from effreason.store.folder import FolderStore
from effreason.training.ledger import COMPLETIONS, METRICS
from effreason.training.microbatches import deal
from effreason.training.world import World


@given(st.integers(1, 5), st.lists(st.integers(1, 30), min_size=1, max_size=40))
def test_every_process_has_as_many_micro_batches_with_as_many_rows_and_no_row_is_lost(size, lengths):
    rollouts = [rollout(place, tokens) for place, tokens in enumerate(lengths)]
    hands = [deal(rollouts, 64, World(rank, size)) for rank in range(size)]
    assert len({tuple(map(len, hand)) for hand in hands}) == 1
    dealt = [row for hand in hands for rows in hand for row in rows]
    assert sorted(row.group for row in dealt if row.advantage) == list(range(len(lengths)))


def ordered_of(folder: Path, processes: int, **changes: object) -> list[str]:
    """The command that trains with so many processes."""
    folder.mkdir()
    order, path = ordered(folder)
    training = order.spec.training.model_copy(update=changes)
    order = Order(
        spec=order.spec.model_copy(update={"training": training}),
        store=order.store,
        runtime=order.runtime.model_copy(update={"processes": processes}),
    )
    path.write_text(order.model_dump_json())
    return [sys.executable, "-m", "effreason", "step", "train", str(path)]


def trained(command: list[str]) -> Path:
    """The folder of the policy that the command has trained."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count('"manifest"') == 1
    order = Order.model_validate_json(Path(command[-1]).read_text())
    folder = Path(command[-1]).parent
    store = FolderStore(folder / "store")
    manifest = store.find(order.spec.address)
    assert manifest is not None
    return store.fetch(manifest, folder / "kept")


def killed_after(step: int, command: list[str]) -> None:
    """All processes of the command end at once when the step is done: their standard input closes."""
    python, *what, name, path = command
    process = subprocess.Popen(
        [python, *what, "--until-stdin-closes", name, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None and process.stdout is not None
    for line in process.stdout:
        if f'"phase":"train","done":{step}' in line.decode():
            process.stdin.close()
    assert process.wait() != 0


@pytest.mark.parametrize(
    "algorithm", [PolicyGradient(advantage=BatchNormalised()), Ppo()], ids=lambda algorithm: algorithm.kind
)
def test_two_processes_give_the_rewards_advantages_and_weights_of_one(tmp_path: Path, algorithm: object) -> None:
    changes = {"steps": 2, "algorithm": algorithm, "updates_per_step": 2}
    one, two = (trained(ordered_of(tmp_path / str(processes), processes, **changes)) for processes in (1, 2))
    columns = ["step", "problem_id", "sample", "text", "reward"]
    tables = [pq.read_table(kept / COMPLETIONS) for kept in (one, two)]
    assert tables[0].select(columns).equals(tables[1].select(columns))
    advantages = [table.column("advantage").to_pylist() for table in tables]
    assert advantages[0] == pytest.approx(advantages[1], abs=1e-4)
    first, second = (without_times_of(kept / METRICS) for kept in (one, two))
    for line, other in zip(first, second, strict=True):
        known = {name: value for name, value in line.items() if value is not None}
        assert known == pytest.approx({name: other[name] for name in known}, rel=2e-3, abs=1e-3)
    weights = [load_file(kept / "model" / "model.safetensors") for kept in (one, two)]
    for name, weight in weights[0].items():
        torch.testing.assert_close(weight, weights[1][name], rtol=0, atol=2e-4)


@pytest.mark.slow
def test_two_processes_that_were_killed_go_on_with_the_dropout_of_undisturbed_ones(tmp_path: Path) -> None:
    adapters = Lora(rank=4, scale=8, dropout=0.3)
    calm, disturbed = (ordered_of(tmp_path / name, 2, weights=adapters) for name in ("calm", "disturbed"))
    killed_after(3, disturbed)  # a checkpoint was taken after step 2
    kept = [trained(command) / "model" / "model.safetensors" for command in (calm, disturbed)]
    expected, found = map(load_file, kept)
    for name, weight in expected.items():
        torch.testing.assert_close(weight, found[name], rtol=0, atol=1e-6)
