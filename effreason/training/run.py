"""A training from its newest checkpoint, or from the start, to its end."""

from pathlib import Path

from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from effreason.errors import StepFailure
from effreason.progress import Progress
from effreason.specs import TrainSpec
from effreason.training.ledger import Ledger
from effreason.training.metrics import StepMetrics
from effreason.training.rollouts import Collector, Rollout
from effreason.training.trainer import GroupTrainer
from effreason.workbench import Workbench

LEDGER = "ledger"


def fine_tune(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    spec: TrainSpec,
    collector: Collector,
    bench: Workbench,
) -> Ledger:
    """Train `model` in place and return the record of it.

    Raises:
        StepFailure: the training diverged, had nothing to learn from, or was asked to stop. The newest checkpoint is
            kept, and the same call goes on from it.
    """
    training = spec.training
    checkpoint = bench.scratch / "checkpoint"
    resumed = bench.store.load_working(spec.address, checkpoint)
    ledger = Ledger(checkpoint / LEDGER if resumed else bench.scratch / LEDGER)

    def on_step(metrics: StepMetrics, rollouts: list[Rollout]) -> None:
        ledger.record(metrics, rollouts)
        figures = {
            "reward": metrics.batch.reward,
            "tokens": metrics.batch.tokens,
            "accuracy": metrics.batch.accuracy,
        }
        bench.tell(Progress(phase="train", done=metrics.step, total=training.steps, figures=figures))

    def keep(step: int, folder: Path) -> None:
        ledger.copy_to(folder / LEDGER)
        bench.store.save_working(spec.address, f"step-{step:06d}", folder)

    trainer = GroupTrainer(model, tokenizer, spec, collector, bench.scratch / "trainer", on_step, keep, bench.stopping)
    trainer.train(resume_from_checkpoint=str(checkpoint) if resumed else None)
    done = trainer.state.global_step // training.updates_per_step
    if done < training.steps:
        raise StepFailure(
            f"The training was stopped after step {done} of {training.steps}; its checkpoint is kept.",
            "Run the experiment again to go on from there.",
        )
    return ledger
