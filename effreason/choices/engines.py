"""The engine that generates completions: our own decoding loop, or vLLM, in the step's own process or as a server."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from effreason.frozen import Frozen


class OwnSampler(Frozen):
    """The decoding loop of `effreason.generation.sampler`, on the same weights that are trained or evaluated."""

    kind: Literal["sampler"] = "sampler"


class Vllm(Frozen):
    """vLLM in the step's own process; in training it holds a second copy of the policy on the trainer's GPU.

    It needs the environment that `make vllm` builds; the step runs in it. The options below affect only speed.
    """

    unhashed: ClassVar[frozenset[str]] = frozenset({"tensor_parallel", "cache_gib", "rows", "compiled"})

    kind: Literal["vllm"] = "vllm"
    tensor_parallel: int = Field(1, ge=1)
    """GPUs (on a CPU, processes) over which each layer is split; must divide the model's number of attention heads and
    the size of its vocabulary, rounded up to a multiple of 64."""
    cache_gib: float = Field(2.0, gt=0)
    """GiB for keys and values on each GPU, or in each process."""
    rows: int = Field(256, ge=1)
    """Largest number of concurrent completions."""
    compiled: bool = False
    """Whether to compile the model first, which takes about 30 s at the start and makes each decoding step faster."""


class VllmServer(Frozen):
    """A vLLM server on a GPU or host of its own, started as docs/vllm.md describes.

    In training the policy is passed to it through a folder that both can read.
    """

    unhashed: ClassVar[frozenset[str]] = frozenset({"url", "folder", "parallel"})

    kind: Literal["vllm-server"] = "vllm-server"
    url: str = Field("http://127.0.0.1:8000", pattern=r"^https?://[^/]+$")
    """Address of the server, without a path."""
    folder: str | None = None
    """Folder in which weights are left for the server to read. None is enough on one host, unless the step's temporary
    folder is private to it, as in a container."""
    parallel: int = Field(64, ge=1)
    """Number of concurrent requests."""


Engine = Annotated[OwnSampler | Vllm | VllmServer, Field(discriminator="kind")]


class Agreement(Frozen):
    """How closely the sampling engine and the trainer must agree: limits on the mean over sampled tokens of the
    absolute difference of their log-probabilities, in nats.

    Rounding in bfloat16 contributes a few thousandths, in float32 millionths; an engine with outdated weights drifts
    away from the policy step by step.
    """

    sequences: int = Field(8, ge=1)
    """Completions compared in every step."""
    alarm_nats: float | None = Field(None, gt=0)
    """Difference above which an alarm is raised. None means 0.001 for float32 on a CPU, otherwise 0.02, and never above
    stop_nats."""
    stop_nats: float | None = Field(None, gt=0)
    """Difference above which training stops. None means 0.005 for float32 on a CPU, otherwise 0.05, and never below
    alarm_nats."""

    @model_validator(mode="after")
    def first_the_alarm(self) -> Self:
        if self.alarm_nats and self.stop_nats and self.alarm_nats > self.stop_nats:
            raise ValueError(f"alarm_nats is above stop_nats ({self.stop_nats:g}); set it below.")
        return self


class NoCorrection(Frozen):
    """No correction: the engine's completions are treated as the policy's own."""

    kind: Literal["none"] = "none"


class TokenTruncated(Frozen):
    """Each token's share of the gradient is weighted by the probability ratio of trainer to engine, at most `cap`
    (truncated importance sampling; Yao et al. 2025, "Your Efficient RL Framework Secretly Brings You Off-Policy RL
    Training")."""

    kind: Literal["token-truncated"] = "token-truncated"
    cap: float = Field(2.0, ge=1)
    """The largest weight of a token; 1 lets no token weigh more than without the correction."""


class SequenceTruncated(Frozen):
    """Like `TokenTruncated`, but with one ratio per completion, the product of its tokens' ratios: unbiased up to the
    cap, which the token ratio is not, and with more variance in long completions."""

    kind: Literal["sequence-truncated"] = "sequence-truncated"
    cap: float = Field(2.0, ge=1)
    """The largest weight of a completion; 1 lets none weigh more than without the correction."""


Correction = Annotated[NoCorrection | TokenTruncated | SequenceTruncated, Field(discriminator="kind")]
"""The correction for the mismatch between sampling engine and trainer; with `OwnSampler` there is no mismatch."""
