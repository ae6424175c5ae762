"""Steps on a Ray cluster.

placement.py     turns there, and the launcher that goes with them
actor_pool.py    the actors of a flow run, passed on from step to step
step_actor.py    what runs steps on a node
cluster.py       the door to Ray
"""
