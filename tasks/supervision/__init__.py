"""Supervision of runs: whatever ends a flow ends its steps, and nothing is left of them.

run_context.py   a runner, a display and a watch for Cancel in the UI while a flow runs
cancelling.py    the detection of Cancel in the UI, and the objection of a live run that is marked as dead
deployed.py      the setup of a run that a worker has started
owner.py         the process that works for a container or a run, as labels
reaping.py       the removal of orphaned containers
"""
