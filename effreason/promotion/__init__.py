"""The champion of an experiment: which policy it is, how another takes its place, and whether a night was usual.

night.py      the experiment as one night runs it, and the nights before
gate.py       whether the candidate is no less accurate and uses fewer tokens
drift.py      whether tonight's figures are like those of earlier nights
champion.py   the pointer to the champion, with its history
page.py       the page about a night
"""
