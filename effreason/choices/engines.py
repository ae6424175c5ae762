"""What makes the completions: our own decoding loop, or vLLM, in the step's own process or as a server."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from effreason.frozen import Frozen


class OwnSampler(Frozen):
    """The decoding loop of `effreason.generation.sampler`, over the very weights that are trained or measured."""

    kind: Literal["sampler"] = "sampler"


class Vllm(Frozen):
    """vLLM in the step's own process; in training it holds a copy of the policy beside the trainer's, on the same GPU.

    Needs the environment that `make vllm` builds, in which the step then runs. What is below changes speed alone.
    """

    unhashed: ClassVar[frozenset[str]] = frozenset({"tensor_parallel", "cache_gib", "rows", "compiled"})

    kind: Literal["vllm"] = "vllm"
    tensor_parallel: int = Field(1, ge=1)
    """GPUs (or on a CPU, processes) over which each layer is split; has to divide the model's attention heads."""
    cache_gib: float = Field(2.0, gt=0)
    """Memory for keys and values, of each GPU or process."""
    rows: int = Field(256, ge=1)
    """Completions that are decoded side by side, at most."""
    compiled: bool = False
    """Compile the model first: some 30 s at the start for a faster decoding step."""


class VllmServer(Frozen):
    """A vLLM that runs elsewhere, on a GPU or host of its own, as docs/vllm.md starts it.

    In training the policy goes to it through a folder that both can read.
    """

    unhashed: ClassVar[frozenset[str]] = frozenset({"url", "folder", "parallel"})

    kind: Literal["vllm-server"] = "vllm-server"
    url: str = Field("http://127.0.0.1:8000", pattern=r"^https?://[^/]+$")
    folder: str | None = None
    """Where weights are laid down for the server to read; None does on one host, unless the step's temporary folder is
    its own, as in a container."""
    parallel: int = Field(64, ge=1)
    """Requests under way at a time."""


Engine = Annotated[OwnSampler | Vllm | VllmServer, Field(discriminator="kind")]


class Agreement(Frozen):
    """How closely the engine that samples and the trainer have to agree: the mean over sampled tokens of the absolute
    difference of their log-probabilities, in nats.

    Rounding in bfloat16 comes to some thousandths, in float32 to millionths; an engine whose weights are old drifts
    away from the policy step by step.
    """

    sequences: int = Field(8, ge=1)
    """Completions of every step that are compared."""
    alarm_nats: float | None = Field(None, gt=0)
    """None is 0.001 where a CPU computes in float32, else 0.02, and never above stop_nats."""
    stop_nats: float | None = Field(None, gt=0)
    """Beyond it the training stops; None is 0.005 where a CPU computes in float32, else 0.05, and never below
    alarm_nats."""

    @model_validator(mode="after")
    def first_the_alarm(self) -> Self:
        if self.alarm_nats and self.stop_nats and self.alarm_nats > self.stop_nats:
            raise ValueError(f"alarm_nats is above stop_nats ({self.stop_nats:g}); set it below.")
        return self


class NoCorrection(Frozen):
    """The engine's completions are taken as the policy's own."""

    kind: Literal["none"] = "none"


class TokenTruncated(Frozen):
    """Each token's share of the gradient is weighed by the probability ratio of trainer and engine, at most `cap`
    (truncated importance sampling; Yao et al. 2025, "Your Efficient RL Framework Secretly Brings You Off-Policy RL
    Training")."""

    kind: Literal["token-truncated"] = "token-truncated"
    cap: float = Field(2.0, ge=1)


class SequenceTruncated(Frozen):
    """As `TokenTruncated`, with one ratio for a completion, the product of its tokens': unbiased up to the cap where
    the token's is not, and of more variance in long completions."""

    kind: Literal["sequence-truncated"] = "sequence-truncated"
    cap: float = Field(2.0, ge=1)


Correction = Annotated[NoCorrection | TokenTruncated | SequenceTruncated, Field(discriminator="kind")]
"""For the mismatch between the engine that samples and the trainer; with `OwnSampler` there is none to correct."""
