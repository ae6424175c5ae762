"""Background processes of this machine, which later runs find again.

daemons.py       a process that outlives the run that started it
server.py        the Prefect server: `python -m tasks.local.server start | stop | status`
browser.py       the artifact browser beside that server
"""
