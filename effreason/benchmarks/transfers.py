"""How fast a large checkpoint gets into a bucket, beside boto3's own `upload_file` with the same transfer settings.

    python -m effreason.benchmarks.transfers s3://BUCKET/PREFIX --endpoint http://127.0.0.1:8333

Each round lets both upload the same file of random bytes, in turns, each in a process of its own and under a key of its
own that is removed afterwards. Ours does all that a training step waits for: the SHA-256 of the whole, the parts with
their MD5, the seal. Writes build/transfers.json. Credentials come from the standard AWS chain.
"""

import argparse
import json
import os
import resource
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from effreason.choices import S3Home
from effreason.commands.stores import home_at
from effreason.frozen import Frozen
from effreason.store.s3 import S3Shelf, S3Store
from effreason.store.server import Transfer

ADDRESS = f"train/{'0' * 24}"
NAME = "step-000001"
FILE = "optimizer.pt"
AS_OURS = Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required")
"""Without the checksums that boto3 adds where it may: it sends less than we do. Its retries are its own."""


class Upload(Frozen):
    """One upload. Made by the process that did it."""

    seconds: float
    peak_bytes: int
    """Most memory that the process held, its imports included."""


class Round(NamedTuple):
    """Both contestants, one after the other."""

    ours: Upload
    theirs: Upload

    @property
    def speed(self) -> float:
        """Ours as a share of boto3's."""
        return self.theirs.seconds / self.ours.seconds


def measure(home: S3Home, file_bytes: int, rounds: int) -> list[Round]:
    """Upload a file of random bytes to `home`, `rounds` times by each; who begins changes from round to round."""
    with tempfile.TemporaryDirectory(prefix="effreason-transfers-") as scratch:
        _fill(Path(scratch, FILE), file_bytes)
        made = []
        for number in range(rounds):
            order = ("ours", "theirs") if number % 2 == 0 else ("theirs", "ours")
            uploads = {who: _in_a_process(who, home, Path(scratch)) for who in order}
            made.append(Round(uploads["ours"], uploads["theirs"]))
    return made


def summary(rounds: Sequence[Round], file_bytes: int) -> dict[str, object]:
    """The medians; the limits of the ratio are the least and the greatest of n rounds, of confidence 1 - 2^(1 - n)."""
    speeds = [each.speed for each in rounds]
    return {
        "file_bytes": file_bytes,
        "part_bytes": Transfer().part_bytes,
        "threads": Transfer().threads,
        "rounds": len(rounds),
        "seconds": median(each.ours.seconds for each in rounds),
        "seconds_boto3": median(each.theirs.seconds for each in rounds),
        "speed_of_boto3": median(speeds),
        "speed_of_boto3_limits": [min(speeds), max(speeds)] if len(speeds) > 1 else None,
        "peak_bytes": max(each.ours.peak_bytes for each in rounds),
        "peak_bytes_boto3": max(each.theirs.peak_bytes for each in rounds),
        "each": [[each.ours.seconds, each.theirs.seconds] for each in rounds],
    }


def upload(who: str, home: S3Home, folder: Path) -> Upload:
    """Upload the one file in `folder`, in this process, and remove it from the bucket."""
    shelf = S3Shelf(home)
    begin = _ours if who == "ours" else _theirs
    began = time.perf_counter()
    begin(home, folder)
    seconds = time.perf_counter() - began
    shelf.clear("working")
    return Upload(seconds=seconds, peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def _ours(home: S3Home, folder: Path) -> None:
    S3Store(home).save_working(ADDRESS, NAME, folder)


def _theirs(home: S3Home, folder: Path) -> None:
    settings = Transfer()
    config = TransferConfig(
        multipart_threshold=settings.part_bytes,
        multipart_chunksize=settings.part_bytes,
        max_concurrency=settings.threads,
    )
    client = boto3.client("s3", endpoint_url=home.endpoint, region_name=home.region, config=AS_OURS)
    client.upload_file(str(folder / FILE), home.bucket, f"{home.prefix}/working/{FILE}", Config=config)


def _in_a_process(who: str, home: S3Home, folder: Path) -> Upload:
    own = home.model_copy(update={"prefix": f"{home.prefix}/{secrets.token_hex(6)}"})
    command = [sys.executable, "-m", "effreason.benchmarks.transfers", "--one", who, own.model_dump_json(), str(folder)]
    return Upload.model_validate_json(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def _fill(path: Path, file_bytes: int) -> None:
    with path.open("wb") as file:
        for start in range(0, file_bytes, 1 << 24):
            file.write(os.urandom(min(1 << 24, file_bytes - start)))


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        who, given, folder = sys.argv[2:]
        print(upload(who, S3Home.model_validate_json(given), Path(folder)).model_dump_json())
        return
    parser = argparse.ArgumentParser(description="Uploads beside boto3's own.")
    parser.add_argument("store", help="s3://BUCKET/PREFIX; what is uploaded there is removed again")
    parser.add_argument("--endpoint", metavar="URL", help="S3 endpoint URL (default: AWS)")
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    home = home_at(options.store, options.endpoint)
    if not isinstance(home, S3Home):
        parser.error("the store must be s3://BUCKET/PREFIX")
    found = summary(measure(home, options.megabytes * 10**6, options.rounds), options.megabytes * 10**6)
    Path("build").mkdir(exist_ok=True)
    Path("build/transfers.json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
