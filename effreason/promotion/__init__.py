"""Which policy is the champion of an experiment, how another takes its place, and what is usual of a night.

night.py      the experiment as one night runs it, and the nights before
gate.py       is the candidate no worse, and shorter?
drift.py      is tonight as the nights before were?
champion.py   the pointer to the champion, with its history
page.py       a night as a person reads it
"""
