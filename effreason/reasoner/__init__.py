"""The built-in reasoner: a Llama of half a million parameters that sums digits aloud, shipped with the package.

Its card is `weights/README.md`; `python -m effreason.reasoner.recipe` makes it anew.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

WEIGHTS: Final[Path] = Path(__file__).parent / "weights"
"""The folder that `AutoModelForCausalLM.from_pretrained` and `AutoTokenizer.from_pretrained` take."""


@cache
def digest() -> str:
    """Return the SHA-256 over names and contents of the files that make the model (without the card): 64 hex digits."""
    whole = hashlib.sha256()
    for file in sorted(WEIGHTS.iterdir()):
        if file.suffix in {".json", ".safetensors"}:
            whole.update(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()
