"""Where the machine keeps its tickets and leases: one place for all its users.

EFFREASON_LEASES names it; all runs on a machine have to name the same folder, on a disk of the machine's own. Without
it, the folder is `/run/lock/effreason`, or `/tmp/effreason-leases` where users may not write to /run/lock. Everybody
may add files, and only their owner may remove them (mode 1777).
"""

import os
from contextlib import suppress
from pathlib import Path

from effreason.errors import UserError

USUAL = (Path("/run/lock/effreason"), Path("/tmp/effreason-leases"))  # noqa: S108  a place that all users share
MODE = 0o1777
GATE_MODE = 0o644


def leases_folder() -> Path:
    """Return the folder of leases, made if missing. Raises `UserError` where this user may write to none."""
    named = os.environ.get("EFFREASON_LEASES")
    places = (Path(named),) if named else USUAL
    # One that another user has made goes before one that only this user could make.
    for place in sorted(places, key=lambda place: not os.path.isdir(place)):
        if _usable(place):
            return place
    raise UserError(
        f"Leases of devices cannot be kept in {' or '.join(map(str, places))}.",
        "Set EFFREASON_LEASES to a folder to which all users of this machine may write.",
    )


def _usable(place: Path) -> bool:
    try:
        for folder in (place, place / "queue", place / "leases"):
            _make(folder)
        _make_gate(place / "gate")
    except OSError:
        return False
    return all(os.access(place / name, os.W_OK | os.X_OK) for name in ("queue", "leases"))


def _make(folder: Path) -> None:
    with suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(MODE)  # mkdir's own mode is subject to the umask


def _make_gate(path: Path) -> None:
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, GATE_MODE)
        os.fchmod(descriptor, GATE_MODE)
        os.close(descriptor)
