"""Whether a process is alive, for tests that see to it that none is left."""

import time
from pathlib import Path


def alive(pid: int) -> bool:
    """A zombie, which only waits for its parent to read its exit code, is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
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
