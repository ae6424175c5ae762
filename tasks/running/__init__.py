"""The running of steps.

launching.py     an artifact from the store, or made by a step
turns.py         which step may run, and with what share of the machine
concurrency.py   the limit on concurrent steps of a flow run
spending.py      what the sweep has cost, and when its budget holds training runs back
launchers.py     the interface to whatever runs a step, and steps as child processes
process.py       one child process: reading its output, and making sure that it ends
scratch.py       the temporary folder of such a step
container.py     steps as containers
confinement.py   what a step in a container may reach
engine.py        the interface to Docker
"""
