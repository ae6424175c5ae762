"""The same question put to base models and policies, to look at the answers; this is not an evaluation."""

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
    """The answer of one model. Made by `Panel`; read by whoever prints it."""

    name: str
    policy: str | None
    """Address of the policy; None means the base model."""
    text: str
    tokens: int
    truncated: bool


@dataclass(frozen=True)
class Seat:
    """One model, and the prompt and protocol with which it is asked."""

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
        """Return one completion of each model, sampled with the same random numbers, which depend on `seed` alone.

        Raises `UserError` if a model cannot be asked with its prompt.
        """
        bits = Random(f"{seed}").getrandbits(32)
        return [_answer(seat, question, greedy, bits) for seat in self.seats]


def _spec(policy: Manifest) -> TrainSpec:
    assert isinstance(policy.spec, TrainSpec)  # noqa: S101  policies are made from train specs
    return policy.spec


def _base_seat(store: Store, policy: Manifest) -> Seat:
    """Return the base model, asked as this policy of it is."""
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
    """Return the protocol of the policy's first evaluation, which in a sweep follows its training.

    So no later evaluation changes how it is asked. Without an evaluation, return the default protocol with the token
    limit of its training.
    """
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
