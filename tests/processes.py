"""Whether a process is alive, for tests that see to it that none is left."""

import time
from pathlib import Path


def alive(pid: int) -> bool:
    """Whether any thread of it runs: until the last has ended, the kernel keeps its files open and its locks held.

    A zombie, which only waits for its parent to read its exit code, is not alive.
    """
    try:
        return any(_runs(thread) for thread in Path(f"/proc/{pid}/task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return False


def _runs(thread: Path) -> bool:
    try:
        return (thread / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(pid: int, within_seconds: float = 5.0) -> bool:
    """Wait for its end."""
    deadline = time.monotonic() + within_seconds
    while time.monotonic() < deadline:
        if not alive(pid):
            return True
        time.sleep(0.05)
    return False
