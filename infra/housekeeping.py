"""Housekeeping beside a worker for as long as it lives: remove orphaned containers, and resume dead runs.

python -m infra.housekeeping PID, the process ID of the worker, which has to be the parent process
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
"""The interval between two rounds."""


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
        pass  # the server is away; the next round tries again


if __name__ == "__main__":
    sys.exit(main())
