"""The files that are parts of a model: an export replaces them, in a folder and in a repository alike."""

from fnmatch import fnmatchcase

OF_A_MODEL = (
    "config.json",
    "generation_config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "pytorch_model*",
    "adapter_config.json",
    "adapter_model.*",
    "tokenizer.*",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "chat_template.*",
    "tekken.json",
    "additional_chat_templates/*",
)
"""The files that a loader takes for parts of the model, whoever wrote them: an adapter beside merged weights changes
their answers, and an old index hides them."""


def is_of_a_model(path: str) -> bool:
    """Return whether a file of a model's folder or repository is part of the model."""
    return any(path.count("/") == pattern.count("/") and fnmatchcase(path, pattern) for pattern in OF_A_MODEL)
