"""Stands in for a flow run: many steps at once, each a child process that holds its share for a while.

    python fake_flow_run.py TRACE SECONDS STEPS RESOURCES.json

TRACE gets a JSON line for everything that happens, with the machine's monotonic clock in seconds. A step, which reads
its devices from CUDA_VISIBLE_DEVICES alone, writes `begin` and `end`; its launcher `asked`, `granted` and `returned`.
"""

import json
import os
import sys
import threading
import time

from effreason.choices import BuiltInModel
from effreason.experiment import Experiment, Resources
from tasks.running.process import child
from tasks.running.turns import Turns

EXPERIMENT = Experiment(name="small", models=(BuiltInModel(),), alphas=(0.2,))
TRAINING = EXPERIMENT.train_spec(next(EXPERIMENT.cells()), EXPERIMENT.prepare_spec().address)
STEP = """
import json, os, sys, time
trace, seconds, label = sys.argv[1:]
def say(event):
    line = {"event": event, "time": time.monotonic(), "label": label, "devices": os.environ["CUDA_VISIBLE_DEVICES"]}
    descriptor = os.open(trace, os.O_WRONLY | os.O_APPEND)
    os.write(descriptor, (json.dumps(line) + "\\n").encode())
    os.close(descriptor)
say("begin")
time.sleep(float(seconds))
say("end")
"""


def main() -> int:
    trace, seconds, steps, resources = sys.argv[1:]
    turns = Turns(Resources.model_validate_json(resources), "made up", str(os.getpid()))
    labels = [f"{os.getpid()}-{number}" for number in range(int(steps))]
    threads = [threading.Thread(target=run, args=(turns, trace, seconds, label)) for label in labels]
    for thread in threads:
        thread.start()
        time.sleep(0.002)  # so that the tickets have an order that the trace tells
    for thread in threads:
        thread.join()
    return 0


def run(turns: Turns, trace: str, seconds: str, label: str) -> None:
    say(trace, "asked", label, [])
    with turns.take(label, TRAINING) as share:
        say(trace, "granted", label, share.devices)
        command = [sys.executable, "-ISc", STEP, trace, seconds, label]
        with child(command, {**os.environ, **share.environment}, share.descriptors) as process:
            process.wait()
        say(trace, "returned", label, share.devices)


def say(trace: str, event: str, label: str, devices: object) -> None:
    line = {"event": event, "time": time.monotonic(), "label": label, "devices": devices}
    descriptor = os.open(trace, os.O_WRONLY | os.O_APPEND)
    os.write(descriptor, (json.dumps(line) + "\n").encode())
    os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
