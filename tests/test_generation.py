"""The sampler against transformers' own `generate`, and the laws of its random numbers."""

import math
from itertools import chain

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    DynamicCache,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    Phi3Config,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

from effreason.choices import BuiltInModel, Prompt
from effreason.errors import UserError
from effreason.generation import Limits, Request
from effreason.generation import sampler as sampling
from effreason.generation.cache import Rows
from effreason.generation.decoder import Decoder
from effreason.generation.llama import LlamaDecoder, suits
from effreason.generation.noise import keys, uniforms
from effreason.generation.room import positions
from effreason.generation.sampler import Sampler, open_sampler
from effreason.generation.scripted import ScriptedGenerator
from effreason.models import load
from effreason.prompts import render

VOCABULARY = 23
EOS = 1
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "eos_token_id": EOS,
    "bos_token_id": None,
    "pad_token_id": 0,
    "initializer_range": 0.3,  # far from ties, which rounding would decide
}
SLIDING = {"sliding_window": 6, "use_sliding_window": True, "max_window_layers": 1}
FAMILIES = {
    "llama": LlamaConfig(**SHAPE),
    "llama-untied-yarn": LlamaConfig(
        **SHAPE,
        tie_word_embeddings=False,
        rope_parameters={
            "rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0, "original_max_position_embeddings": 64,
        },
    ),
    "llama-biased": LlamaConfig(**SHAPE, attention_bias=True),
    "mistral": MistralConfig(**SHAPE),
    "mistral-sliding": MistralConfig(**SHAPE, sliding_window=6),
    "phi3": Phi3Config(**SHAPE),
    "qwen2": Qwen2Config(**SHAPE),
    "qwen2-half-sliding": Qwen2Config(**SHAPE, **SLIDING),
    "qwen3": Qwen3Config(**SHAPE, head_dim=16),
    "gemma2-half-sliding-capped": Gemma2Config(
        **SHAPE, head_dim=8, sliding_window=6, query_pre_attn_scalar=1, attn_logit_softcapping=1.0,
        tie_word_embeddings=False,
    ),
    "gpt2": GPT2Config(
        vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=128, eos_token_id=EOS, bos_token_id=None,
        initializer_range=0.3,
    ),
}  # fmt: skip
PROMPTS = ((5, 6, 7), (8, 9, 10, 11, 12, 13), (2,), (3, 4))


def tokenizer():
    words = {f"w{number}": number for number in range(2, VOCABULARY)} | {"<pad>": 0, "<eos>": EOS}
    raw = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<eos>", pad_token="<pad>")


def model(family="llama"):
    torch.manual_seed(0)
    attention = "eager" if "capped" in family else "sdpa"  # the only one that caps
    return AutoModelForCausalLM.from_config(FAMILIES[family], attn_implementation=attention).eval()


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def sampler(request):
    """Decoded by the lean step in waves, and by the model's own forward pass with places taken as they come free."""
    return Sampler(model(request.param), tokenizer())


def ask(sampler, prompts=PROMPTS, count=4, temperature=1.0, top_p=1.0, max_tokens=20, seed=0):
    requests = [Request(prompt, count, seed + number) for number, prompt in enumerate(prompts)]
    return sampler.generate(requests, Limits(temperature, top_p, max_tokens))


def ids(groups):
    return [[completion.token_ids for completion in group] for group in groups]


def assert_decoded_as_by_generate(reference):
    found = ask(Sampler(reference, tokenizer()), count=2, temperature=0, max_tokens=24)
    for prompt, group in zip(PROMPTS, found, strict=True):
        expected = reference.generate(
            input_ids=torch.tensor([prompt]), max_new_tokens=24, do_sample=False, pad_token_id=0
        )
        for completion in group:
            assert list(completion.token_ids) == expected[0, len(prompt) :].tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_decoding_is_that_of_generate_token_for_token(family):
    assert_decoded_as_by_generate(model(family))


def test_adapters_are_decoded_with_the_model_that_they_are_on():
    torch.manual_seed(1)
    adapted = get_peft_model(model(), LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear")).eval()
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    assert_decoded_as_by_generate(adapted)
    assert ids(ask(Sampler(adapted, tokenizer()), temperature=0)) != ids(
        ask(Sampler(model(), tokenizer()), temperature=0)
    )


def test_a_model_without_a_cache_of_keys_and_values_is_refused():
    config = MambaConfig(vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=1, state_size=4)
    with pytest.raises(UserError, match="mamba"):
        ask(Sampler(AutoModelForCausalLM.from_config(config), tokenizer()))


@pytest.mark.parametrize("family", ["llama", "llama-untied-yarn"])
@torch.inference_mode()
def test_the_lean_step_gives_the_logits_of_transformers(family):
    reference = model(family)
    for norm in (module for module in reference.modules() if "RMSNorm" in type(module).__name__):
        norm.weight.uniform_(0.5, 2.0)
    lean = LlamaDecoder(reference)
    copies = torch.tensor([0, 1, 1, 2, 3])
    prefilled = lean.prefill(PROMPTS)
    rows = Rows(8, 40)
    rows.admit(prefilled.cache, copies)
    texts = [list(PROMPTS[copy]) for copy in copies]
    for _ in range(30):
        for text in texts:
            text.append(int(torch.randint(2, VOCABULARY, ())))
        rows.place(torch.tensor([len(text) - 1 for text in texts]))
        logits = lean.step(torch.tensor([text[-1] for text in texts]), rows)
        expected = torch.stack([reference(torch.tensor([text])).logits[0, -1] for text in texts])
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4)


def test_only_plain_small_llamas_take_the_lean_step():
    assert suits(model("llama")) and suits(load(BuiltInModel(), "cpu").model)
    assert not any(suits(model(family)) for family in FAMILIES if family not in ("llama", "llama-untied-yarn"))
    assert not suits(model("llama").to(torch.bfloat16))


def test_a_row_that_moves_takes_all_its_tokens_along():
    rows = Rows(4, 30)
    rows.admit(prefilled(2, 5), torch.tensor([0, 1]))
    for _ in range(8):
        rows.place(torch.full((2,), rows.reach))
        rows.layers[0].update(torch.randn(2, 2, 1, 8), torch.randn(2, 2, 1, 8))
    keys_before = rows.layers[0].keys[1, :, : rows.reach].clone()
    rows.admit(prefilled(1, 3), torch.tensor([0, 0]))  # shorter ones enter
    rows.shrink(1, sources=torch.tensor([1]), targets=torch.tensor([0]))
    assert torch.equal(rows.layers[0].keys[0, :, : len(keys_before[0])], keys_before)


def prefilled(prompts, length):
    cache = DynamicCache()
    cache.update(torch.randn(prompts, 2, length, 8), torch.randn(prompts, 2, length, 8), 0)
    return cache


def test_a_completion_does_not_depend_on_what_else_is_asked(sampler):
    together = ids(ask(sampler, count=8))
    for number, prompt in enumerate(PROMPTS):
        assert ids(ask(sampler, prompts=[prompt], count=8, seed=number)) == [together[number]]


def test_more_completions_of_a_request_begin_with_the_fewer(sampler):
    few, many = ids(ask(sampler, count=3)), ids(ask(sampler, count=9))
    assert few == [group[:3] for group in many]


@pytest.mark.parametrize(("places", "count"), [(1, 4), (5, 16), (13, 16), (48, 96)])
def test_few_places_give_the_same_completions_as_many(sampler, monkeypatch, places, count):
    many = ids(ask(sampler, count=count))
    monkeypatch.setattr(sampling, "MOST_ROWS", places)
    assert ids(ask(sampler, count=count)) == many


@pytest.mark.parametrize("family", ["qwen2", "phi3"])
def test_a_row_at_the_limit_stays_as_it_ended_while_it_waits_for_younger_ones(family, monkeypatch):
    limit, prompts = 9, ((5, 6, 7), (8, 9, 10))
    scoring = Sampler(model(family), tokenizer(), scored=True)
    alike = ask(scoring, prompts, count=256, max_tokens=limit)  # all of one age: nobody waits at the limit
    at_the_limit = [one for group in alike for one in group if one.tokens == limit]
    assert {one.truncated for one in at_the_limit} == {True, False}
    monkeypatch.setattr(sampling, "MOST_ROWS", 16)
    monkeypatch.setattr(sampling, "LEAVING_SHARE", 2)
    mixed = ask(scoring, prompts, count=256, max_tokens=limit)
    assert ids(mixed) == ids(alike)
    for one, other in zip(*(chain.from_iterable(groups) for groups in (mixed, alike)), strict=True):
        assert one.truncated == other.truncated
        assert one.log_probabilities == pytest.approx(other.log_probabilities, abs=1e-4)


def test_prompts_read_in_several_parts_give_the_same_completions(sampler, monkeypatch):
    at_once = ids(ask(sampler))
    monkeypatch.setattr(sampling, "PREFILL_TOKENS", 7)
    assert ids(ask(sampler)) == at_once


def test_rows_are_as_many_as_the_memory_holds():
    one_row = 2 * 2 * 2 * 8 * 4 * 100  # keys and values, layers, key-value heads, head size, bytes, tokens
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "CPU_CACHE_BYTES", 7 * one_row + 1)
        assert sampling._most_rows(model(), 100) == 7
        patch.setattr(sampling, "CPU_CACHE_BYTES", one_row - 1)
        assert sampling._most_rows(model(), 100) == 1


def test_completions_of_one_request_differ_and_another_seed_gives_others(sampler):
    [one], [other] = ids(ask(sampler, PROMPTS[:1], count=8)), ids(ask(sampler, PROMPTS[:1], count=8, seed=100))
    assert len(set(one)) > 4
    assert one != other


def test_the_first_two_tokens_are_drawn_from_the_model_s_distribution(sampler):
    count = 20_000
    [drawn] = ids(ask(sampler, prompts=[(5, 6)], count=count, max_tokens=2))
    counted = torch.zeros(VOCABULARY, VOCABULARY)
    for first, *second in drawn:
        counted[first, second[0] if second else 0] += 1  # a completion that ended at once has no second token
    with torch.no_grad():
        first = sampler.model(torch.tensor([[5, 6]])).logits[0, -1].softmax(-1)
        second = sampler.model(torch.tensor([[5, 6, token] for token in range(VOCABULARY)])).logits[:, -1].softmax(-1)
    second[EOS] = torch.nn.functional.one_hot(torch.tensor(0), VOCABULARY)
    expected = first[:, None] * second * count
    common = expected >= 5
    statistic = float(((counted - expected) ** 2 / expected)[common].sum())
    freedom = int(common.sum()) - 1
    assert freedom > 100
    assert statistic < freedom + 4 * math.sqrt(2 * freedom)  # chi-square within four standard deviations


def test_temperature_sharpens_and_flattens(sampler):
    with torch.inference_mode():
        logits = sampler.model(torch.tensor([[5, 6]])).logits[0, -1]
    likeliest = int(logits.argmax())
    for temperature in (0.3, 1.7):
        expected = float((logits / temperature).softmax(-1)[likeliest])
        [drawn] = ids(ask(sampler, prompts=[(5, 6)], count=2_000, max_tokens=1, temperature=temperature))
        share = sum(first == likeliest for first, *_ in drawn) / 2_000
        assert abs(share - expected) < 4 * math.sqrt(expected * (1 - expected) / 2_000)


def test_top_p_draws_the_whole_nucleus_and_nothing_else(sampler):
    with torch.inference_mode():
        ranked, order = sampler.model(torch.tensor([[5, 6]])).logits[0, -1].softmax(-1).sort(descending=True)
    nucleus = set(order[: int((ranked.cumsum(0) < 0.5).sum()) + 1].tolist())
    [drawn] = ids(ask(sampler, prompts=[(5, 6)], count=1_000, top_p=0.5, max_tokens=1))
    assert {first for first, *_ in drawn} == nucleus


def test_the_end_of_sequence_is_kept_in_the_ids_and_out_of_the_count(sampler):
    completions = [c for group in ask(sampler, count=64, max_tokens=30) for c in group]
    ended = [c for c in completions if not c.truncated]
    assert ended, "the random model ends some completions"
    assert all(c.token_ids[-1] == EOS and EOS not in c.token_ids[:-1] for c in ended)
    assert all(c.tokens == len(c.token_ids) - 1 for c in ended)


def test_any_of_several_ends_ends_a_completion():
    completions = ask(Sampler(model(), tokenizer(), frozenset({EOS, 7})), count=64)
    ended = [c for group in completions for c in group if not c.truncated]
    assert {c.token_ids[-1] for c in ended} == {EOS, 7}
    assert not any({EOS, 7} & set(c.token_ids[:-1]) for c in ended)


def test_a_truncated_completion_has_exactly_the_limit_and_no_end(sampler):
    cut = [c for group in ask(sampler, count=64, max_tokens=6) for c in group if c.truncated]
    assert cut and all(c.tokens == 6 == len(c.token_ids) and EOS not in c.token_ids for c in cut)


def test_what_has_more_positions_than_the_model_is_refused_with_the_numbers(sampler):
    longest, room = max(map(len, PROMPTS)), SHAPE["max_position_embeddings"]
    ask(sampler, count=1, max_tokens=room - longest - 1)
    with pytest.raises(UserError, match=rf"{longest} tokens and .* up to {room - longest} do not fit into {room}"):
        ask(sampler, count=1, max_tokens=room - longest)


def test_long_rope_is_decoded_up_to_the_length_at_which_it_would_turn_all_rows_of_a_batch():
    turns = 48
    rotation = {
        "rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 4, "long_factor": [1.5] * 4,
        "original_max_position_embeddings": turns,
    }  # fmt: skip
    torch.manual_seed(0)
    config = Phi3Config(**SHAPE, rope_parameters=rotation, original_max_position_embeddings=turns)
    stretched = Sampler(AutoModelForCausalLM.from_config(config).eval(), tokenizer())
    short, long = (5, 6, 7), tuple(range(2, 22))
    [alone] = ids(ask(stretched, [short], max_tokens=27))
    beside = ids(ask(stretched, [short, long], max_tokens=turns - len(long) - 1))
    assert beside[0] == alone
    with pytest.raises(UserError, match=rf"do not fit into {turns}.*--max-model-len"):
        ask(stretched, [short, long], max_tokens=turns - len(long))


def test_a_model_that_names_no_positions_has_room_without_end():
    assert positions(MambaConfig()) is None
    assert positions(GPT2Config(n_positions=77)) == 77


def test_a_lower_limit_cuts_the_same_completion_short(sampler):
    long, short = ask(sampler, count=16, max_tokens=30)[0], ask(sampler, count=16, max_tokens=7)[0]
    for whole, cut in zip(long, short, strict=True):
        assert cut.token_ids == whole.token_ids[: len(cut.token_ids)]
        assert cut.truncated == (whole.tokens > 7 or whole.truncated)


def test_changed_weights_are_used_at_once(sampler):
    before = ids(ask(sampler, temperature=0))
    weights = [sampler.model.get_output_embeddings().weight, sampler.model.model.layers[0].self_attn.q_proj.weight]
    for weight in weights:
        with torch.no_grad():
            weight.mul_(-1)
        assert ids(ask(sampler, temperature=0)) != before
        with torch.no_grad():
            weight.mul_(-1)
    assert ids(ask(sampler, temperature=0)) == before


def test_generation_leaves_the_model_as_it_was(sampler):
    sampler.model.train()
    attention = sampler.model.config._attn_implementation
    ask(sampler, count=1)
    assert sampler.model.training and sampler.model.config._attn_implementation == attention
    assert sampler.model(torch.tensor([[5, 6]])).logits.shape == (1, 2, VOCABULARY)
    sampler.model.eval()


def test_progress_counts_every_completion(sampler):
    told = []
    requests = [Request(prompt, 8, 0) for prompt in PROMPTS]
    sampler.generate(requests, Limits(1.0, 1.0, 20), told.append)
    assert told == sorted(told) and told[-1] == 8 * len(PROMPTS)


def test_nothing_asked_is_nothing_answered(sampler):
    assert ask(sampler, prompts=[]) == []
    assert ask(sampler, count=0) == [[]] * len(PROMPTS)


def test_the_random_numbers_are_uniform_and_independent_of_their_neighbours():
    seeds = torch.arange(1000).repeat_interleave(20)
    numbers = uniforms(keys(seeds, torch.arange(20).repeat(1000)), torch.full((20_000,), 3))
    assert numbers.min() >= 0 and numbers.max() < 1
    counted = torch.histc(numbers.float(), 20, 0, 1)
    assert float(((counted - 1000) ** 2 / 1000).sum()) < 19 + 4 * math.sqrt(38)
    correlation = torch.corrcoef(torch.stack([numbers[:-1], numbers[1:]]))[0, 1]
    assert abs(float(correlation)) < 4 / math.sqrt(20_000)


def test_a_scripted_generator_says_its_script_and_is_cut_where_the_limit_is():
    loaded = load(BuiltInModel(), "cpu")
    prompts = [render(Prompt(), question, loaded.tokenizer) for question in ("3+4=?", "2+2=?")]
    told = []
    scripted = ScriptedGenerator(lambda prompt, index: f"{prompt[0]}{index}", loaded.tokenizer)
    groups = scripted.generate([Request(ids, 2, 0) for ids in prompts], Limits(1.0, 1.0, 2), told.append)
    assert [[c.text for c in group] for group in groups] == [["30", "31"], ["20", "21"]]
    assert all(c.tokens == 2 and c.token_ids[-1] in loaded.eos_ids for group in groups for c in group)
    assert told == [2, 4]
    [[cut]] = ScriptedGenerator(lambda *_: "1234", loaded.tokenizer).generate(
        [Request(prompts[0], 1, 0)], Limits(1.0, 1.0, 3)
    )
    assert cut.truncated and cut.text == "123" and cut.tokens == 3


def test_the_built_in_reasoner_answers_through_an_opened_sampler():
    loaded = load(BuiltInModel(), "cpu")
    prompt = render(Prompt(), "3+4=?", loaded.tokenizer)
    [[completion]] = open_sampler(loaded).generate([Request(prompt, 1, 0)], Limits(0.0, 1.0, 160))
    assert not completion.truncated and "7" in completion.text


def test_both_decoders_agree_on_the_built_in_reasoner():
    loaded = load(BuiltInModel(), "cpu")
    prompts = tuple(render(Prompt(), question, loaded.tokenizer) for question in ("3+4=?", "7+5+8+3=?"))
    lean = ids(ask(open_sampler(loaded), prompts, count=4, max_tokens=160))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "LlamaDecoder", Decoder)
        assert ids(ask(open_sampler(loaded), prompts, count=4, max_tokens=160)) == lean
