"""The steps as Prefect sees them, one file each, and what they stand on: the launcher, the display, the local server.

launching.py     an artifact from the store, or made by a step in a child process
process.py       one child process: its lines read, its end made sure of
turns.py         which step may run, and with what share of the machine
supervision.py   whatever ends the flow ends its steps
cancelling.py    a run cancelled in the UI is noticed here
display.py       progress in the terminal
page.py          progress, logs and results in the Prefect UI
server.py        the local Prefect server: `python -m tasks.server start | stop | status`
"""
