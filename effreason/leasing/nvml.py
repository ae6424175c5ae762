"""What the driver of NVIDIA says of its GPUs, asked through its own library, `libnvidia-ml.so.1`.

Every driver brings that library, and the dozen functions used here keep their versioned names; so no Python package has
to be installed wherever GPUs are leased or shown. Numbers and layouts are those of nvml.h.
"""

import ctypes
from collections.abc import Callable, Iterator
from typing import NamedTuple

LIBRARY = "libnvidia-ml.so.1"
TEXT_BYTES = 96
"""The size of NVML_DEVICE_UUID_V2_BUFFER_SIZE and NVML_DEVICE_NAME_V2_BUFFER_SIZE."""


class Reading(NamedTuple):
    """The state of one GPU, or of one instance of a GPU that is divided (MIG). Read by `devices`."""

    uuid: str
    name: str
    number: int
    """The number of the GPU, in the order of the PCI bus."""
    memory: int
    """Bytes, as are those in use at this moment."""
    memory_used: int
    utilisation: int | None
    """Percentage of the driver's last sampling period (up to a second) in which something ran; None for an instance."""


class _Memory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


class _Utilisation(ctypes.Structure):
    _fields_ = [("gpu", ctypes.c_uint), ("memory", ctypes.c_uint)]


def readings() -> list[Reading]:
    """Return every GPU of the machine, or in its place its instances; none where there is no driver."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        return []
    if library.nvmlInit_v2() != 0:  # the library without its kernel module, as in an image made for GPUs
        return []
    try:
        return list(_readings(library))
    finally:
        library.nvmlShutdown()


def _readings(library: ctypes.CDLL) -> Iterator[Reading]:
    count = _number(library.nvmlDeviceGetCount_v2) or 0
    for index in range(count):
        gpu = _handle(library.nvmlDeviceGetHandleByIndex_v2, index)
        if gpu is None:
            continue  # fallen off the bus, or not for this user
        instances = list(_instances(library, gpu))
        for device in instances or [gpu]:
            yield _reading(library, device, index)


def _instances(library: ctypes.CDLL, gpu: ctypes.c_void_p) -> Iterator[ctypes.c_void_p]:
    """Yield the instances of a GPU; none of one that is not divided."""
    divided, pending = ctypes.c_uint(), ctypes.c_uint()
    if library.nvmlDeviceGetMigMode(gpu, ctypes.byref(divided), ctypes.byref(pending)) != 0 or not divided.value:
        return
    for index in range(_number(library.nvmlDeviceGetMaxMigDeviceCount, gpu) or 0):
        instance = _handle(library.nvmlDeviceGetMigDeviceHandleByIndex, gpu, index)
        if instance is not None:
            yield instance


def _reading(library: ctypes.CDLL, device: ctypes.c_void_p, number: int) -> Reading:
    memory, utilisation = _Memory(), _Utilisation()
    library.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory))
    sampled = library.nvmlDeviceGetUtilizationRates(device, ctypes.byref(utilisation)) == 0
    return Reading(
        uuid=_text(library.nvmlDeviceGetUUID, device),
        name=_text(library.nvmlDeviceGetName, device),
        number=number,
        memory=memory.total,
        memory_used=memory.used,
        utilisation=utilisation.gpu if sampled else None,
    )


def _handle(function: Callable[..., int], *arguments: ctypes.c_void_p | int) -> ctypes.c_void_p | None:
    found = ctypes.c_void_p()
    return found if function(*arguments, ctypes.byref(found)) == 0 else None


def _number(function: Callable[..., int], *arguments: ctypes.c_void_p) -> int | None:
    found = ctypes.c_uint()
    return found.value if function(*arguments, ctypes.byref(found)) == 0 else None


def _text(function: Callable[..., int], device: ctypes.c_void_p) -> str:
    """Return a text of the driver; empty where it gives none."""
    found = ctypes.create_string_buffer(TEXT_BYTES)
    function(device, found, ctypes.c_uint(TEXT_BYTES))
    return found.value.decode()
