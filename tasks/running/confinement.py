"""What a step in a container may reach: its image, files, network and user, derived from what its order needs."""

import ipaddress
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from effreason.choices import (
    Container,
    FileSource,
    FolderHome,
    FolderModel,
    Gsm8kSource,
    Home,
    HubModel,
    HubSource,
    Math500Source,
    S3Home,
    Vllm,
    VllmServer,
)
from effreason.errors import UserError
from effreason.order import Order
from effreason.specs import EvaluateSpec, PrepareSpec, Spec, TrainSpec
from tasks.running.engine import Mount

USER = 10001
"""User ID in the images."""
SCRATCH = "/tmp"  # noqa: S108  in the container, where it is a volume of the step's own
CACHE = "/cache"
STORE = "/store"
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
TRACKERS = {"mlflow": "MLFLOW_TRACKING_URI", "wandb": "WANDB_BASE_URL"}


@dataclass(frozen=True)
class Confinement:
    """The image, files, network, user and environment of a step. Made here; read by `tasks.running.container`."""

    image: str
    home: Home
    """The store, at its path inside the container."""
    mounts: list[Mount]
    network: str | None
    """None means Docker's default."""
    user: str
    environment: dict[str, str]
    """Variables without secrets."""


def confinement(choice: Container, order: Order) -> Confinement:
    """Return the confinement of a step.

    Raises `UserError` if the folder of the store belongs to root, since no step runs as root.
    """
    mounts = [Mount(SCRATCH, None, type="volume"), *_given(order.spec)]
    environment = {}
    home, user = order.store, f"{USER}:{USER}"
    if isinstance(home, FolderHome):
        folder = Path(home.path).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        user = _owner(folder)
        mounts.append(Mount(STORE, str(folder), type="bind"))
        home = FolderHome(path=STORE)
    else:
        home = home.model_copy(update={"cache_folder": None})  # the one in XDG_CACHE_HOME
    connected = needs_network(order)
    if connected and choice.cache:
        mounts.append(Mount(CACHE, choice.cache, type="volume"))
        environment = {"HF_HOME": f"{CACHE}/huggingface", "XDG_CACHE_HOME": CACHE}
    return Confinement(
        image=f"{choice.images}/{_role(order.spec)}:{choice.tag}",
        home=home,
        mounts=mounts,
        network=(choice.network or _network(order)) if connected else "none",
        user=user,
        environment=environment,
    )


def needs_network(order: Order) -> bool:
    """Return whether the step has to reach the store, the hub, a vLLM server or a tracker over the network."""
    spec = order.spec
    match spec:
        case PrepareSpec():
            hub = any(isinstance(source, HubSource | Gsm8kSource | Math500Source) for source in _sources(spec))
        case TrainSpec() | EvaluateSpec():
            hub = isinstance(spec.model, HubModel) or isinstance(spec.engine, VllmServer)
        case _:
            hub = False
    return hub or isinstance(order.store, S3Home) or bool(order.runtime.report_to)


def _role(spec: Spec) -> str:
    if isinstance(spec.engine, Vllm):
        return "generate"
    return "train" if isinstance(spec, TrainSpec | EvaluateSpec) else "light"


def _sources(spec: PrepareSpec) -> Iterator[object]:
    yield spec.source
    yield from (suite.source for suite in spec.suites)


def _given(spec: Spec) -> Iterator[Mount]:
    """Yield mounts of the files of this machine that the step reads, at the same path."""
    paths: set[str] = set()
    match spec:
        case PrepareSpec():
            for source in _sources(spec):
                if isinstance(source, FileSource):
                    paths |= {path for path in (source.path, source.test_path) if path}
        case TrainSpec() | EvaluateSpec():
            if isinstance(spec.model, FolderModel):
                paths.add(spec.model.path)
            if isinstance(spec.engine, VllmServer) and spec.engine.folder:
                yield Mount(spec.engine.folder, spec.engine.folder, type="bind")
    yield from (Mount(path, path, type="bind", read_only=True) for path in sorted(paths))


def _owner(folder: Path) -> str:
    """Return the user and group that own the store's folder. Raises `UserError` if it belongs to root."""
    facts = folder.stat()
    if facts.st_uid == 0:
        raise UserError(
            f"{folder} belongs to root, and no step in a container runs as root.",
            f"Run `chown -R {USER}:{USER} {folder}`, or keep the artifacts in S3.",
        )
    return f"{facts.st_uid}:{facts.st_gid}"


def _network(order: Order) -> str | None:
    """Return `host` if the step uses a server on this machine's loopback, which no other network reaches; else None."""
    hosts = (urlsplit(address).hostname or "" for address in _addresses(order))
    return "host" if any(map(_is_loopback, hosts)) else None


def _addresses(order: Order) -> Iterator[str]:
    """Yield the addresses of the servers that the step uses, empty where none is named."""
    if isinstance(order.store, S3Home):
        yield order.store.endpoint or _first_of(*ENDPOINTS)
    if isinstance(order.spec.engine, VllmServer):
        yield order.spec.engine.url
    for tracker in order.runtime.report_to:
        yield _first_of(TRACKERS.get(tracker, ""))
    yield _first_of("HF_ENDPOINT")


def _first_of(*variables: str) -> str:
    """Return the value of the first of these variables that is set in the environment; empty if none is."""
    return next((os.environ[name] for name in variables if os.environ.get(name)), "")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
