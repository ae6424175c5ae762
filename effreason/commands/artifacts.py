"""`effreason artifacts list | show | verify | get`: what a store holds, and whether it is whole.

effreason artifacts list
effreason artifacts show train/3f9a          any beginning that only one artifact has, with or without the step
effreason artifacts verify --store s3://bucket/prefix --endpoint http://127.0.0.1:9000
effreason artifacts get train/3f9a policy/
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from effreason.artifacts import Manifest
    from effreason.choices import Home
    from effreason.specs import Address, Spec
    from effreason.store import Store


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "artifacts",
        help="list, show, verify and copy what a store holds",
        description="Look into a store. An address may be cut short while only one artifact begins with it.",
    )
    subcommands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    place = _place()
    listing = subcommands.add_parser("list", parents=[place], help="one line for each artifact")
    listing.set_defaults(run=run_list)
    showing = subcommands.add_parser("show", parents=[place], help="the manifest of one artifact")
    showing.add_argument("address")
    showing.add_argument("--json", action="store_true", help="the manifest as it is stored")
    showing.set_defaults(run=run_show)
    verifying = subcommands.add_parser("verify", parents=[place], help="compare files with their size and SHA-256")
    verifying.add_argument("addresses", nargs="*", metavar="address", help="all artifacts where none is given")
    verifying.set_defaults(run=run_verify)
    getting = subcommands.add_parser("get", parents=[place], help="copy the files of one artifact, verified")
    getting.add_argument("address")
    getting.add_argument("folder", type=Path, help="made if need be; must be empty")
    getting.set_defaults(run=run_get)


def _place() -> argparse.ArgumentParser:
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument("--store", default="runs/store", help="a folder or s3://BUCKET/PREFIX (default: %(default)s)")
    place.add_argument("--endpoint", metavar="URL", help="S3 server; AWS or AWS_ENDPOINT_URL_S3 where none is given")
    return place


def run_list(options: argparse.Namespace) -> int:
    from effreason.store.shelf import Damaged

    store = _store(options)
    manifests: dict[Address, Manifest] = {}
    damaged = []
    for address in store.addresses():
        try:
            manifests[address] = _sealed(store, address)
        except Damaged:
            damaged.append(address)
    print("\n".join(_table(manifests)) if manifests else f"No artifacts in {options.store}.")
    for address in damaged:
        print(f"{address}  damaged: see `effreason artifacts verify {address}`")
    return 0


def run_show(options: argparse.Namespace) -> int:
    store = _store(options)
    manifest = _sealed(store, _whole_address(store, options.address))
    print(manifest.model_dump_json(indent=2) if options.json else "\n".join(_page(manifest)))
    return 0


def run_verify(options: argparse.Namespace) -> int:
    """Exit code 1 if anything is missing or differs."""
    store = _store(options)
    addresses = [_whole_address(store, given) for given in options.addresses] or list(store.addresses())
    faults = 0
    for address in addresses:
        found = _faults(store, address)
        faults += len(found)
        print("\n".join(found) if found else f"{address}  whole")
    print(f"{len(addresses)} artifacts verified, {faults} faults.")
    if faults:
        print(f"Delete the folder of a damaged artifact below {options.store} to have it made again.")
    return 1 if faults else 0


def run_get(options: argparse.Namespace) -> int:
    from effreason.errors import UserError

    store = _store(options)
    if options.folder.exists() and (not options.folder.is_dir() or any(options.folder.iterdir())):
        raise UserError(f"{options.folder} is not an empty folder.", "Name one that is empty or does not exist.")
    manifest = _sealed(store, _whole_address(store, options.address))
    store.fetch(manifest, options.folder)
    print(f"{len(manifest.files)} files of {manifest.address} are in {options.folder} ({_bytes(_size(manifest))}).")
    return 0


# ----------------------------------------------------------------------------------------------- which store


def _store(options: argparse.Namespace) -> "Store":
    from effreason.errors import UserError
    from effreason.store import open_store

    home = _home(options.store, options.endpoint)
    if home.kind == "folder" and not Path(home.path).is_dir():
        raise UserError(f"There is no store in {home.path}.", "Name its folder, or s3://BUCKET/PREFIX, by --store.")
    return open_store(home)


def _home(place: str, endpoint: str | None) -> "Home":
    from pydantic import ValidationError

    from effreason.choices import FolderHome, S3Home
    from effreason.errors import UserError

    if not place.startswith("s3://"):
        if endpoint is not None:
            raise UserError("--endpoint is for S3, but the store is a folder.", "Give --store s3://BUCKET/PREFIX.")
        return FolderHome(path=place)
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    try:
        return S3Home(bucket=bucket, prefix=prefix, endpoint=endpoint)
    except ValidationError as error:
        raise UserError(f"{place} names no bucket.", "Write it like s3://my-bucket/experiments.") from error


# -------------------------------------------------------------------------------------------- which artifact


def _whole_address(store: "Store", given: str) -> "Address":
    from effreason.errors import UserError

    found = [address for address in store.addresses() if given and _abbreviates(given, address)]
    if not found:
        raise UserError(f"No artifact in the store begins with {given!r}.", "`effreason artifacts list` names them.")
    if len(found) > 1:
        raise UserError(f"{given!r} could be any of {', '.join(found)}.", "Give more of the address.")
    return found[0]


def _abbreviates(given: str, address: str) -> bool:
    return address.startswith(given) or address.partition("/")[2].startswith(given)


def _sealed(store: "Store", address: "Address") -> "Manifest":
    from effreason.errors import StepFailure

    manifest = store.find(address)
    if manifest is None:
        raise StepFailure(f"The artifact {address} was deleted while it was looked at.", "Run the command again.")
    return manifest


def _faults(store: "Store", address: "Address") -> list[str]:
    from effreason.store.shelf import Damaged

    try:
        return store.verify(_sealed(store, address))
    except Damaged as damage:
        return [damage.happened]


# --------------------------------------------------------------------------------------------- as a person reads


def _table(manifests: "Mapping[Address, Manifest]") -> Iterator[str]:
    labels = {address: _label(manifest.spec, manifests) for address, manifest in manifests.items()}
    width = max(map(len, labels.values()))
    yield f"{'address':33}  {'what':{width}}  {'made (UTC)':16}  {'size':>9}"
    for address, manifest in manifests.items():
        yield f"{address:33}  {labels[address]:{width}}  {_made(manifest)}  {_bytes(_size(manifest)):>9}"


def _label(spec: "Spec", manifests: "Mapping[Address, Manifest]") -> str:
    """What the artifact is, in the words of the experiment."""
    match spec.step:
        case "prepare":
            return f"{spec.source.kind} for {', '.join(suite.name for suite in spec.suites)}"
        case "train":
            return f"{spec.model.name} alpha={spec.alpha:g} s{spec.seed}"
        case "evaluate" if spec.policy:
            policy = manifests.get(spec.policy)
            return f"{_label(policy.spec, manifests) if policy else spec.policy} measured"
        case "evaluate":
            return f"{spec.model.name} as it comes, measured"
        case "report":
            return f"{spec.experiment}, {len(spec.cells)} cells"


def _page(manifest: "Manifest") -> Iterator[str]:
    origin = manifest.provenance
    dirty = " with uncommitted changes" if origin.dirty else ""
    yield f"{manifest.address}  {_label(manifest.spec, {})}"
    yield f"made      {_made(manifest)} UTC in {origin.seconds:.1f} s"
    yield f"by        effreason {origin.version}, commit {origin.commit or 'unknown'}{dirty}"
    yield f"on        Python {origin.python}, {_pairs(origin.hardware)}" + (f", {origin.image}" if origin.image else "")
    yield f"with      {_pairs(origin.packages)}"
    yield f"artifact  {_indented(manifest.artifact.model_dump(mode='json', exclude={'step', 'address'}))}"
    yield f"spec      {_indented(manifest.spec.model_dump(mode='json'))}"
    yield f"files     {len(manifest.files)}, {_bytes(_size(manifest))}"
    yield from (f"  {_bytes(file.size):>9}  {file.sha256[:12]}  {file.path}" for file in manifest.files)


def _pairs(values: Mapping[str, str | int]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "nothing recorded"


def _indented(fields: object) -> str:
    return json.dumps(fields, indent=2, ensure_ascii=False).replace("\n", "\n          ")


def _made(manifest: "Manifest") -> str:
    return manifest.provenance.started[:16].replace("T", " ")


def _size(manifest: "Manifest") -> int:
    return sum(file.size for file in manifest.files)


def _bytes(number: int) -> str:
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} B"
