"""The models that a command is about, as a person names them."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from effreason.commands.stores import sealed, whole_address

if TYPE_CHECKING:
    from effreason.choices import Model, Prompt
    from effreason.specs import Address
    from effreason.store import Store

TEMPLATE = "{question}\nPlease reason step by step, and put your final answer within \\boxed{}."
"""How models that read English are asked unless told otherwise."""


class Measured(NamedTuple):
    """What `--model` names."""

    model: "Model"
    policy: "Address | None"
    prompt: "Prompt"
    """How it is asked unless told otherwise; a policy as it was trained."""


def named_model(text: str, store: "Store") -> Measured:
    """A model by its name, folder or id, or a policy by its address.

    Raises `UserError` for a name that is neither's.
    """
    from effreason.choices import BuiltInModel, FolderModel, HubModel, Prompt
    from effreason.errors import UserError
    from effreason.specs import TrainSpec

    if re.fullmatch(r"train/[0-9a-f]+", text):
        address = whole_address(store, text)
        spec = sealed(store, address).spec
        assert isinstance(spec, TrainSpec)  # noqa: S101  what lies at such an address
        return Measured(spec.model, address, spec.prompt)
    if text in ("reasoner", "builtin"):
        return Measured(BuiltInModel(), None, Prompt())
    if text and os.path.isdir(text):  # pathlib's own raises where a name is too long
        folder = Path(text).resolve()
        return Measured(FolderModel(name=_name(folder.name), path=str(folder)), None, Prompt(template=TEMPLATE))
    if re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", text):
        return Measured(HubModel(name=_name(text.partition("/")[2]), id=text), None, Prompt(template=TEMPLATE))
    raise UserError(
        f"There is no model {text!r}.", f"{_nearest(text)}Give reasoner, a folder, or OWNER/NAME of the hub."
    )


def _name(text: str) -> str:
    """As a report can call it."""
    return re.sub(r"[^A-Za-z0-9._-]|^[._-]+", "-", text).lstrip("-")[:64] or "model"


def _nearest(text: str) -> str:
    import difflib

    from effreason.catalogue import ON_THE_HUB

    known = {name.lower(): name for id in ON_THE_HUB for name in (id, id.partition("/")[2])} | {"reasoner": "reasoner"}
    close = difflib.get_close_matches(text.lower(), known, n=1)
    return f"Did you mean {known[close[0]]}? " if close else ""
