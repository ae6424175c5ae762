"""What an experiment will cost, before it is spent: every step with its tokens, memory, disk and time.

    layout       the steps of an experiment, in their order
    devices      what GPUs have, and which one is here
    memory       the bytes of every part of a training and an evaluation; the formulas
    phases       what is there at the same time, and its peak
    duration     the seconds, from bandwidth and arithmetic
    costs        all of it for every step
    calibration  what steps really took, beside their estimates
    remedies     what to change where a step does not fit

The figures are estimates and say so. docs/memory.md has the formulas with a table of the catalogue's models.
"""

from effreason.planning.calibration import Calibrations, earlier, gpu_time
from effreason.planning.costs import Cost, Find, PlannedStep, plan
from effreason.planning.devices import CPU, GPUS, Device, chosen, found
from effreason.planning.layout import Node, gpus_of, steps
from effreason.planning.memory import keeps_reference
from effreason.planning.phases import Memory
from effreason.planning.remedies import Remedy, remedies

__all__ = [
    "CPU",
    "GPUS",
    "Calibrations",
    "Cost",
    "Device",
    "Find",
    "Memory",
    "Node",
    "PlannedStep",
    "Remedy",
    "chosen",
    "earlier",
    "found",
    "gpu_time",
    "gpus_of",
    "keeps_reference",
    "plan",
    "remedies",
    "steps",
]
