"""The rights that infra/s3/policy.json grants are those that the store uses: no more, no fewer."""

import ast
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from made_up_artifact import FILES, folder_of, seal, spec
from s3_server import SeaweedFS, admin

from effreason.choices import S3Home
from effreason.store import s3, uploads
from effreason.store.s3 import S3Shelf
from effreason.store.sealing import SealedStore
from effreason.store.server import Transfer

FOLDER = Path(__file__).parent.parent / "infra" / "s3"
NEEDS = {
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "CompleteMultipartUpload": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListObjectsV2": "s3:ListBucket",
    "ListParts": "s3:ListMultipartUploadParts",
    "PutObject": "s3:PutObject",
    "UploadPart": "s3:PutObject",
}
"""The right that AWS asks for each operation (its Service Authorization Reference)."""


@pytest.fixture
def calls(s3_home: S3Home, tmp_path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Operation and parameters of every request in the life of a store."""
    shelf = S3Shelf(s3_home, Transfer(part_bytes=5 << 20))
    made: list[tuple[str, dict[str, Any]]] = []

    def note(params: dict[str, Any], model: Any, **_: object) -> None:
        made.append((model.name, params))

    shelf.client.meta.events.register("provide-client-params.s3", note)
    live(SealedStore(shelf), shelf, s3_home, tmp_path)
    return made


def live(store: SealedStore, shelf: S3Shelf, home: S3Home, folder: Path) -> None:
    output = folder_of(folder / "output", {**FILES, "large": bytes(6 << 20)})
    other = S3Shelf(home).client
    other.create_multipart_upload(Bucket=home.bucket, Key=f"{home.prefix}/working/{spec().address}/a/b/c")
    store.save_working(spec().address, "step-1", output)
    store.load_working(spec().address, folder / "loaded")
    sealed = seal(store, output)
    store.fetch(sealed, folder / "fetched")
    assert store.verify(sealed) == [] and list(store.addresses()) == [sealed.address]
    list(store.litter(timedelta(0)))
    store.clear_working(sealed.address)


def test_the_policy_grants_what_the_store_uses_and_nothing_else(calls: list[tuple[str, dict[str, Any]]]):
    used = {NEEDS[operation] for operation, _ in calls}
    assert used == {action for statement in policy()["Statement"] for action in statement["Action"]}


def test_every_operation_that_the_source_names_was_used(calls: list[tuple[str, dict[str, Any]]]):
    named = {name for module in (s3, uploads) for name in client_methods(Path(module.__file__))}
    assert named == {xform_name(operation) for operation, _ in calls}


def test_every_request_stays_within_what_the_policy_names(calls: list[tuple[str, dict[str, Any]]], s3_home: S3Home):
    files, listings = json.loads(
        (FOLDER / "policy.json").read_text().replace("BUCKET", s3_home.bucket).replace("PREFIX", s3_home.prefix)
    )["Statement"]
    for operation, parameters in calls:
        if NEEDS[operation] in files["Action"]:
            assert fnmatchcase(f"arn:aws:s3:::{parameters['Bucket']}/{parameters['Key']}", files["Resource"])
        else:
            assert f"arn:aws:s3:::{parameters['Bucket']}" == listings["Resource"]
            assert fnmatchcase(parameters["Prefix"], listings["Condition"]["StringLike"]["s3:prefix"])


def policy() -> Any:
    return json.loads((FOLDER / "policy.json").read_text())


def client_methods(source: Path) -> Iterator[str]:
    """Whatever is taken from something called client, such as `self.client.put_object`."""
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value).endswith("client") and node.attr != "client":
            yield node.attr


def test_a_server_takes_the_lifecycle_rules(s3_server: SeaweedFS | None, s3_home: S3Home):
    if s3_server is None:
        pytest.skip("the rules of somebody else's bucket are not ours to change")
    rules = json.loads((FOLDER / "lifecycle.json").read_text().replace("PREFIX", s3_home.prefix))
    client = admin(s3_server)
    client.put_bucket_lifecycle_configuration(Bucket=s3_home.bucket, LifecycleConfiguration=rules)
    kept = client.get_bucket_lifecycle_configuration(Bucket=s3_home.bucket)["Rules"]
    assert {rule["ID"] for rule in kept} == {rule["ID"] for rule in rules["Rules"]}
    client.delete_bucket_lifecycle(Bucket=s3_home.bucket)


def test_nothing_in_the_rules_can_remove_a_file_that_stands():
    rules = json.loads((FOLDER / "lifecycle.json").read_text())["Rules"]
    assert not any("Expiration" in rule for rule in rules)
    assert all(re.fullmatch(r"PREFIX/", rule["Filter"]["Prefix"]) for rule in rules)
