"""The policies that a command is about: an address in the store, or cells of an experiment.

train/3f9a                        any beginning that only one artifact has
tiny                              every cell of an experiment that the store holds
tiny:alpha=0.3,seed=0             those of them with this alpha and seed; `model=` goes likewise
"""

import re
from typing import TYPE_CHECKING

from effreason.commands.stores import sealed, whole_address

if TYPE_CHECKING:
    from effreason.artifacts import Manifest
    from effreason.experiment import CellKey
    from effreason.store import Store

FIELDS = ("model", "alpha", "seed")


def named_policies(text: str, store: "Store") -> "list[Manifest]":
    """One or more sealed policies. Raises `UserError` where the name stands for none."""
    from effreason.errors import UserError
    from effreason.experiment_file import prepared

    if re.fullmatch(r"train/[0-9a-f]+", text):
        return [sealed(store, whole_address(store, text))]
    reference, _, narrowing = text.partition(":")
    experiment = prepared(reference)
    wanted = _wanted(narrowing)
    problems = experiment.prepare_spec().address
    keys = [key for key in experiment.cells() if _fits(key, wanted)]
    if not keys:
        raise UserError(f"{reference} has no cell with {narrowing}.", "`effreason plan` lists its alphas and seeds.")
    found = [store.find(experiment.train_spec(key, problems).address) for key in keys]
    if policies := [manifest for manifest in found if manifest is not None]:
        return policies
    raise UserError(f"The store has no policy of {text}.", "Run the experiment, or give its store with --store.")


def one_policy(text: str, store: "Store") -> "Manifest":
    """The only policy that the name stands for. Raises `UserError` where there are several."""
    from effreason.commands.stores import label
    from effreason.errors import UserError

    policies = named_policies(text, store)
    if len(policies) > 1:
        cells = ", ".join(f"{one.address} ({label(one.spec, {})})" for one in policies)
        raise UserError(f"{text} has several policies: {cells}.", f"Name one, as in `{_cell_of(text, policies[0])}`.")
    return policies[0]


def _cell_of(text: str, policy: "Manifest") -> str:
    """The name of one of the policies that `text` stands for."""
    from effreason.specs import TrainSpec

    spec = policy.spec
    assert isinstance(spec, TrainSpec)  # noqa: S101  what makes a policy
    return f"{text.partition(':')[0]}:model={spec.model.name},alpha={spec.alpha:g},seed={spec.seed}"


def _wanted(narrowing: str) -> dict[str, str]:
    from effreason.errors import UserError

    pairs = [part.partition("=") for part in narrowing.split(",")] if narrowing else []
    for name, _, value in pairs:
        if name not in FIELDS or not value:
            raise UserError(
                f"{narrowing!r} does not select a cell.", "Write it like alpha=0.3,seed=0 or model=reasoner."
            )
    wanted = {name: value for name, _, value in pairs}
    if len(wanted) < len(pairs):
        raise UserError(f"{narrowing!r} gives the same key twice.", "Write each of model, alpha and seed once.")
    return wanted


def _fits(key: "CellKey", wanted: dict[str, str]) -> bool:
    own = {"model": key.model.name, "alpha": f"{key.alpha:g}", "seed": f"{key.seed}"}
    return all(own[name] == (_plain(value) if name == "alpha" else value) for name, value in wanted.items())


def _plain(number: str) -> str:
    """0.20 as 0.2."""
    try:
        return f"{float(number):g}"
    except ValueError:
        return number
