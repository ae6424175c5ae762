"""What every step of an experiment costs.

Tokens: completions × the tokens that the base model's evaluation measured where it is in the store, else half of the
limit. Memory and time as `memory` and `duration` have them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

from effreason.artifacts import Evaluation, Manifest
from effreason.catalogue import shape
from effreason.choices import ChainSumSource, FullWeights
from effreason.experiment import Experiment, Resources
from effreason.planning.devices import Device
from effreason.planning.duration import decoding_seconds, update_seconds, weights_read
from effreason.planning.layout import steps
from effreason.planning.memory import Sampling, in_bfloat16, state_bytes, weight_bytes
from effreason.planning.phases import Memory, Part, Phase, evaluation_memory, training_memory
from effreason.specs import Address, EvaluateSpec, GateSpec, PrepareSpec, ReportSpec, Spec, TrainSpec

Find = Callable[[Address], Manifest | None]
"""The signature of the store's `find`."""

START_SECONDS = 12.0
"""Seconds for the interpreter, imports and loading a small model."""
BYTES_PER_TRANSCRIPT_TOKEN = 6
"""Bytes of a stored completion with its columns, compressed."""
PROMPT_TOKENS = 256
"""Tokens of a question with its instruction and chat template; the built-in sums take 32."""
SMALL_STEP = Memory((Phase("work", (Part("data", 100_000_000),)),), rows=0)


@dataclass(frozen=True)
class Setting:
    """The facts besides its spec that the cost of a step depends on."""

    problems: Mapping[str, int]
    """The number of problems by the part that is measured: the suites, and the validation part."""
    prompt_tokens: int
    resources: Resources

    @classmethod
    def of(cls, preparation: PrepareSpec, resources: Resources) -> Self:
        suites = {suite.name: suite.problems for suite in preparation.suites}
        short = isinstance(preparation.source, ChainSumSource)
        return cls({"validation": preparation.validation_problems, **suites}, 32 if short else PROMPT_TOKENS, resources)


class Cost(NamedTuple):
    """Estimates; None where the model's shape is not known, and seconds where the step does not fit."""

    tokens: int
    """Generated tokens."""
    memory: Memory | None
    """Memory of the GPU, or of the machine where it has none."""
    disk: int | None
    """Bytes added to the store."""
    seconds: float | None


@dataclass(frozen=True)
class PlannedStep:
    """One row of the plan."""

    label: str
    spec: Spec
    done: bool
    cost: Cost
    by_measure: bool = False
    """Whether its tokens are as the base model's evaluation measured them."""


def plan(experiment: Experiment, find: Find, device: Device) -> list[PlannedStep]:
    """Return every step, done or to do, with its estimated cost."""
    measured: dict[str, float] = {}
    setting = Setting.of(experiment.prepare_spec(), experiment.runtime)
    planned = []
    for label, spec in steps(experiment):
        found = find(spec.address)
        if found and isinstance(spec, EvaluateSpec) and spec.policy is None and spec.instruction is None:
            measured[spec.model.name] = tokens_measured(found)
        tokens = measured.get(spec.model.name) if isinstance(spec, EvaluateSpec | TrainSpec) else None
        cost = cost_of(spec, setting, device, tokens)
        planned.append(PlannedStep(label, spec, found is not None, cost, tokens is not None))
    return planned


def cost_of(spec: Spec, setting: Setting, device: Device, tokens: float | None) -> Cost:
    """Return the cost of a step; `tokens` are the mean tokens per completion, None if unknown."""
    match spec:
        case PrepareSpec():
            problems = spec.train_problems + spec.validation_problems + sum(suite.problems for suite in spec.suites)
            return Cost(0, SMALL_STEP, problems * 1_000, START_SECONDS / 2 + problems / 500)
        case EvaluateSpec():
            return _evaluation_cost(spec, setting, device, tokens)
        case TrainSpec():
            return _training_cost(spec, setting, device, tokens)
        case ReportSpec():
            return Cost(0, SMALL_STEP, 1_000_000 * len(spec.cells), START_SECONDS)
        case GateSpec():
            return Cost(0, SMALL_STEP, 10_000, START_SECONDS)


def sampling_of(spec: TrainSpec, setting: Setting) -> Sampling:
    """Return what one process samples in a training step."""
    training, processes = spec.training, setting.resources.processes
    return Sampling(
        completions=-(-training.completions_per_step // processes),
        prompts=-(-training.prompts_per_step // processes),
        prompt_tokens=setting.prompt_tokens,
        max_tokens=training.max_tokens,
    )


def tokens_measured(manifest: Manifest) -> float:
    """Return the mean tokens per completion, on the suite where they are longest."""
    assert isinstance(manifest.artifact, Evaluation)  # noqa: S101  what an evaluate spec makes
    centres = [suite.tokens.centre for suite in manifest.artifact.suites.values() if suite.tokens]
    return max(centres, default=0.0)


def _evaluation_cost(spec: EvaluateSpec, setting: Setting, device: Device, tokens: float | None) -> Cost:
    problems = setting.problems
    protocols = {part: spec.asking(part).protocol for part in problems}
    completions = sum(problems[part] * protocols[part].samples for part in problems)
    expected = {part: tokens or protocol.max_tokens / 2 for part, protocol in protocols.items()}
    generated = round(sum(problems[part] * protocols[part].samples * expected[part] for part in problems))
    if (known := shape(spec.model)) is None:
        return Cost(generated, None, generated * BYTES_PER_TRANSCRIPT_TOKEN, None)
    longest = max(protocol.max_tokens for protocol in protocols.values())
    asked = Sampling(completions, sum(problems.values()), setting.prompt_tokens, longest)
    memory = evaluation_memory(known, asked, device, spec.engine)
    size = 2 if device.gpu else 4
    context = asked.prompt_tokens + generated / max(1, completions) / 2
    seconds = decoding_seconds(known, generated, memory.rows, context, size * known.parameters, size, device)
    whole = START_SECONDS + seconds if memory.peak <= device.memory else None
    return Cost(generated, memory, generated * BYTES_PER_TRANSCRIPT_TOKEN, whole)


def _training_cost(spec: TrainSpec, setting: Setting, device: Device, tokens: float | None) -> Cost:
    training, asked = spec.training, sampling_of(spec, setting)
    completions = training.steps * training.completions_per_step
    generated = round(completions * (tokens or training.max_tokens / 2))
    if (known := shape(spec.model)) is None:
        return Cost(generated, None, None, None)
    half = in_bfloat16(training, device)
    memory = training_memory(known, training, asked, device, setting.resources)
    size = state_bytes(training.weights, half)
    read = weights_read(known, weight_bytes(known, training.weights, half), training, device)
    context = asked.prompt_tokens + generated / completions / 2
    sampling = decoding_seconds(known, generated, memory.rows, context, read, size, device)
    learning = update_seconds(known, generated + completions * asked.prompt_tokens, training, device)
    saved = known.parameters * (4 if isinstance(training.weights, FullWeights) or not half else 2)
    disk = generated * BYTES_PER_TRANSCRIPT_TOKEN + saved
    whole = START_SECONDS + (sampling + learning) / setting.resources.processes
    return Cost(generated, memory, disk, whole if memory.peak <= device.memory else None)
