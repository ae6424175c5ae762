"""A training run from its newest checkpoint, or from the start, to its end."""

from pathlib import Path

from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from effreason.alarm import alarm
from effreason.choices import Ppo
from effreason.errors import StepFailure
from effreason.progress import Progress
from effreason.specs import TrainSpec
from effreason.training.agreement import Tolerance, tolerance_of
from effreason.training.agreement import alarm as disagreement
from effreason.training.ledger import Ledger
from effreason.training.metrics import StepMetrics
from effreason.training.ppo import PpoTrainer
from effreason.training.rollouts import Collector, Rollout
from effreason.training.setting import Setting
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
    """Train `model` in place and return the record of the run.

    Where several processes train together, each calls this; the first of them keeps checkpoints and reports progress.

    Raises:
        StepFailure: the training diverged, had nothing to learn from, or was asked to stop. The newest checkpoint is
            kept, and the same call goes on from it.
    """
    checkpoint = bench.scratch / "checkpoint"
    resumed = bench.store.load_working(spec.address, checkpoint)
    ledger = Ledger(checkpoint / LEDGER if resumed else bench.scratch / LEDGER)

    tolerance = tolerance_of(spec.training, model.device.type)

    def on_step(metrics: StepMetrics, rollouts: list[Rollout]) -> None:
        ledger.record(metrics, rollouts)
        bench.tell(_progress(metrics, spec.training.steps, tolerance, ledger))

    def keep(step: int, folder: Path) -> None:
        if collector.world.first:
            ledger.copy_to(folder / LEDGER)
            bench.store.save_working(spec.address, f"step-{step:06d}", folder)

    setting = Setting(
        model,
        tokenizer,
        spec,
        collector,
        folder=bench.scratch / "trainer",
        keep=keep,
        stopping=bench.stopping,
        accuracies=tuple(line["accuracy"] or 0.0 for line in ledger.lines),
        report_to=bench.runtime.report_to,
    )
    trainer = (PpoTrainer if isinstance(spec.training.algorithm, Ppo) else GroupTrainer)(setting, on_step)
    trainer.train(resume_from_checkpoint=str(checkpoint) if resumed else None)
    done = trainer.state.global_step // spec.training.updates_per_step
    if done < spec.training.steps:
        raise StepFailure(
            f"The training was stopped after step {done} of {spec.training.steps}; its checkpoint is kept.",
            "Run the experiment again to continue from there.",
        )
    return ledger


def _progress(metrics: StepMetrics, steps: int, tolerance: Tolerance, ledger: Ledger) -> Progress:
    figures = {
        "reward": metrics.batch.reward,
        "tokens": metrics.batch.tokens,
        "accuracy": metrics.batch.accuracy,
        "alpha": metrics.alpha,
    }
    sounded = alarm(ledger.lines)
    hacking = sounded.sentence if sounded and sounded.step == metrics.step else None
    apart = disagreement(metrics.engine.logprob_gap, tolerance)
    alarms = " ".join(filter(None, (hacking, apart))) or None
    tokens = metrics.batch.generated_tokens
    return Progress(
        phase="train", done=metrics.step, total=steps, figures=figures, alarm=alarms, generated_tokens=tokens
    )
