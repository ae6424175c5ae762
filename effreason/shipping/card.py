"""The model card: what the policy was made from, how, with which results, and what was not measured."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from huggingface_hub import errors as hub_errors
from huggingface_hub import hf_hub_download, metadata_load
from yaml import YAMLError  # type: ignore[import-untyped]

from effreason.artifacts import Evaluation, Manifest, Policy
from effreason.choices import BuiltInModel, FolderModel, HubModel, Model, Prompt
from effreason.figures import count, percent
from effreason.problems.files import VALIDATION
from effreason.reasoner import WEIGHTS
from effreason.shipping.data import data_lines, hub_id
from effreason.shipping.orders import order_lines
from effreason.shipping.purpose import purpose_of
from effreason.specs import Address, EvaluateSpec, PrepareSpec, Protocol, TrainSpec
from effreason.store import Store
from effreason.store.shelf import Damaged

FRONT = """---
library_name: {library}
pipeline_tag: text-generation
tags: [effreason, reasoning, {tag}]
{lines}---
"""

PAGE = """
# {title}

`{base}`, {purpose.aim}

## Training

| | |
|---|---|
| base | {base} |
| algorithm | {purpose.algorithm} |
| penalty for length (alpha is its strength, in its own unit) | {purpose.penalty} |
| steps | {steps}, {generated:,} sampled tokens |
| weights | {weights} |
| seed | {seed} |

## Data

{data}

## Results

{results}

## Limits

- The figures hold for the suites, the prompt and the sampling above, and say nothing of others.
- {purpose.caution}
- Whatever the base model gets wrong or says that it should not, this model may as well.
- {licence}

## How to use

{usage}

{prompt}

## How to reproduce

Made by effreason {version} (commit {commit}) as `{address}`, from the problems `{problems}`.

{orders}
"""

LOADING = """```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("FOLDER")
tokenizer = AutoTokenizer.from_pretrained("FOLDER")
```

or `vllm serve FOLDER`."""

ADAPTING = """```python
from peft import PeftModel
from transformers import AutoModelForCausalLM

base = AutoModelForCausalLM.from_pretrained({base})
model = PeftModel.from_pretrained(base, "FOLDER")
```"""


def card(store: Store, policy: Manifest, title: str, *, adapter: bool) -> str:
    """Return the README.md for the folder of an exported policy."""
    spec, origin = policy.spec, policy.provenance
    assert isinstance(spec, TrainSpec)  # noqa: S101  policies are made from train specs
    preparation = store.find(spec.problems)
    licence, purpose = licence_of(spec.model), purpose_of(spec)
    assert isinstance(policy.artifact, Policy)  # noqa: S101  train specs make policies
    page = PAGE.format(
        title=title,
        base=_base(spec.model),
        purpose=purpose,
        steps=policy.artifact.steps,
        generated=policy.artifact.generated_tokens,
        weights=spec.training.weights.kind,
        seed=spec.seed,
        data="\n".join(data_lines(preparation)),
        results="\n".join(_results(store, policy.address, spec.problems)),
        licence=f"The licence of the base model holds: {licence}." if licence else NO_LICENCE,
        usage=ADAPTING.format(base=_loaded_from(spec.model)) if adapter else LOADING,
        prompt="\n".join(_prompting(spec.prompt)),
        version=origin.version,
        commit=origin.commit or "unknown",
        address=policy.address,
        problems=spec.problems,
        orders="\n".join(order_lines(preparation, spec)),
    )
    library = "peft" if adapter else "transformers"
    return FRONT.format(library=library, tag=purpose.tag, lines=_lines(spec.model, licence, preparation)) + page


NO_LICENCE = "The base model's card names no licence that could be read here: look it up before you pass this on."


def licence_of(model: Model) -> str | None:
    """Return the licence that the base model's card names; None if it names none or cannot be read."""
    match model:
        case BuiltInModel():
            return _licence_in(WEIGHTS / "README.md")
        case FolderModel():
            return _licence_in(Path(model.path) / "README.md")
        case HubModel():
            try:
                return _licence_in(Path(hf_hub_download(model.id, "README.md", revision=model.revision)))
            except (hub_errors.HfHubHTTPError, hub_errors.LocalEntryNotFoundError, hub_errors.OfflineModeIsEnabled):
                return None


def _licence_in(page: Path) -> str | None:
    try:
        metadata = (metadata_load(page) if page.is_file() else None) or {}
    except (ValueError, YAMLError):  # somebody else's page: its head is no mapping, or it is not YAML or not UTF-8
        return None
    licence = metadata.get("license")
    return str(licence) if licence else None


def _lines(model: Model, licence: str | None, preparation: Manifest | None) -> str:
    base = [f"base_model: {model.id}\n"] if isinstance(model, HubModel) else []
    trained = preparation.spec.source if preparation and isinstance(preparation.spec, PrepareSpec) else None
    data = [f"datasets: [{id}]\n"] if trained and (id := hub_id(trained)) else []
    return "".join([*base, *data, *([f"license: {licence}\n"] if licence else [])])


def _base(model: Model) -> str:
    match model:
        case BuiltInModel():
            return f"{model.name}, the built-in reasoner of effreason"
        case FolderModel():
            return model.name
        case HubModel():
            return f"{model.id} at {model.revision}"


def _loaded_from(model: Model) -> str:
    """Return the arguments with which `from_pretrained` loads the base."""
    return f'"{model.id}", revision="{model.revision}"' if isinstance(model, HubModel) else '"BASE"'


def _prompting(prompt: Prompt) -> Iterator[str]:
    """Yield the lines on how a question was put to the model; its answers depend on this as well as on its weights."""
    yield f"The prompt that it was trained on, {_CHAT[prompt.chat]}:"
    yield from ("", "```text", prompt.template, "```")
    if prompt.system:
        yield from ("", "with the system message:", "", "```text", prompt.system, "```")
    if prompt.budgets:
        least, most = prompt.budgets
        yield from ("", f"where `{{budget}}` is a number of tokens from {least} to {most}.")
    if prompt.thinking is not None:
        yield from ("", f"The template was told `enable_thinking={prompt.thinking}`.")


_CHAT = {
    None: "as a message of the user in the chat template where the tokenizer has one",
    True: "as a message of the user in the chat template",
    False: "as plain text, without the chat template",
}


def evaluations_of(store: Store, policy: Address) -> list[Manifest]:
    """Return the sealed evaluations of a policy, the earliest first.

    Damaged ones are left out, since they do not tell which policy they belong to; `effreason artifacts` reports them.
    """
    own = []
    for address in store.addresses():
        with suppress(Damaged):
            found = store.find(address) if address.startswith("evaluate/") else None
            if found is not None and isinstance(found.spec, EvaluateSpec) and found.spec.policy == policy:
                own.append(found)
    return sorted(own, key=lambda manifest: manifest.provenance.started)


def _results(store: Store, policy: Address, problems: Address) -> Iterator[str]:
    """Yield the lines of a table of base and policy for every evaluation that the store holds."""
    any_found = False
    for after in evaluations_of(store, policy):
        assert isinstance(after.spec, EvaluateSpec)  # noqa: S101  `evaluations_of` returns only these
        before = store.find(after.spec.model_copy(update={"policy": None}).address)
        any_found = True
        yield f"{_asked(after.spec.protocol)}; `{after.address}`. Brackets hold 95% intervals over problems."
        yield from (f"On {own.suite}: {_asked(own.protocol)}." for own in after.spec.suites)
        yield ""
        if after.spec.problems != problems:
            yield from (f"Measured on other problems, `{after.spec.problems}`:", "")
            yield from (*data_lines(store.find(after.spec.problems)), "")
        yield "| suite | problems | model | accuracy | tokens | truncated |"
        yield "|---|---|---|---|---|---|"
        yield from _rows("base", before)
        yield from _rows("this model", after)
        if before is None:
            yield ""
            yield "The store holds no evaluation of the base model in the same protocol."
        yield ""
    if not any_found:
        yield "Not measured: the store holds no evaluation of this policy."


def _asked(protocol: Protocol) -> str:
    return f"Temperature {protocol.temperature:g}, top-p {protocol.top_p:g}, at most {protocol.max_tokens} tokens"


def _rows(who: str, manifest: Manifest | None) -> Iterator[str]:
    if manifest is None or not isinstance(manifest.artifact, Evaluation):
        return
    for suite, found in manifest.artifact.suites.items():
        if suite == VALIDATION:  # alpha is chosen on it, so it is no test
            continue
        figures = f"{percent(found.accuracy)} | {count(found.tokens)} | {percent(found.truncated)}"
        yield f"| {suite} | {found.problems} × {found.samples} | {who} | {figures} |"
