"""Beside a worker, as long as it lives: containers whose purpose is gone are removed, and dead runs go on.

python -m infra.housekeeping NUMBER-OF-THE-WORKER'S-PROCESS, which has to be the parent
"""

import os
import sys
import time

import httpx
from prefect import get_client
from prefect.exceptions import PrefectException

from infra.resuming import resume
from tasks.supervision.reaping import keep_house

SECONDS = 15.0
"""Between two looks."""


def main() -> int:
    worker = int(sys.argv[1])
    while os.getppid() == worker:
        keep_house()
        _resume_if_possible()
        time.sleep(SECONDS)
    return 0


def _resume_if_possible() -> None:
    try:
        with get_client(sync_client=True) as client:
            for sentence in resume(client):
                print(sentence, file=sys.stderr, flush=True)
    except (httpx.HTTPError, PrefectException):
        pass  # a server that is away; it is looked at again


if __name__ == "__main__":
    sys.exit(main())
