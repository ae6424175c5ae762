"""What runs in the background of this machine, and is found again by later runs.

daemons.py       a process that outlives the run that started it
server.py        the Prefect server: `python -m tasks.local.server start | stop | status`
browser.py       the artifact browser beside that server
"""
