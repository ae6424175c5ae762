"""What a GPU holds and how fast it is, by its data sheet, and which one is here.

Rates are the data sheets' for dense bfloat16 with float32 sums, and for the memory of the GPU. What a program sustains
of them is assumed in `OPERATIONS_SHARE` and `BANDWIDTH_SHARE`, not measured.
"""

import difflib
import os
import re
import subprocess
from dataclasses import dataclass, replace

from effreason.errors import UserError

GIB = 1 << 30

OPERATIONS_SHARE = 0.4
"""The share of the peak that products of matrices reach if they fill the GPU."""
BANDWIDTH_SHARE = 0.6
"""The share of the peak bandwidth that decoding reaches."""


@dataclass(frozen=True)
class Device:
    """The hardware that a step runs on."""

    name: str
    memory: int
    """Bytes."""
    gpu: bool
    operations_per_second: float
    """The sustained rate, not the data sheet's peak."""
    bytes_per_second: float
    """The sustained rate."""
    seconds_per_layer: float
    """The time to start the operators of one layer, whatever they compute."""
    seconds_per_token: float
    """The time spent on each token whatever the model's size: drawn, decoded to text, graded."""


def _gpu(name: str, gib: float, teraflops: float, gigabytes_per_second: float) -> Device:
    return Device(
        name=name,
        memory=int(gib * GIB),
        gpu=True,
        operations_per_second=OPERATIONS_SHARE * teraflops * 1e12,
        bytes_per_second=BANDWIDTH_SHARE * gigabytes_per_second * 1e9,
        seconds_per_layer=6e-4,  # some twenty operators at about 30 µs each, from Python
        seconds_per_token=1e-5,
    )


GPUS = {
    device.name: device
    for device in (
        # Memory is what the driver reports, a little less than the name says: error correction takes its share.
        _gpu("l4-24", 22.5, 121, 300),
        _gpu("rtx-4090", 24.0, 165, 1008),
        _gpu("a100-40", 39.5, 312, 1555),
        _gpu("l40s-48", 45.0, 362, 864),
        _gpu("a100-80", 79.6, 312, 2039),
        _gpu("h100-80", 79.6, 989, 3350),
        _gpu("h200-141", 140.4, 989, 4800),
    )
}


def _machine_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


CPU = Device(
    name=f"this machine's {os.cpu_count()} CPU cores",
    memory=_machine_memory(),
    gpu=False,
    operations_per_second=6e10,
    bytes_per_second=1e10,
    seconds_per_layer=0.0,
    seconds_per_token=2e-4,
)
"""This machine's CPU, with the rates of two cores, measured on the built-in reasoner and on SmolLM2-135M."""


def chosen(gpu: str | None, memory_gib: float | None) -> Device:
    """Return the GPU of that name, or one with that much memory, or the local device. Raises `UserError` if unknown."""
    if gpu is not None and gpu not in GPUS:
        close = difflib.get_close_matches(gpu.lower(), GPUS, n=1)
        meant = f"Did you mean {close[0]}? " if close else ""
        raise UserError(
            f"There is no GPU {gpu!r} in the catalogue.",
            f"{meant}Choose one of {', '.join(GPUS)}, or give --memory-gib.",
        )
    device = GPUS[gpu] if gpu is not None else None
    if memory_gib is None:
        return device or found() or CPU
    return _like(device or GPUS["a100-80"], device.name if device else "a GPU", round(memory_gib * GIB))


def found() -> Device | None:
    """Return the first GPU that NVIDIA's driver names; None without a driver or a GPU."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):  # no driver, or one without a GPU
        return None
    return read_answer(answer)


def read_answer(answer: str) -> Device | None:
    """Return the device on the first line of nvidia-smi's answer: its name, a comma, MiB."""
    named = re.match(r"(.+), *(\d+)\s*$", answer.partition("\n")[0])
    if named is None:
        return None
    name, memory = named[1], int(named[2]) << 20
    words = set(re.findall(r"[a-z0-9]+", name.lower()))
    alike = [gpu for gpu in GPUS.values() if set(_model_words(gpu.name)) <= words]
    nearest = min(alike, key=lambda gpu: abs(gpu.memory - memory), default=GPUS["a100-80"])
    return _like(nearest, name, memory)


def _model_words(name: str) -> list[str]:
    """Return the words that identify a GPU: a100 for `a100-80`, both words for `rtx-4090`."""
    return name.split("-") if name.startswith("rtx") else name.split("-")[:1]


def _like(device: Device, name: str, memory: int) -> Device:
    """Return a device as fast as `device`, with another name and memory."""
    return replace(device, name=name, memory=memory)
