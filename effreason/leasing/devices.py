"""The GPUs of this machine, and those of them that CUDA_VISIBLE_DEVICES leaves to this process.

They are known by the names that NVIDIA gives them for good (GPU-… or MIG-…), since an index means another GPU in a
process that sees fewer of them. EFFREASON_FAKE_GPUS makes GPUs up: a number of them, or JSON such as
`[{"uuid": "GPU-a", "name": "small one", "memory": 8589934592}]`, in bytes.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from effreason.errors import UserError
from effreason.frozen import Frozen
from effreason.leasing.nvml import readings

GIB = 1 << 30
FAKE_MEMORY = 80 * GIB
NODES = Path("/dev")


class Gpu(Frozen):
    """A GPU or an instance of one. Made here; read by `tasks.running.turns` and `effreason gpus`."""

    uuid: str
    """The UUID of the GPU, or of an instance where the GPU is divided."""
    name: str = "made up"
    number: int = 0
    """The number of the GPU, in the order of the PCI bus."""
    memory: int | None = FAKE_MEMORY
    """Bytes, as are those in use at this moment; None where there is no driver to ask."""
    memory_used: int | None = None
    utilisation: int | None = None
    """Percentage of the driver's last sampling period in which something ran."""


def machine_gpus() -> list[Gpu]:
    """Return all GPUs that the driver knows, or all that are simulated."""
    made_up = os.environ.get("EFFREASON_FAKE_GPUS")
    if made_up is not None:
        return _made_up(made_up)
    return [Gpu(**reading._asdict()) for reading in readings()]


def visible_gpus() -> list[Gpu]:
    """Return the GPUs that this process may use, in the order of CUDA_VISIBLE_DEVICES.

    Raises:
        UserError: an index could mean either of two GPUs.
    """
    known = machine_gpus()
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return known or [_nameless(node.name.removeprefix("nvidia")) for node in sorted(NODES.glob("nvidia[0-9]*"))]
    entries = [entry.strip() for entry in chosen.split(",")]
    if not known:  # no driver that could say their lasting names
        return [_nameless(entry) for entry in dict.fromkeys(entries) if entry not in ("", "-1")]
    _refuse_ambiguous(entries, known, os.environ)
    found = {gpu.uuid: gpu for gpu in _chosen(entries, known)}
    return list(found.values())


def _chosen(entries: Sequence[str], known: Sequence[Gpu]) -> Iterator[Gpu]:
    """Yield the GPUs as CUDA reads the entries: what follows an entry that names nothing is hidden too."""
    for entry in entries:
        if entry.isdecimal():
            gpus = [gpu for gpu in known if gpu.number == int(entry)]
        else:
            alike = [gpu for gpu in known if entry and gpu.uuid.startswith(entry)]
            gpus = [gpu for gpu in alike if gpu.uuid == entry] or alike
            if len({gpu.number for gpu in gpus}) > 1:
                return  # a beginning that two GPUs have in common
        if not gpus:
            return
        yield from gpus


def _nameless(entry: str) -> Gpu:
    return Gpu(uuid=entry, name="unknown", memory=None)


def _refuse_ambiguous(entries: Sequence[str], known: Sequence[Gpu], environment: Mapping[str, str]) -> None:
    """Refuse indices if GPUs differ in model: CUDA counts the fastest first, the driver goes by the PCI bus."""
    counted = any(entry.isdecimal() for entry in entries)
    models = {gpu.name for gpu in known}
    if counted and len(models) > 1 and environment.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        raise UserError(
            f"CUDA_VISIBLE_DEVICES numbers GPUs of different models ({', '.join(sorted(models))}) in CUDA's order.",
            "Set CUDA_DEVICE_ORDER=PCI_BUS_ID, or name the GPUs by their UUIDs, shown by `effreason gpus`.",
        )


def _made_up(text: str) -> list[Gpu]:
    if text.strip().isdecimal():
        return [Gpu(uuid=f"FAKE-{number}", number=number) for number in range(int(text))]
    try:
        gpus = TypeAdapter(list[Gpu]).validate_json(text)
    except ValidationError as error:
        raise UserError(
            "EFFREASON_FAKE_GPUS is neither a number nor a list of GPUs.",
            'Give a number, or JSON such as [{"uuid": "GPU-a", "name": "small one", "memory": 8589934592}].',
        ) from error
    return [gpu.model_copy(update={"number": number}) for number, gpu in enumerate(gpus)]
