"""The steps as Prefect sees them, one file each, and in packages what they stand on.

prepare, evaluate, train, report, gate   the steps; the flows put them in order
promote.py       the champion, and another in its place
publish.py       the report where people look for it
measured.py      a model that somebody has asked to be measured
expected.py      which steps a run will have
notify.py        somebody is told of a failure
running/         an artifact from the store, or made by a process or a container on its share of the machine
ray/             the same on a Ray cluster
supervision/     whatever ends a flow ends its steps, and nothing is left of them
display/         what happens, in the terminal and in the Prefect UI
metrics/         what happens, for Prometheus
local/           the Prefect server of this machine, and the artifact browser beside it
settings.py      what the environment says of logs and metrics
bare_names.py    a deployment found by its bare name
"""
