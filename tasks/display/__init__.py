"""What happens in a run is shown.

terminal.py      a live bar for each running step, or plain lines
logs.py          the same as JSON lines
page.py          a dashboard, progress and logs in the Prefect UI
board.py         what is known of every step of a run
dashboard.py     the same as a page for people
remaining.py     how long it has yet to go
results.py       the results as a table
pinned.py        an artifact of the UI that is changed in place
"""
