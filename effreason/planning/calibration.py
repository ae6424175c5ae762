"""How long steps really took, beside what the plan would have said of them: the ratio that corrects its times.

A ratio of times is positive and skewed, so its logarithm is taken to be normal, and intervals are by Student's t. Steps
count that are of the same kind, on the same hardware, and whose tokens would have been estimated in the same way; those
of the same model alone, where there are at least `ENOUGH` of them.
"""

import functools
import math
import os
import platform
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from statistics import fmean, stdev
from typing import NamedTuple

import numpy as np

from effreason.artifacts import Interval, Provenance
from effreason.cost import gpus_had, seconds_of
from effreason.evaluation.intervals import t_quantile
from effreason.experiment import Experiment, Resources
from effreason.planning.costs import Find, PlannedStep, Setting, cost_of, tokens_measured
from effreason.planning.devices import Device
from effreason.planning.layout import gpus_of, part_of_gpu
from effreason.specs import Address, EvaluateSpec, GateSpec, PrepareSpec, Spec, TrainSpec

ENOUGH = 3
"""Steps of one model that are enough to leave those of others aside."""
MOST_OF_A_KIND = 100
"""The most artifacts read per kind of step; their addresses are hashes, so these are as good as a random sample."""
DRAWS = 4000


class Took(NamedTuple):
    """The time of a finished step over its estimate. Made by `earlier`."""

    kind: str
    model: str
    """The model as its spec has it, in full; empty where there is none."""
    by_measure: bool
    """Whether the estimate is based on measured tokens."""
    ratio: float
    """Seconds over the estimate."""


@dataclass(frozen=True)
class Calibration:
    """The ratios of time to estimate of earlier steps, applied to another step."""

    ratios: tuple[float, ...]

    @property
    def centre(self) -> float:
        """The geometric mean."""
        return math.exp(fmean(map(math.log, self.ratios)))

    @property
    def spread(self) -> float | None:
        """The standard deviation of the logarithm from step to step; None for a single step."""
        return stdev(map(math.log, self.ratios)) if len(self.ratios) > 1 else None

    @property
    def interval(self) -> Interval | None:
        """The 95% interval of `centre`; None for a single step."""
        if self.spread is None:
            return None
        half = t_quantile(len(self.ratios) - 1) * self.spread / math.sqrt(len(self.ratios))
        return Interval(self.centre * math.exp(-half), self.centre, self.centre * math.exp(half))

    def seconds(self, estimate: float) -> Interval | None:
        """Return the 95% prediction interval of one other step; None where there is no spread."""
        if self.spread is None:
            return None
        number = len(self.ratios)
        half = t_quantile(number - 1) * self.spread * math.sqrt(1 + 1 / number)
        centre = estimate * self.centre
        return Interval(centre * math.exp(-half), centre, centre * math.exp(half))

    def draws(self, steps: int, random: np.random.Generator) -> np.ndarray:
        """Draw the ratios of `steps` other steps (`DRAWS` × steps): they share the uncertainty of the mean."""
        assert self.spread is not None  # noqa: S101  the caller has looked
        number = len(self.ratios)
        mean = math.log(self.centre) + self.spread / math.sqrt(number) * random.standard_t(number - 1, (DRAWS, 1))
        return np.exp(mean + self.spread * random.standard_normal((DRAWS, steps)))


@dataclass(frozen=True)
class Calibrations:
    """The calibrations that all earlier steps give."""

    took: Sequence[Took]

    def of(self, step: PlannedStep) -> Calibration | None:
        """Return the calibration for a step; None if no earlier step applies."""
        alike = [each for each in self.took if (each.kind, each.by_measure) == (step.spec.step, step.by_measure)]
        same = [each for each in alike if each.model == _model(step.spec)]
        ratios = tuple(each.ratio for each in (same if len(same) >= ENOUGH else alike))
        return Calibration(ratios) if ratios else None

    def together(self, planned: Iterable[PlannedStep]) -> Interval | None:
        """Return the seconds of the steps in sequence, at 95%; None where one has no estimate, or no interval."""
        random = np.random.default_rng(0)
        groups: dict[Calibration, list[float]] = {}
        for step in planned:
            found = self.of(step)
            if found is None or found.spread is None or step.cost.seconds is None:
                return None
            groups.setdefault(found, []).append(step.cost.seconds)
        totals = np.zeros(DRAWS)
        for found, seconds in groups.items():
            totals += found.draws(len(seconds), random) @ np.array(seconds)
        low, median, high = map(float, np.quantile(totals, (0.025, 0.5, 0.975)))
        return Interval(low, median, high) if groups else None


def gpu_time(
    experiment: Experiment, planned: Iterable[PlannedStep], calibrations: Calibrations, device: Device
) -> Interval | None:
    """Return the GPU-seconds of `planned`: the time of each step on as many GPUs as it takes, fractions included.

    None where one has no time, or `device` has less memory than a step is to have. An interval without width is an
    estimate that could not be calibrated.
    """
    runtime = experiment.runtime
    part = part_of_gpu(device.memory, runtime)
    if part > 1:
        return None
    scaled = [
        replace(step, cost=step.cost._replace(seconds=step.cost.seconds and step.cost.seconds * gpus))
        for step in planned
        if (gpus := gpus_of(step.spec, runtime.processes) * part)
    ]
    if any(step.cost.seconds is None for step in scaled):
        return None
    by_formulas = sum(step.cost.seconds or 0.0 for step in scaled)
    return calibrations.together(scaled) or Interval(by_formulas, by_formulas, by_formulas)


def earlier(addresses: Iterable[Address], find: Find, device: Device, resources: Resources) -> Iterator[Took]:
    """Yield each stored step that is informative about `device`, once per way in which the plan could estimate it."""
    find = functools.cache(find)
    manifests = [manifest for address in _some(addresses) if (manifest := find(address))]
    measured = {
        (_model(spec), spec.problems): tokens_measured(manifest)
        for manifest in manifests
        if isinstance(spec := manifest.spec, EvaluateSpec) and spec.policy is None and spec.instruction is None
    }
    for manifest in manifests:
        spec, origin = manifest.spec, manifest.provenance
        if same_hardware(spec, origin, device) and (setting := _setting(spec, origin, find, resources)):
            known = measured.get((_model(spec), spec.problems)) if isinstance(spec, EvaluateSpec | TrainSpec) else None
            for tokens in dict.fromkeys((None, known)):
                estimate = cost_of(spec, setting, device, tokens).seconds
                if estimate:
                    yield Took(spec.step, _model(spec), tokens is not None, seconds_of(manifest) / estimate)


def same_hardware(spec: Spec, origin: Provenance, device: Device) -> bool:
    """Return whether the step ran on hardware like `device`; without a model, on cores like this machine's."""
    if device.gpu and isinstance(spec, TrainSpec | EvaluateSpec):
        return _names(str(origin.hardware.get("gpu", "")), device)
    here = (platform.machine(), os.cpu_count() or 1)
    return not gpus_had(origin) and (origin.hardware.get("machine"), origin.hardware.get("cores")) == here


def _names(gpu: str, device: Device) -> bool:
    """Return whether the driver's name matches the plan's, which may be one of the catalogue, such as a100-80."""
    words = set(re.findall(r"[a-z0-9]+", gpu.lower()))
    model, _, gib = device.name.rpartition("-")
    sizes = {word for word in words if re.fullmatch(r"\d+gb", word)}
    return gpu == device.name or (bool(model) and set(model.split("-")) <= words and sizes <= {f"{gib}gb"})


def _setting(spec: Spec, origin: Provenance, find: Find, resources: Resources) -> Setting | None:
    """Return the setting of a step; None where the problems have left the store."""
    if isinstance(spec, PrepareSpec):
        return Setting.of(spec, resources)
    found = None if isinstance(spec, GateSpec) else find(spec.problems)
    if found is None or not isinstance(found.spec, PrepareSpec):
        return None
    processes = max(1, round(gpus_had(origin))) if gpus_had(origin) else resources.processes
    return Setting.of(found.spec, resources.model_copy(update={"processes": processes}))


def _some(addresses: Iterable[Address]) -> Iterator[Address]:
    """Yield at most `MOST_OF_A_KIND` addresses of each kind of step."""
    known = list(addresses)
    for kind in dict.fromkeys(address.partition("/")[0] for address in known):
        yield from islice((address for address in known if address.startswith(f"{kind}/")), MOST_OF_A_KIND)


def _model(spec: Spec) -> str:
    return spec.model.fingerprint if isinstance(spec, TrainSpec | EvaluateSpec) else ""
