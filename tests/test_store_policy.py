"""The rights that infra/s3/policy.json grants are those that the store uses: no more, no fewer."""

import ast
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError
from made_up_artifact import FILES, folder_of, seal, spec
from s3_server import SeaweedFS, admin

from effreason.choices import S3Home
from effreason.errors import UserError
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
    files, listings, uploads = policy(s3_home.bucket, s3_home.prefix)["Statement"]
    for operation, parameters in calls:
        if NEEDS[operation] in files["Action"]:
            assert fnmatchcase(f"arn:aws:s3:::{parameters['Bucket']}/{parameters['Key']}", files["Resource"])
        else:
            assert f"arn:aws:s3:::{parameters['Bucket']}" == listings["Resource"] == uploads["Resource"]
            assert fnmatchcase(parameters["Prefix"], listings["Condition"]["StringLike"]["s3:prefix"])


def policy(bucket: str = "BUCKET", prefix: str = "PREFIX") -> Any:
    return json.loads((FOLDER / "policy.json").read_text().replace("BUCKET", bucket).replace("PREFIX", prefix))


def test_a_condition_stands_beside_actions_alone_for_which_minio_knows_it():
    """Beside any other it refuses the whole policy; its `createActionConditionKeyMap` has the keys of each action."""
    for statement in policy()["Statement"]:
        if "Condition" in statement:
            assert statement["Action"] == ["s3:ListBucket"]
            assert [list(test) for test in statement["Condition"].values()] == [["s3:prefix"]]


def test_the_policy_of_the_one_who_may_only_read_has_no_right_to_write():
    script = (FOLDER.parent / "compose" / "minio-users.sh").read_text()
    (expression,) = re.findall(r"sed -E '([^']+)'", script)
    made = subprocess.run(["sed", "-E", expression, str(FOLDER / "policy.json")], stdout=subprocess.PIPE, check=True)
    statements = json.loads(made.stdout)["Statement"]
    assert {action for statement in statements for action in statement["Action"]} == {
        "s3:GetObject", "s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:ListMultipartUploadParts",
    }  # fmt: skip


@pytest.fixture
def guest(s3_server: SeaweedFS | None, s3_home: S3Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Home]:
    """The home of a user whom a server that heeds policies allows what this one says, and nothing else."""
    if s3_server is None:
        pytest.skip("the policies of somebody else's bucket are not ours to change")
    root, granted = admin(s3_server), policy(s3_home.bucket, s3_home.prefix)
    for statement in granted["Statement"]:
        statement["Principal"] = "*"
    root.put_object(Bucket=s3_home.bucket, Key="others/file", Body=b"")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.guest_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.guest_secret)
    with pytest.raises(UserError, match="refused the credentials"):
        S3Shelf(s3_home).write("file", b"")
    root.put_bucket_policy(Bucket=s3_home.bucket, Policy=json.dumps(granted))
    yield s3_home
    root.delete_bucket_policy(Bucket=s3_home.bucket)


def refused(request: Callable[[], object]) -> bool:
    try:
        request()
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    return False


def test_the_policy_alone_is_enough_for_the_life_of_a_store(guest: S3Home, tmp_path: Path):
    shelf = S3Shelf(guest, Transfer(part_bytes=5 << 20))
    live(SealedStore(shelf), shelf, guest, tmp_path)
    assert shelf.read("missing") is None and shelf.size("missing") is None


def test_what_lies_outside_the_prefix_can_neither_be_listed_nor_read_nor_written(guest: S3Home):
    client, bucket = S3Shelf(guest).client, guest.bucket
    lifecycle = {"Rules": json.loads((FOLDER / "lifecycle.json").read_text())["Rules"]}
    for request in (
        lambda: client.list_objects_v2(Bucket=bucket),
        lambda: client.list_objects_v2(Bucket=bucket, Prefix="others/"),
        lambda: client.get_object(Bucket=bucket, Key="others/file"),
        lambda: client.put_object(Bucket=bucket, Key="others/file", Body=b""),
        lambda: client.put_object(Bucket=bucket, Key=guest.prefix, Body=b""),
        lambda: client.delete_object(Bucket=bucket, Key="others/file"),
        lambda: client.create_multipart_upload(Bucket=bucket, Key="others/file"),
        lambda: client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=lifecycle),
        lambda: client.delete_bucket(Bucket=bucket),
    ):
        assert refused(request)


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
