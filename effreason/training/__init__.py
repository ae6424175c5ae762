"""Reinforcement learning of one policy with TRL, from its newest checkpoint or the start, to its end.

run           the whole of it: `fine_tune`
setting       what a trainer is given
trainer       TRL's group trainer as the loop; the one module that imports TRL
boundaries    where a training may be interrupted
rollouts      the completions of a step: asked, judged, rewarded, credited
overlap       the next step's completions, generated while the current one is learned from
following     an engine with weights of its own, made to sample from the policy as it stands
agreement     whether that engine holds the weights that are trained
correction    truncated importance sampling for completions of another engine
credit        from rewards to advantages, by the algorithm
filtering     which completions pass through the update
ppo, gae      a learned value head, and its generalised advantages
microbatches  rows of like length, within a budget of padded tokens
world         the processes that train one policy together
weights       which weights are trained, and how they are saved
metrics       the figures of a step
ledger        metrics.jsonl and completions.parquet
"""
