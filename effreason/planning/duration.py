"""The seconds of generation and update, from bandwidth and arithmetic.

A pass through a model takes two operations for each parameter and token forward, and four backward, two of which are
for the gradient of the parameters (Kaplan et al. 2020, arXiv 2001.08361). A step of decoding reads all weights once and
the keys and values of all rows; it takes as long as that, plus its arithmetic, or as starting its operators.
"""

from effreason.catalogue import Shape
from effreason.choices import FullWeights, KlInLoss, KlInReward, Ppo
from effreason.planning.devices import Device
from effreason.planning.memory import in_bfloat16
from effreason.specs import Training

ROWS_IN_USE = 0.7
"""The mean share of concurrent rows in use: they finish one by one."""


def decoding_seconds(
    known: Shape, tokens: int, rows: int, context: float, weights_read: int, bytes_per_number: int, device: Device
) -> float:
    """Return the time to draw `tokens` in `rows` concurrent rows, each behind `context` others on average.

    `weights_read` are the bytes per step that are moved for the weights.
    """
    used = max(1.0, ROWS_IN_USE * rows)
    moved = weights_read + used * context * known.cache_bytes(bytes_per_number)
    step = moved / device.bytes_per_second + 2 * known.parameters * used / device.operations_per_second
    started = max(step, known.layers * device.seconds_per_layer)
    return tokens / used * started + tokens * device.seconds_per_token / 2


def weights_read(known: Shape, weight_bytes: int, training: Training, device: Device) -> int:
    """Return the bytes that a decoding step in training moves for the weights: those held in memory; full weights
    are rounded to bfloat16 at every step, so they are read, written and read again."""
    copied = isinstance(training.weights, FullWeights) and in_bfloat16(training, device)
    return weight_bytes + (4 * known.parameters if copied else 0)


def update_seconds(known: Shape, tokens: int, training: Training, device: Device) -> float:
    """Return the time to learn from `tokens`, prompt tokens included."""
    operations = passes(training) * known.parameters
    return tokens * (operations / device.operations_per_second + device.seconds_per_token / 2)


def passes(training: Training) -> float:
    """Return the operations per parameter and token of a batch, over all that an update asks of the model."""
    learning = 6.0 if isinstance(training.weights, FullWeights) else 4.0
    again = 2.0 if training.gradient_checkpointing else 0.0
    remembered = 2.0 if training.overlap else 2.0 * (1 - 1 / training.updates_per_step)
    reference = {KlInLoss: 2.0, KlInReward: 4.0}.get(type(training.kl), 0.0)
    values = 2.0 if isinstance(training.algorithm, Ppo) else 0.0
    return learning + again + remembered + reference + values
