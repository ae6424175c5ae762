"""A policy made into a model that others can load: files for transformers and vLLM, and a card that says what it is.

export     writes the folder: the merged model or an adapter, the tokenizer, the generation config, the card
parts      which files are parts of a model, and make way for another
adapter    low-rank matrices from the difference between a policy and its base
card       README.md with the front matter that the hub reads
purpose    what the policy was trained for, as the card says it
push       the folder to a repository of the hub
"""
