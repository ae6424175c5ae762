"""A deployed cron schedule yields runs.

With SQLAlchemy 2.1 the server of Prefect 3.8 starts, flows run, and its scheduler fails every minute in its log alone.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prefect_fixtures import ask

from effreason.experiment import Experiment
from effreason.experiment_file import load

ROOT = Path(__file__).parent.parent
DEPLOY = """
import json, sys
from flows.full_sweep import full_sweep
full_sweep.to_deployment("by-cron", cron="0 2 * * *", parameters={"experiment": json.loads(sys.argv[1])}).apply()
"""


@pytest.fixture
def deployment(prefect_server, prefect_environment):
    tiny = load("tiny").model_dump_json()
    subprocess.run([sys.executable, "-c", DEPLOY, tiny], cwd=ROOT, env=prefect_environment, check=True)
    return ask(prefect_server, "/deployments/name/full-sweep/by-cron")


def test_a_deployed_schedule_yields_scheduled_runs_and_a_deployment_runs_by_its_name(
    deployment, prefect_server, prefect_environment
):
    wanted = {
        "deployments": {"id": {"any_": [deployment["id"]]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
    }
    deadline = time.monotonic() + 45
    while not (runs := ask(prefect_server, "/flow_runs/filter", wanted)):
        assert time.monotonic() < deadline, "the scheduler made no run"
        time.sleep(0.5)
    assert all(run["auto_scheduled"] and run["expected_start_time"][11:16] == "02:00" for run in runs)

    by_name = [sys.executable, "-m", "prefect", "deployment", "run", "full-sweep/by-cron"]
    subprocess.run(by_name, cwd=ROOT, env=prefect_environment, check=True, capture_output=True)
    assert any(not run["auto_scheduled"] for run in ask(prefect_server, "/flow_runs/filter", wanted))


def test_an_experiment_as_json_is_the_parameter_of_the_flow():
    from prefect.exceptions import ParameterTypeError

    from flows.full_sweep import full_sweep

    tiny = load("tiny")
    given = full_sweep.validate_parameters({"experiment": json.loads(tiny.model_dump_json())})
    assert given == {"experiment": tiny} and isinstance(given["experiment"], Experiment)
    with pytest.raises(ParameterTypeError, match="alpha 2 is outside"):
        full_sweep.validate_parameters({"experiment": {**tiny.model_dump(mode="json"), "alphas": [2]}})
