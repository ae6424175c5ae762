"""`effreason artifacts list | show | verify | get | clean`: what a store holds, and whether it is whole.

effreason artifacts list
effreason artifacts show train/3f9a          any beginning that only one artifact has, with or without the step
effreason artifacts verify --store s3://bucket/prefix --endpoint http://127.0.0.1:9000
effreason artifacts get train/3f9a policy/
effreason artifacts clean --older-than 7d
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from effreason.commands import clean
from effreason.commands.stores import bytes_as_read, existing_store, label, sealed, store_arguments, whole_address
from effreason.commands.typed import entries_of

if TYPE_CHECKING:
    from effreason.artifacts import Manifest
    from effreason.specs import Address
    from effreason.store import Store


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "artifacts",
        help="list, show, verify, copy and clean what a store holds",
        description="Look into a store. An address may be shortened as long as only one artifact begins with it.",
    )
    subcommands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    place = store_arguments()
    listing = subcommands.add_parser("list", parents=[place], help="one line for each artifact")
    listing.set_defaults(run=run_list)
    showing = subcommands.add_parser("show", parents=[place], help="the manifest of one artifact")
    showing.add_argument("address")
    showing.add_argument("--json", action="store_true", help="the manifest as it is stored")
    showing.set_defaults(run=run_show)
    verifying = subcommands.add_parser("verify", parents=[place], help="compare files with their size and SHA-256")
    verifying.add_argument("addresses", nargs="*", metavar="address", help="artifacts to verify (default: all)")
    verifying.set_defaults(run=run_verify)
    getting = subcommands.add_parser("get", parents=[place], help="copy the files of one artifact, verified")
    getting.add_argument("address")
    getting.add_argument("folder", type=Path, help="folder to copy into; created if missing, must be empty")
    getting.set_defaults(run=run_get)
    cleaning = subcommands.add_parser(
        "clean", parents=[place], help="remove what no artifact needs; without --yes, only show it"
    )
    clean.add_arguments(cleaning)


def run_list(options: argparse.Namespace) -> int:
    from effreason.store.shelf import Damaged

    store = existing_store(options)
    manifests: dict[Address, Manifest] = {}
    damaged = []
    for address in store.addresses():
        try:
            manifests[address] = sealed(store, address)
        except Damaged:
            damaged.append(address)
    print("\n".join(_table(manifests)) if manifests else f"No artifacts in {options.store}.")
    for address in damaged:
        print(f"{address}  damaged: see `effreason artifacts verify {address}`")
    return 0


def run_show(options: argparse.Namespace) -> int:
    store = existing_store(options)
    manifest = sealed(store, whole_address(store, options.address))
    print(manifest.model_dump_json(indent=2) if options.json else "\n".join(_page(manifest)))
    return 0


def run_verify(options: argparse.Namespace) -> int:
    """Exit code 1 if anything is missing or differs."""
    store = existing_store(options)
    addresses = [whole_address(store, given) for given in options.addresses] or list(store.addresses())
    if not addresses:
        print(f"No artifacts in {options.store}, so nothing was verified.")
        return 0
    faults = 0
    for address in addresses:
        found = _faults(store, address)
        faults += len(found)
        print("\n".join(found) if found else f"{address}  whole")
    print(f"{len(addresses)} artifacts verified, {faults} faults.")
    if faults:
        print(f"Delete the folder of a damaged artifact below {options.store} to have it remade.")
    return 1 if faults else 0


def run_get(options: argparse.Namespace) -> int:
    from effreason.errors import UserError

    store = existing_store(options)
    if entries_of(options.folder):
        raise UserError(f"{options.folder} is not an empty folder.", "Choose a folder that is empty or does not exist.")
    manifest = sealed(store, whole_address(store, options.address))
    store.fetch(manifest, options.folder)
    print(
        f"{len(manifest.files)} files of {manifest.address} are in {options.folder} ({bytes_as_read(_size(manifest))})."
    )
    return 0


def _faults(store: "Store", address: "Address") -> list[str]:
    from effreason.store.shelf import Damaged

    try:
        return store.verify(sealed(store, address))
    except Damaged as damage:
        return [damage.happened]


# --------------------------------------------------------------------------------------------- as a person reads


def _table(manifests: "Mapping[Address, Manifest]") -> Iterator[str]:
    labels = {address: label(manifest.spec, manifests) for address, manifest in manifests.items()}
    width = max(map(len, labels.values()))
    yield f"{'address':33}  {'what':{width}}  {'made (UTC)':16}  {'size':>9}"
    for address, manifest in manifests.items():
        yield f"{address:33}  {labels[address]:{width}}  {_made(manifest)}  {bytes_as_read(_size(manifest)):>9}"


def _page(manifest: "Manifest") -> Iterator[str]:
    origin = manifest.provenance
    dirty = " with uncommitted changes" if origin.dirty else ""
    yield f"{manifest.address}  {label(manifest.spec, {})}"
    yield f"made      {_made(manifest)} UTC in {origin.seconds:.1f} s"
    yield f"by        effreason {origin.version}, commit {origin.commit or 'unknown'}{dirty}"
    yield f"on        Python {origin.python}, {_pairs(origin.hardware)}" + (f", {origin.image}" if origin.image else "")
    yield f"with      {_pairs(origin.packages)}"
    yield f"artifact  {_indented(manifest.artifact.model_dump(mode='json', exclude={'step', 'address'}))}"
    yield f"spec      {_indented(manifest.spec.model_dump(mode='json'))}"
    yield f"files     {len(manifest.files)}, {bytes_as_read(_size(manifest))}"
    yield from (f"  {bytes_as_read(file.size):>9}  {file.sha256[:12]}  {file.path}" for file in manifest.files)


def _pairs(values: Mapping[str, str | int]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "nothing recorded"


def _indented(fields: object) -> str:
    return json.dumps(fields, indent=2, ensure_ascii=False).replace("\n", "\n          ")


def _made(manifest: "Manifest") -> str:
    return manifest.provenance.started[:16].replace("T", " ")


def _size(manifest: "Manifest") -> int:
    return sum(file.size for file in manifest.files)
