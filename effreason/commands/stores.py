"""Which store and which of its artifacts a command is about, as a person lists them."""

import argparse
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from effreason.artifacts import Manifest
    from effreason.choices import Home
    from effreason.specs import Address, EvaluateSpec, Spec
    from effreason.store import Store


def store_arguments() -> argparse.ArgumentParser:
    """A parent for the parser of every command that reads or fills a store."""
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument("--store", default="runs/store", help="a folder or s3://BUCKET/PREFIX (default: %(default)s)")
    place.add_argument("--endpoint", metavar="URL", help="S3 endpoint URL (default: $AWS_ENDPOINT_URL_S3, else AWS)")
    return place


def home_of(options: argparse.Namespace) -> "Home":
    """Where the store lies. Raises `UserError` where the options name none."""
    return home_at(options.store, options.endpoint)


def home_at(place: str, endpoint: str | None = None) -> "Home":
    """The store at s3://BUCKET/PREFIX or in a folder. Raises `UserError` where there can be none."""
    from pydantic import ValidationError

    from effreason.choices import FolderHome, S3Home
    from effreason.errors import UserError

    if not place:
        raise UserError("The name of the store is empty.", "Give its folder, or s3://BUCKET/PREFIX, with --store.")
    if not place.startswith("s3://"):
        if endpoint is not None:
            raise UserError("--endpoint is for S3, but the store is a folder.", "Give --store s3://BUCKET/PREFIX.")
        return FolderHome(path=place)
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    try:
        return S3Home(bucket=bucket, prefix=prefix, endpoint=endpoint)
    except ValidationError as error:
        raise UserError(f"{place} does not name a bucket.", "Write it like s3://my-bucket/experiments.") from error


def existing_store(options: argparse.Namespace) -> "Store":
    """The store that the options name. Raises `UserError` where there is none."""
    from effreason.errors import UserError
    from effreason.store import open_store

    home = home_of(options)
    if home.kind == "folder" and not os.path.isdir(home.path):  # pathlib's own raises where a name is too long
        raise UserError(f"There is no store in {home.path}.", "Give its folder, or s3://BUCKET/PREFIX, with --store.")
    return open_store(home)


def whole_address(store: "Store", given: str) -> "Address":
    """The one address that begins so, with or without its step. Raises `UserError` where none or several do."""
    from effreason.errors import UserError

    found = [address for address in store.addresses() if given and abbreviates(given, address)]
    if not found:
        raise UserError(f"No artifact in the store begins with {given!r}.", "`effreason artifacts list` lists them.")
    if len(found) > 1:
        raise UserError(f"{given!r} is ambiguous: it could be any of {', '.join(found)}.", "Give more of the address.")
    return found[0]


def abbreviates(given: str, address: "Address") -> bool:
    return address.startswith(given) or address.partition("/")[2].startswith(given)


def sealed(store: "Store", address: "Address") -> "Manifest":
    """The manifest of an artifact that is known to be there."""
    from effreason.errors import StepFailure

    manifest = store.find(address)
    if manifest is None:
        raise StepFailure(f"The artifact {address} was deleted while it was being read.", "Run the command again.")
    return manifest


def label(spec: "Spec", manifests: "Mapping[Address, Manifest]") -> str:
    """What the artifact is, in the words of the experiment."""
    match spec.step:
        case "prepare":
            return f"{spec.source.kind} for {', '.join(suite.name for suite in spec.suites)}"
        case "train":
            return f"{spec.model.name} alpha={spec.alpha:g} s{spec.seed}"
        case "evaluate":
            base = "" if spec.policy or spec.instruction else " (base model)"
            return f"{subject_of(spec, manifests)}{base}, measured"
        case "report":
            return f"{spec.experiment}, {len(spec.cells)} cells"
        case "gate":
            return f"{spec.line}, night of {spec.night}"


def subject_of(spec: "EvaluateSpec", manifests: "Mapping[Address, Manifest]") -> str:
    """Return which model an evaluation measures: `reasoner`, `reasoner asked “…”` or `reasoner alpha=0.3 s0`."""
    if spec.instruction:
        return f"{spec.model.name} asked “{spec.instruction}”"
    if spec.policy:
        policy = manifests.get(spec.policy)
        return label(policy.spec, manifests) if policy else spec.policy
    return spec.model.name


def bytes_as_read(number: int) -> str:
    """Such as `1.5 MB`."""
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} B"
