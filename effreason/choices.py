"""The named choices of an experiment: which model, which data, which reward, which weights to train.

A choice is one type in a union discriminated by a keyword, its defaults the vetted setting. Extending the project
means naming another type here, never an import path in a configuration file.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from effreason.frozen import Frozen

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""Letters, digits, dots, dashes and underscores: safe in paths, object keys and labels."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]

# ---------------------------------------------------------------------------------------------------- models


class BuiltInModel(Frozen):
    """The reasoner that is shipped with the package: half a million parameters, sums digits aloud."""

    source: Literal["builtin"] = "builtin"
    name: Name = "reasoner"
    digest: Digest | None = None
    """SHA-256 of its files; filled in when the experiment is pinned."""


class HubModel(Frozen):
    """A model on the Hugging Face hub. Gated ones need HF_TOKEN in the environment."""

    source: Literal["hub"] = "hub"
    name: Name
    id: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    """Such as `HuggingFaceTB/SmolLM2-135M-Instruct`."""
    revision: str = "main"
    """A branch, tag or commit; pinned to the commit it names before anything runs."""
    trust_remote_code: bool = False
    """Run Python that the repository brings. Off unless asked for: it is somebody else's code."""


class FolderModel(Frozen):
    """A model saved by transformers in a local folder, as safetensors."""

    unhashed: ClassVar[frozenset[str]] = frozenset({"path"})

    source: Literal["folder"] = "folder"
    name: Name
    path: str
    """Relative to the experiment file."""
    gguf_file: str | None = None
    """Read the weights from this GGUF file of the folder instead of safetensors."""
    digest: Digest | None = None
    """SHA-256 of its files; filled in when the experiment is pinned."""


Model = Annotated[BuiltInModel | HubModel | FolderModel, Field(discriminator="source")]

# ------------------------------------------------------------------------------------------------------ data


class ChainSumSource(Frozen):
    """The built-in task: sums of digits modulo 10, made as they are needed."""

    kind: Literal["chain-sum"] = "chain-sum"
    min_terms: int = Field(2, ge=2, le=10)
    max_terms: int = Field(10, ge=2, le=10)


class ReasoningGymSource(Frozen):
    """A procedural task of the reasoning-gym package, by its name."""

    kind: Literal["reasoning-gym"] = "reasoning-gym"
    task: str
    options: dict[str, int | float | bool | str] = {}
    """Passed to the task as they are, such as `min_terms = 4`."""


class Gsm8kSource(Frozen):
    """GSM8K with its official train and test splits: `openai/gsm8k` on the hub, or a local copy."""

    unhashed: ClassVar[frozenset[str]] = frozenset({"folder"})

    kind: Literal["gsm8k"] = "gsm8k"
    folder: str | None = None
    """A folder with train.jsonl and test.jsonl (or .parquet); None loads from the hub."""
    revision: str = "main"
    """The hub's branch, tag or commit; pinned before anything runs. Unused with a folder."""
    digest: Digest | None = None


class Math500Source(Frozen):
    """MATH-500: `HuggingFaceH4/MATH-500` on the hub, or a local copy. A test split only."""

    unhashed: ClassVar[frozenset[str]] = frozenset({"folder"})

    kind: Literal["math500"] = "math500"
    folder: str | None = None
    """A folder with test.jsonl (or .parquet); None loads from the hub."""
    revision: str = "main"
    digest: Digest | None = None


class HubSource(Frozen):
    """Any data set on the hub with a question and an answer column."""

    kind: Literal["hub"] = "hub"
    id: str
    config: str | None = None
    revision: str = "main"
    train_split: str | None = "train"
    test_split: str | None = "test"
    """None: test problems are taken from the training split by the hash of their question."""
    question: str = "question"
    answer: str = "answer"
    difficulty: str | None = None


class FileSource(Frozen):
    """A user's own JSONL or Parquet file with a question and an answer column."""

    unhashed: ClassVar[frozenset[str]] = frozenset({"path", "test_path"})

    kind: Literal["file"] = "file"
    path: str
    """Relative to the experiment file."""
    test_path: str | None = None
    """A file of its own for testing; None: a tenth of the rows, by the hash of their question."""
    question: str = "question"
    answer: str = "answer"
    difficulty: str | None = None
    digest: Digest | None = None


Source = Annotated[
    ChainSumSource | ReasoningGymSource | Gsm8kSource | Math500Source | HubSource | FileSource,
    Field(discriminator="kind"),
]

# --------------------------------------------------------------------------------------------------- prompts


class Prompt(Frozen):
    """How a question is put to a model. Training and evaluation use the same one."""

    template: str = "{question}"
    """`{question}` is replaced by the question."""
    system: str | None = None
    """A system message, for models with a chat template."""
    chat: bool | None = None
    """Wrap in the model's chat template; None does so where the model has one."""


# -------------------------------------------------------------------------------------------------- training


class SigmoidPenalty(Frozen):
    """Arora & Zanette (2025): 1 - alpha · sigmoid(z) for correct completions, z over the correct ones of the group."""

    kind: Literal["sigmoid"] = "sigmoid"


Penalty = SigmoidPenalty


class LeaveOneOut(Frozen):
    """A completion's reward less the mean of the others of its group (RLOO)."""

    kind: Literal["leave-one-out"] = "leave-one-out"


Advantage = LeaveOneOut


class FullWeights(Frozen):
    """Train every parameter."""

    kind: Literal["full"] = "full"


class Lora(Frozen):
    """Train low-rank adapters on the linear layers (Hu et al. 2021); they are merged when the policy is saved."""

    kind: Literal["lora"] = "lora"
    rank: int = Field(32, ge=1)
    scale: float = Field(64, gt=0)
    """LoRA's own alpha: updates are multiplied by scale / rank."""
    dropout: float = Field(0.0, ge=0, lt=1)


Weights = Annotated[FullWeights | Lora, Field(discriminator="kind")]

# --------------------------------------------------------------------------------------------------- storage


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


Home = Annotated[FolderHome | S3Home, Field(discriminator="kind")]
