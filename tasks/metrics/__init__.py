"""The metrics of steps, for Prometheus.

meter.py         counts the steps of one run in a tally
tally.py         keeps the tallies of all runs of the machine
serving.py       serves all of them at one address: `python -m tasks.metrics.serving`
"""
