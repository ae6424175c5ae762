"""The steps counted for Prometheus.

meter.py         the steps of one run, in a tally
tally.py         the tallies of all runs of the machine
serving.py       all of them at one address: `python -m tasks.metrics.serving`
"""
