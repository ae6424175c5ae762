"""The choice of model: the built-in one, one on the hub, or one in a folder."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from effreason.choices.naming import Digest, Name
from effreason.frozen import Frozen


class BuiltInModel(Frozen):
    """The reasoner shipped with the package: half a million parameters, adds digits aloud."""

    source: Literal["builtin"] = "builtin"
    name: Name = "reasoner"
    """Name of the model in labels and in the report."""
    digest: Digest | None = None
    """SHA-256 of the model's files; filled in when the experiment is pinned."""


class HubModel(Frozen):
    """A model on the Hugging Face hub. Gated models need HF_TOKEN in the environment."""

    source: Literal["hub"] = "hub"
    name: Name
    """Name of the model in labels and in the report."""
    id: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    """Repository, such as `HuggingFaceTB/SmolLM2-135M-Instruct`."""
    revision: str = "main"
    """A branch, tag or commit; pinned to a commit before anything runs."""
    trust_remote_code: bool = False
    """Whether to run Python code from the repository. Off unless asked for, since it is somebody else's code."""


class FolderModel(Frozen):
    """A model in a local folder, saved by transformers as safetensors."""

    unhashed: ClassVar[frozenset[str]] = frozenset({"path"})

    source: Literal["folder"] = "folder"
    name: Name
    """Name of the model in labels and in the report."""
    path: str
    """Path relative to the experiment file."""
    gguf_file: str | None = None
    """GGUF file in the folder to read the weights from, instead of safetensors."""
    digest: Digest | None = None
    """SHA-256 of the model's files; filled in when the experiment is pinned."""


Model = Annotated[BuiltInModel | HubModel | FolderModel, Field(discriminator="source")]
