"""Whether a model can read an instruction, known from its files before anything is loaded.

Tokenizers of language models spell what they do not know in smaller pieces. One whose vocabulary is a closed list of
words, as that of the built-in reasoner, would put the same unknown token in the place of every other word.
"""

import json
import re
from functools import lru_cache
from pathlib import Path

from effreason.choices import BuiltInModel, FolderModel, HubModel, Model
from effreason.reasoner import WEIGHTS


def why_unreadable(model: Model, text: str) -> str | None:
    """Return why an instruction would be noise to the model; None if it would not, or if the files are not here."""
    match model:
        case BuiltInModel():
            words = _closed_vocabulary(WEIGHTS)
        case FolderModel():
            words = _closed_vocabulary(Path(model.path))
        case HubModel():
            words = None
    unknown = [word for word in re.findall(r"[^\W\d_]+", text) if words is not None and word not in words]
    if words is None or not unknown:
        return None
    return f"Its vocabulary of {len(words)} tokens lacks {', '.join(f'“{word}”' for word in unknown)}."


@lru_cache
def _closed_vocabulary(folder: Path) -> frozenset[str] | None:
    """Return all tokens of a tokenizer that knows whole words only; None for any other."""
    try:
        model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
        return frozenset(model["vocab"]) if model["type"] == "WordLevel" else None
    except (OSError, ValueError, KeyError):  # no such file, or one of another kind: loading will tell
        return None
