"""vLLM behind the `Generator` seam, beside our own sampler. Needs the environment of `make vllm`; `make test-vllm`."""

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from chat_tokenizers import MISTRAL, saved
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM
from vllm_rounding import IN_FLOAT32, SAME_GREEDY, SAME_SAMPLED, assert_alike, share_alike

from effreason.choices import BuiltInModel, ChainSumSource, FolderHome, FolderModel, Prompt, Vllm
from effreason.errors import StepFailure, UserError
from effreason.generation import Limits, Request
from effreason.generation.sampler import open_sampler
from effreason.models import Loaded, load, stored
from effreason.problems.chain_sum import chain_sums
from effreason.prompts import render
from effreason.specs import EvaluateSpec, PrepareSpec, Protocol, Suite
from effreason.steps import produce
from effreason.store import open_store
from effreason.workbench import Runtime

pytestmark = pytest.mark.skipif(find_spec("vllm") is None, reason="needs vLLM: make vllm, then make test-vllm")

if find_spec("vllm") is not None:
    import mistral_common
    import vllm
    from vllm.platforms import current_platform

    from effreason.generation.vllm_engine import VllmGenerator, open_vllm

ENGINE = Vllm(cache_gib=0.25, rows=128)
GREEDY = Limits(0.0, 1.0, 200)
SAMPLED = Limits(0.7, 1.0, 120)


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return load(BuiltInModel(), "cpu")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator["VllmGenerator"]:
    model = stored(BuiltInModel(), tmp_path_factory.mktemp("stored"))
    with closing(open_vllm(ENGINE, model, scored=True)) as generator:
        yield generator


def requests(loaded: Loaded, count: int, completions: int) -> list[Request]:
    prompts = [render(Prompt(), problem.question, loaded.tokenizer) for problem in chain_sums(count, 3)]
    return [Request(prompt, completions, 1000 * place) for place, prompt in enumerate(prompts)]


def scores(model: torch.nn.Module, request: Request, ids: tuple[int, ...], temperature: float) -> torch.Tensor:
    """The model's own log-probabilities of a completion."""
    with torch.no_grad():
        logits = model(torch.tensor([[*request.prompt_ids, *ids]])).logits[0, len(request.prompt_ids) - 1 : -1]
    return (logits / temperature).log_softmax(-1).gather(1, torch.tensor(ids)[:, None])[:, 0]


def test_greedy_completions_are_those_of_our_own_sampler(loaded, engine):
    asked = requests(loaded, 32, 1)
    assert share_alike(open_sampler(loaded).generate(asked, GREEDY), engine.generate(asked, GREEDY)) >= SAME_GREEDY


def test_a_completion_ends_with_its_end_of_sequence_or_is_cut_at_the_limit(loaded, engine):
    [request] = requests(loaded, 1, 8)
    for limit in (3, 200):
        for completion in engine.generate([request], Limits(1.0, 1.0, limit))[0]:
            assert completion.truncated == (completion.token_ids[-1] not in loaded.eos_ids)
            assert completion.truncated == (limit == 3)
            assert completion.tokens == limit or not completion.truncated
            assert len(completion.log_probabilities) == len(completion.token_ids)


def test_log_probabilities_are_those_of_the_draw(loaded, engine):
    for request, group in zip(asked := requests(loaded, 4, 2), engine.generate(asked, SAMPLED), strict=True):
        for completion in group:
            assert_alike(completion, scores(loaded.model, request, completion.token_ids, SAMPLED.temperature))


def test_a_completion_depends_on_its_request_and_not_on_its_batch(loaded, engine):
    asked = requests(loaded, 6, 4)
    together = engine.generate(asked, SAMPLED)
    [alone] = engine.generate(asked[3:4], SAMPLED)
    assert share_alike([alone], together[3:4]) >= SAME_SAMPLED
    assert len({one.token_ids for one in alone}) > 1


def test_all_completions_of_a_prompt_are_one_request(loaded, engine, monkeypatch):
    told: list[list[int]] = []
    enqueue = engine.llm.enqueue

    def listening(prompts: list[object], asked: list["vllm.SamplingParams"], **options: object) -> list[str]:
        told.append([one.n for one in asked])
        assert len(prompts) == len(asked)
        return enqueue(prompts, asked, **options)

    monkeypatch.setattr(engine.llm, "enqueue", listening)
    groups = engine.generate([*requests(loaded, 1, 4), *requests(loaded, 1, 3)], SAMPLED)
    assert [len(group) for group in groups] == [4, 3]
    assert told == [[4, 3]]


def test_another_seed_makes_another_completion(loaded, engine):
    [request] = requests(loaded, 1, 4)
    reseeded = Request(request.prompt_ids, request.count, request.seed + 77)
    first, second = engine.generate([request, reseeded], Limits(1.0, 1.0, 120))
    assert [one.token_ids for one in first] != [one.token_ids for one in second]


def test_replaced_weights_are_sampled_from_and_nothing_of_the_old_is_remembered(loaded, engine):
    asked = requests(loaded, 4, 1)
    old = engine.generate(asked, GREEDY)
    changed = load(BuiltInModel(), "cpu").model
    with torch.no_grad():
        for parameter in changed.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    try:
        engine.load(changed.named_parameters())
        for request, [completion] in zip(asked, engine.generate(asked, SAMPLED), strict=True):
            assert_alike(completion, scores(changed, request, completion.token_ids, SAMPLED.temperature))
    finally:
        engine.load(loaded.model.named_parameters())
    assert engine.generate(asked, GREEDY) == old


def test_who_is_told_may_stop_it_and_the_engine_can_be_asked_again(loaded, engine):
    asked = requests(loaded, 8, 2)

    def enough(done: int) -> None:
        raise StepFailure(f"{done} are enough.", "Ask again.")

    with pytest.raises(StepFailure, match="enough"):
        engine.generate(asked, SAMPLED, enough)
    told: list[int] = []
    assert len(engine.generate(asked[:2], SAMPLED, told.append)) == 2
    assert told[-1] == 4


def test_what_the_model_cannot_hold_is_refused_with_the_numbers(loaded, engine):
    [request] = requests(loaded, 1, 1)
    with pytest.raises(UserError, match=r"up to 600 do not fit into 512"):
        engine.generate([request], Limits(0.0, 1.0, 600))


@pytest.mark.slow
def test_an_evaluation_through_vllm_gives_the_verdicts_of_one_through_our_own_sampler(tmp_path: Path):
    store = open_store(FolderHome(path=str(tmp_path / "store")))
    source = ChainSumSource()
    suites = (Suite(name="sums", source=source, problems=500),)
    problems = produce(
        PrepareSpec(source=source, train_problems=0, validation_problems=0, suites=suites, seed=0), store
    )
    usual = Protocol(samples=1, temperature=0.0, max_tokens=256)
    verdicts = []
    for protocol in (usual, usual.model_copy(update={"engine": ENGINE})):
        spec = EvaluateSpec(model=BuiltInModel(), problems=problems.address, prompt=Prompt(), protocol=protocol)
        evaluation = produce(spec, store, Runtime(threads=1, device="cpu"))
        kept = store.fetch(evaluation, tmp_path / evaluation.address, ["completions.parquet"])
        verdicts.append(rows_of(kept / "completions.parquet"))
    assert len(verdicts[0]) == 500
    alike = sum(ours == theirs for ours, theirs in zip(*verdicts, strict=True)) / 500
    assert alike >= (1.0 if IN_FLOAT32 else 0.98)


def rows_of(path: Path) -> list[dict[str, str | None]]:
    return pq.read_table(path, columns=["problem_id", "verdict", "extracted"]).to_pylist()


def test_a_tokenizer_of_mistral_is_read_as_where_there_is_no_vllm(tmp_path: Path):
    config = AutoConfig.for_model("mistral", vocab_size=264, hidden_size=32, num_hidden_layers=1, num_attention_heads=2)
    config.save_pretrained(tmp_path)
    saved(MISTRAL, tmp_path)
    model = FolderModel(name="mistral", path=str(tmp_path))
    before = stored(model, tmp_path / "stored")
    shutil.copyfile(Path(mistral_common.__file__).parent / "data" / "tekken_240911.json", tmp_path / "tekken.json")
    after = stored(model, tmp_path / "stored")
    assert after.tokenizer.decode(render(Prompt(), "2+2?", after.tokenizer)) == "<s>[INST] 2+2? [/INST]"
    assert render(Prompt(), "2+2?", after.tokenizer) == render(Prompt(), "2+2?", before.tokenizer)
    assert after.eos_ids == before.eos_ids


def test_of_weights_that_are_there_twice_those_are_served_that_transformers_reads(tmp_path: Path):
    loaded = load(BuiltInModel(), "cpu")
    loaded.tokenizer.save_pretrained(tmp_path)
    loaded.model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    index = {"metadata": {}, "weight_map": dict.fromkeys(weights, "model.safetensors")}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    save_file({name: torch.zeros_like(each) for name, each in weights.items()}, tmp_path / "consolidated.safetensors")
    (tmp_path / "params.json").write_text(json.dumps({"dim": 96, "n_layers": 5}))
    asked = requests(loaded, 16, 1)
    model = stored(FolderModel(name="twice", path=str(tmp_path)), tmp_path / "stored")
    with closing(open_vllm(ENGINE, model)) as generator:
        theirs = generator.generate(asked, GREEDY)
    assert share_alike(open_sampler(loaded).generate(asked, GREEDY), theirs) >= SAME_GREEDY


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (ValueError("no such head"), UserError),
        (NotImplementedError("no such layer"), UserError),
        (torch.OutOfMemoryError("no memory"), torch.OutOfMemoryError),
        (RuntimeError("no worker"), RuntimeError),
    ],
)
def test_what_keeps_vllm_from_starting_is_the_user_s_mistake_only_where_it_is(tmp_path, monkeypatch, raised, told):
    def failing(**_: object) -> None:
        raise raised

    monkeypatch.setattr(vllm, "LLM", failing)
    with pytest.raises(told, match="no "):
        open_vllm(ENGINE, stored(BuiltInModel(), tmp_path))


@pytest.mark.parametrize(("supported", "taken"), [([torch.bfloat16], "bfloat16"), ([torch.float16], "float32")])
def test_a_gpu_without_bfloat16_computes_in_float32(tmp_path, monkeypatch, supported, taken):
    asked: dict[str, object] = {}
    monkeypatch.setattr(type(current_platform), "is_cpu", lambda _: False)
    monkeypatch.setattr(type(current_platform), "supported_dtypes", supported)
    monkeypatch.setattr(vllm, "LLM", lambda **settings: asked.update(settings))
    open_vllm(ENGINE, stored(BuiltInModel(), tmp_path))
    assert asked["dtype"] == taken


def test_long_rope_is_served_up_to_the_length_to_which_our_own_sampler_decodes_it(tmp_path: Path):
    rotation = {
        "rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 16, "long_factor": [1.5] * 16,
        "original_max_position_embeddings": 128,
    }  # fmt: skip
    config = AutoConfig.for_model(
        "phi3", vocab_size=64, hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        sliding_window=None, max_position_embeddings=512, original_max_position_embeddings=128,
        rope_parameters=rotation, bos_token_id=None, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    load(BuiltInModel(), "cpu").tokenizer.save_pretrained(tmp_path)
    model = FolderModel(name="stretched", path=str(tmp_path))
    with closing(open_vllm(ENGINE, stored(model, tmp_path / "stored"))) as generator:
        assert generator.room == open_sampler(load(model, "cpu")).room == 128
