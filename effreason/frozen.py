"""Values that never change after birth, and the fingerprint that stands for them."""

import hashlib
import json
from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A value: immutable, refuses unknown keys, identified by its fingerprint."""

    # JSON, in which values travel and are addressed, has no infinity.
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    unhashed: ClassVar[frozenset[str]] = frozenset()
    """Fields that say where something lies rather than what it is; two values that differ only there are equal."""

    def canonical(self) -> dict[str, object]:
        """Return the value as plain JSON, without what is unhashed."""
        return {name: _plain(getattr(self, name)) for name in type(self).model_fields if name not in self.unhashed}

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the canonical JSON: 64 hex digits."""
        text = json.dumps(self.canonical(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, Frozen):
        return value.canonical()
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value
