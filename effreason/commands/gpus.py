"""`effreason gpus`: the GPUs of this machine, who has them, and who waits.

Memory and utilisation are the driver's readings of this moment, so they have no interval; `-` where it gives none.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from effreason.leasing.devices import Gpu
    from effreason.leasing.records import Holder, Lease, Ticket

GIB = 1 << 30


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "gpus",
        help="show the GPUs of this machine, which steps hold them, and which wait",
        description="Show every GPU of this machine with its current memory use and utilisation, the steps that "
        "hold it, and the queue of waiting steps, first come first served. Steps without a GPU share the cores.",
    )
    parser.add_argument("--json", action="store_true", help="print gpus, leases and queue as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from effreason.leasing.devices import machine_gpus
    from effreason.leasing.folder import leases_folder
    from effreason.leasing.lease_table import LeaseTable

    table = LeaseTable(leases_folder())
    gpus, leases, queue = machine_gpus(), list(table.leases()), [ticket for _, ticket in table.queue()]
    print(_as_json(gpus, leases, queue) if options.json else "\n".join(page(gpus, leases, queue)))
    return 0


def page(gpus: "Sequence[Gpu]", leases: "Sequence[Lease]", queue: "Sequence[Ticket]") -> Iterator[str]:
    """The lines that a person reads."""
    yield from _aligned([("device", "name", "memory", "busy", "held by", "since"), *_rows(gpus, leases)])
    if not gpus:
        yield "The driver reports no GPU on this machine; steps share its cores."
    if queue:
        yield ""
        waiting = [(str(number), _wish(ticket), *_told(ticket.holder)) for number, ticket in enumerate(queue, start=1)]
        yield from _aligned([("turn", "waits for", "who", "since"), *waiting])


def _rows(gpus: "Sequence[Gpu]", leases: "Sequence[Lease]") -> Iterator[tuple[str, ...]]:
    """One for each GPU and each step that has some of it; then what is held without being a GPU of this machine."""
    from effreason.leasing.records import CORES

    known = {gpu.uuid: (gpu.uuid, gpu.name, _memory(gpu), _percent(gpu.utilisation)) for gpu in gpus}
    held = dict.fromkeys(device for lease in leases for device in lease.parts)
    for device in known | held:
        first = known.get(device, (device, "cores" if device == CORES else "-", "-", "-"))
        holders = [(lease.parts[device], lease.holder) for lease in leases if device in lease.parts]
        for part, holder in holders:
            who, since = _told(holder)
            yield (*first, who if part == 1 else f"{part:.0%}: {who}", since)
            first = ("", "", "", "")
        if not holders:
            yield (*first, "free", "")


def _wish(ticket: "Ticket") -> str:
    from effreason.leasing.records import CORES

    parts = ticket.claim.parts
    if CORES in parts:
        return f"{parts[CORES]:.0%} of the cores"
    wish = f"{ticket.claim.count} of {len(parts)} GPUs"
    return wish if min(parts.values()) == 1 else f"{min(parts.values()):.0%} of {wish}"


def _told(holder: "Holder") -> tuple[str, str]:
    words = (holder.user, holder.experiment, holder.step, f"(process {holder.process})")
    return " ".join(word for word in words if word), _clock(holder.since)


def _clock(since: datetime) -> str:
    return f"{since.astimezone():%Y-%m-%d %H:%M:%S}"


def _memory(gpu: "Gpu") -> str:
    if gpu.memory is None or gpu.memory_used is None:
        return "-" if gpu.memory is None else f"{gpu.memory / GIB:.1f} GiB"
    return f"{gpu.memory_used / GIB:.1f} of {gpu.memory / GIB:.1f} GiB"


def _percent(number: int | None) -> str:
    return "-" if number is None else f"{number}%"


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _as_json(gpus: "Sequence[Gpu]", leases: "Sequence[Lease]", queue: "Sequence[Ticket]") -> str:
    parts = {"gpus": gpus, "leases": leases, "queue": queue}
    return json.dumps({name: [one.model_dump(mode="json") for one in every] for name, every in parts.items()}, indent=2)
