"""Base models and policies that answer the same question: for a look, not for a measurement."""

from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import NamedTuple, Self

from effreason.artifacts import Manifest
from effreason.choices import Model
from effreason.generation import Limits, Request
from effreason.generation.sampler import Sampler, open_sampler
from effreason.models import load
from effreason.prompts import render
from effreason.shipping.card import evaluations_of
from effreason.specs import EvaluateSpec, Protocol, TrainSpec
from effreason.store import Store


class Answer(NamedTuple):
    """What one model said. Made by `Panel`; read by whoever prints it."""

    name: str
    policy: str | None
    """Its address; None is the base model."""
    text: str
    tokens: int
    truncated: bool


@dataclass(frozen=True)
class Seat:
    """One model, and how it is asked."""

    name: str
    policy: str | None
    spec: TrainSpec
    protocol: Protocol
    sampler: Sampler


@dataclass(frozen=True)
class Panel:
    """Models in memory: every base, each followed by its policies."""

    seats: tuple[Seat, ...]

    @classmethod
    def seated(cls, store: Store, policies: list[Manifest]) -> Self:
        """Load the policies and their bases. Raises as `effreason.models.load` does."""
        by_base: dict[str, list[Manifest]] = {}
        for policy in policies:
            by_base.setdefault(_spec(policy).model.fingerprint, []).append(policy)
        seats = []
        for group in by_base.values():
            seats.append(_base_seat(store, group[0]))
            seats += [_policy_seat(store, policy) for policy in group]
        return cls(tuple(seats))

    def answers(self, question: str, *, greedy: bool, seed: int) -> list[Answer]:
        """One completion of each, drawn by the same random numbers, which any `seed` gives.

        Raises `UserError` where a model cannot be asked in its prompt.
        """
        bits = Random(f"{seed}").getrandbits(32)
        return [_answer(seat, question, greedy, bits) for seat in self.seats]


def _spec(policy: Manifest) -> TrainSpec:
    assert isinstance(policy.spec, TrainSpec)  # noqa: S101  what makes a policy
    return policy.spec


def _base_seat(store: Store, policy: Manifest) -> Seat:
    """The base, asked as this policy of it is."""
    spec = _spec(policy)
    return Seat(f"{spec.model.name} (base)", None, spec, protocol_of(store, policy), _sampler(spec.model, None))


def _policy_seat(store: Store, policy: Manifest) -> Seat:
    spec = _spec(policy)
    name = f"{spec.model.name} alpha={spec.alpha:g} s{spec.seed}"
    with TemporaryDirectory(prefix="effreason-ask-") as scratch:
        folder = store.fetch(policy, Path(scratch), ["model/"]) / "model"
        return Seat(name, policy.address, spec, protocol_of(store, policy), _sampler(spec.model, folder))


def _sampler(model: Model, policy: Path | None) -> Sampler:
    return open_sampler(load(model, policy=policy))


def protocol_of(store: Store, policy: Manifest) -> Protocol:
    """In which the policy was measured first, as a sweep does right after training, so that no later look of another
    kind changes how it is asked; where it was not, the usual one with the token limit of its training."""
    for manifest in evaluations_of(store, policy.address):
        if isinstance(manifest.spec, EvaluateSpec):
            return manifest.spec.protocol
    return Protocol(max_tokens=_spec(policy).training.max_tokens)


def _answer(seat: Seat, question: str, greedy: bool, seed: int) -> Answer:
    protocol = seat.protocol
    prompt = render(seat.spec.prompt, question, seat.sampler.tokenizer)
    limits = Limits(0 if greedy else protocol.temperature, protocol.top_p, protocol.max_tokens)
    ((completion,),) = seat.sampler.generate([Request(prompt, 1, seed)], limits)
    return Answer(seat.name, seat.policy, completion.text, completion.tokens, completion.truncated)
