"""Whatever ends a flow ends its steps, and nothing is left of them.

run_context.py   a runner, a display and a watch for Cancel in the UI while a flow runs
cancelling.py    a run cancelled in the UI is noticed here, and one that is taken for dead is contested
deployed.py      a run that a worker has begun says which process works for it
owner.py         who works for a container or a run, as labels
reaping.py       containers whose purpose is gone are removed
"""
