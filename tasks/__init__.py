"""The steps as Prefect sees them, one file each, and what they stand on: the launcher, the display, the local server.

launching.py     an artifact from the store, or made by a step
launchers.py     the seam to what runs a step, and steps as child processes
process.py       one child process: its lines read, its end made sure of
container.py     steps as containers
confinement.py   what a step in a container may reach
engine.py        the door to the Docker engine
reaping.py       containers whose purpose is gone are removed
turns.py         which step may run, and with what share of the machine
supervision.py   whatever ends the flow ends its steps
cancelling.py    a run cancelled in the UI is noticed here
display.py       progress in the terminal
page.py          progress, logs and results in the Prefect UI
server.py        the local Prefect server: `python -m tasks.server start | stop | status`
"""
