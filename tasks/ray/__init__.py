"""Steps on a Ray cluster.

seating.py       turns there, and the launcher that goes with them
row.py           the seats of a flow run, passed on from step to step
seat.py          what sits on a node and runs steps there
cluster.py       the door to Ray
"""
