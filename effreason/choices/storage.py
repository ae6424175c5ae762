"""The storage of artifacts: a folder, or S3."""

from typing import Annotated, Literal

from pydantic import Field

from effreason.frozen import Frozen


class FolderHome(Frozen):
    """Artifacts in a folder of this machine."""

    kind: Literal["folder"] = "folder"
    path: str = "runs/store"
    """The folder; a relative path counts from where the experiment runs."""


class S3Home(Frozen):
    """Artifacts in S3-compatible storage; credentials come from the standard AWS chain only."""

    kind: Literal["s3"] = "s3"
    bucket: str = Field(min_length=3, max_length=63)
    """Name of the bucket."""
    prefix: str = ""
    """The path in the bucket below which all keys lie; empty is the whole bucket."""
    endpoint: str | None = None
    """URL of the server, such as http://127.0.0.1:9000; None means AWS."""
    region: str | None = None
    """Region of the server, where it requires one; None is that of the AWS settings."""
    cache_bytes: int = Field(20_000_000_000, ge=0)
    """Size limit of this machine's cache of what was read from S3; the least recently used files are removed first, and
    0 keeps none."""
    cache_folder: str | None = None
    """Folder of that cache; None means effreason/artifacts in XDG_CACHE_HOME or ~/.cache."""


Home = Annotated[FolderHome | S3Home, Field(discriminator="kind")]
