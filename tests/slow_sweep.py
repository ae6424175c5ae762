"""`fake_sweep.py` whose trainings and measurements last a while and write a trace, as `fake_flow_run.py` does.

python slow_sweep.py TRACE SECONDS EXPERIMENT.toml
"""

import sys
from pathlib import Path

import fake_flow_run

from flows.command import main
from tasks.running import launching

FAKE_STEP = Path(__file__).with_name("fake_step.py")
STEP = f"""
import runpy, subprocess, sys
trace, seconds, name = sys.argv[1:4]
sys.argv = ["fake_step", *sys.argv[3:]]
if name in ("train", "evaluate"):
    subprocess.run([sys.executable, "-ISc", {fake_flow_run.STEP!r}, trace, seconds, sys.argv[2]], check=True)
runpy.run_path({str(FAKE_STEP)!r}, run_name="__main__")
"""

trace, seconds = sys.argv[1:3]
del sys.argv[1:3]
launching.STEP = (sys.executable, "-c", STEP, trace, seconds)
sys.exit(main())
