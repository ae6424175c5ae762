"""`python -m flows.full_sweep` with `fake_step.py` for the steps; Prefect's settings must be in the environment."""

import sys
from pathlib import Path

from flows.command import main
from tasks.running import launching

launching.STEP = (sys.executable, str(Path(__file__).with_name("fake_step.py")))
sys.exit(main())
