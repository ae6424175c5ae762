"""Steps on a Ray cluster.

placement.py     turns on the cluster, and the launcher that goes with them
actor_pool.py    the actors of a flow run, passed on from step to step
step_actor.py    the actor that runs steps on a node
cluster.py       the interface to Ray
"""
