"""What every test has: a quiet, offline environment."""

import atexit
import os
import shutil
import signal
import tempfile

from prefect_fixtures import prefect_environment, prefect_server  # noqa: F401
from store_fixtures import rgw_server, s3_home, s3_server  # noqa: F401  fixtures for every module

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a test that reaches for the hub must fail, not wait
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# A queue for the machine's cores and GPUs that is this process's own: no sweep beside the tests makes them wait.
os.environ["EFFREASON_LEASES"] = tempfile.mkdtemp(prefix="effreason-leases-")
atexit.register(shutil.rmtree, os.environ["EFFREASON_LEASES"], ignore_errors=True)

# A shell that runs the tests in the background has them ignore Ctrl-C, and every process that they start as well.
signal.signal(signal.SIGINT, signal.default_int_handler)
