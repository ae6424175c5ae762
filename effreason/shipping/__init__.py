"""The export of a policy as a model that others can load: files for transformers and vLLM, and a model card.

export     writes the folder: the merged model or an adapter, the tokenizer, the generation config, the card
parts      which files are parts of a model, and are replaced by those of another
adapter    low-rank matrices from the difference between a policy and its base
card       README.md with the front matter that the hub reads
purpose    what the policy was trained for, as the card states it
push       the upload of the folder to a repository on the hub
"""
