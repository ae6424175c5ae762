"""Steps are run.

launching.py     an artifact from the store, or made by a step
turns.py         which step may run, and with what share of the machine
concurrency.py   how many steps of a flow run are under way at a time
spending.py      what the sweep has cost, and when its budget holds trainings back
launchers.py     the seam to what runs a step, and steps as child processes
process.py       one child process: its lines read, its end made sure of
scratch.py       the folder of such a step
container.py     steps as containers
confinement.py   what a step in a container may reach
engine.py        the door to Docker
"""
