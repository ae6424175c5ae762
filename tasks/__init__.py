"""The steps as Prefect sees them, one file each, and what they stand on: the launcher, the display, the local server.

launching.py     an artifact from the store, or made by a step
launchers.py     the seam to what runs a step, and steps as child processes
process.py       one child process: its lines read, its end made sure of
scratch.py       the folder of such a step
container.py     steps as containers
confinement.py   what a step in a container may reach
engine.py        the door to the Docker engine
reaping.py       containers whose purpose is gone are removed
turns.py         which step may run, and with what share of the machine
room.py          how many steps of a flow run are under way at a time
seating.py       the same on a Ray cluster: turns there, and the launcher that goes with them
row.py           the seats of a flow run, passed on from step to step
seat.py          what sits on a node and runs steps there
cluster.py       the door to Ray
supervision.py   whatever ends the flow ends its steps
cancelling.py    a run cancelled in the UI is noticed here
display.py       progress in the terminal
page.py          a dashboard, progress and logs in the Prefect UI
board.py         what is known of every step of a run
dashboard.py     the same as a page for people
remaining.py     how long it has yet to go
pinned.py        an artifact of the UI that is changed in place
results.py       the results as a table of the UI
expected.py      which steps a run will have
measured.py      a model that somebody has asked to be measured
spending.py      what the sweep has cost, and when its budget holds trainings back
meter.py         the steps counted for Prometheus, in a tally
tally.py         the tallies of all runs of the machine
metrics.py       all of them at one address: `python -m tasks.metrics`
logs.py          what happens as JSON lines
settings.py      what the environment says of logs and metrics
posts.py         a process that outlives the run that called it, and is found again
server.py        the local Prefect server: `python -m tasks.server start | stop | status`
browser.py       the artifact browser beside that server
"""
