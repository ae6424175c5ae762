"""Where artifacts are kept."""

from typing import Annotated, Literal

from pydantic import Field

from effreason.frozen import Frozen


class FolderHome(Frozen):
    """Artifacts in a folder of this machine."""

    kind: Literal["folder"] = "folder"
    path: str = "runs/store"


class S3Home(Frozen):
    """Artifacts in S3-compatible storage; credentials come from the standard AWS chain only."""

    kind: Literal["s3"] = "s3"
    bucket: str = Field(min_length=3, max_length=63)
    prefix: str = ""
    endpoint: str | None = None
    """Such as http://127.0.0.1:9000; None is AWS itself."""
    region: str | None = None
    cache_bytes: int = Field(20_000_000_000, ge=0)
    """Most of what was read from here that stays on this machine, least recently used out first; 0 keeps none."""
    cache_folder: str | None = None
    """None is effreason/artifacts in XDG_CACHE_HOME or ~/.cache."""


Home = Annotated[FolderHome | S3Home, Field(discriminator="kind")]
