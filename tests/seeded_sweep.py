"""`python -m flows.full_sweep` with `seeded_step.py` for the steps, and every turn written into the trace.

python seeded_sweep.py TRACE SECONDS EXPERIMENT.toml
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fake_flow_run import say

from flows.command import main
from tasks.running import launching

trace, seconds = sys.argv[1:3]
del sys.argv[1:3]
launching.STEP = (sys.executable, str(Path(__file__).with_name("seeded_step.py")), trace, seconds)


def traced(turns: Any) -> Any:
    take = turns.take

    @contextmanager
    def with_trace(label: str, *others: Any) -> Iterator[Any]:
        say(trace, "asked", label, [])
        with take(label, *others) as share:
            say(trace, "granted", label, share.devices)
            try:
                yield share
            finally:
                say(trace, "returned", label, share.devices)

    turns.take = with_trace
    return turns


turns_of = launching.turns_of
launching.turns_of = lambda *asked: traced(turns_of(*asked))
sys.exit(main())
