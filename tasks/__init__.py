"""The steps as Prefect tasks, one file each, and the packages that run, supervise and display them.

prepare, evaluate, train, report, gate   the steps; the flows put them in order
promote.py       the champion, and its replacement
publish.py       the report in the run's folder and in the Prefect UI
measured.py      the evaluation of a model that somebody asked for
expected.py      the steps that a run will have
notify.py        the notification of a failure
running/         an artifact from the store, or made by a process or a container on its share of the machine
ray/             the same on a Ray cluster
supervision/     the end of all steps when their flow ends, and the removal of what is left of them
display/         the progress of a run, in the terminal and in the Prefect UI
metrics/         the metrics for Prometheus
local/           the Prefect server of this machine, and the artifact browser beside it
settings.py      the settings of logs and metrics in the environment
bare_names.py    the lookup of a deployment by its bare name
"""
