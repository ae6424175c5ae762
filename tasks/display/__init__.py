"""The display of a run.

terminal.py      a live bar for each running step, or plain lines
logs.py          the same as JSON lines
page.py          a dashboard, progress and logs in the Prefect UI
board.py         the state of every step of a run
dashboard.py     the same as a page for people
remaining.py     an estimate of the time left
results.py       the results as a table
pinned.py        an artifact of the UI that is changed in place
"""
