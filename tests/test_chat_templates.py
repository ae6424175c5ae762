"""Prompts in the conventions of the model families: every special token once, and the model's turn open at the end."""

import pytest
from chat_tokenizers import BASE, CLOSING, LLAMA_3, MISTRAL, PHI_4, QWEN_3, R1_DISTILL, SILENT, Family, saved

from effreason.choices import Prompt
from effreason.errors import UserError
from effreason.prompts import render

EXPECTED = {
    "llama-3": (
        LLAMA_3,
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nToday is 26 Jul 2024\n\nBe kind.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\n2+2?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
    "mistral, which refuses a system message": (MISTRAL, "<s>[INST] Be kind.\n\n2+2? [/INST]"),
    "phi-4": (
        PHI_4,
        "<|im_start|>system<|im_sep|>Be kind.<|im_end|><|im_start|>user<|im_sep|>2+2?<|im_end|>"
        "<|im_start|>assistant<|im_sep|>",
    ),
    "qwen 3": (
        QWEN_3,
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n",
    ),
    "r1 distill, which opens the thinking": (R1_DISTILL, "<|begin|>Be kind.<|User|>2+2?<|Assistant|><think>\n"),
    "a template that drops the system message": (SILENT, "Q: Be kind.\n\n2+2?\nA:"),
    "a base model without a template": (BASE, "<s>Be kind.\n\n2+2?"),
    "a base model whose tokenizer closes every text": (CLOSING, "<s>Be kind.\n\n2+2?"),
}


@pytest.mark.parametrize(("family", "text"), EXPECTED.values(), ids=EXPECTED.keys())
def test_the_prompt_is_what_the_family_expects(tmp_path, family: Family, text: str):
    tokenizer = saved(family, tmp_path)
    ids = render(Prompt(system="Be kind."), "2+2?", tokenizer)
    assert tokenizer.decode(ids, skip_special_tokens=False) == text
    assert ids == tuple(tokenizer(text, add_special_tokens=False)["input_ids"]), "special tokens are one token each"


@pytest.mark.parametrize("family", [each for each, _ in EXPECTED.values()], ids=EXPECTED.keys())
def test_there_is_one_beginning_where_the_family_has_one_and_no_end_after_the_question(tmp_path, family: Family):
    tokenizer = saved(family, tmp_path)
    ids = render(Prompt(), "2+2?", tokenizer)
    assert ids.count(tokenizer.bos_token_id) == (1 if family.adds_bos else 0)
    assert ids[-1] != tokenizer.eos_token_id


def test_thinking_is_switched_where_the_template_can_and_refused_where_it_cannot(tmp_path):
    qwen = saved(QWEN_3, tmp_path / "qwen")
    texts = {switch: qwen.decode(render(Prompt(thinking=switch), "2+2?", qwen)) for switch in (None, True, False)}
    assert texts[None] == texts[True] and texts[True].endswith("<|im_start|>assistant\n")
    assert texts[False].endswith("assistant\n<think>\n\n</think>\n\n")
    with pytest.raises(UserError, match=r"does not support.*data\.prompt\.thinking"):
        render(Prompt(thinking=False), "2+2?", saved(PHI_4, tmp_path / "phi"))


def test_a_template_that_refuses_the_question_itself_is_the_users_to_know(tmp_path):
    family = Family(special=("</s>",), eos="</s>", template="{{ raise_exception('not today') }}")
    with pytest.raises(UserError, match=r"not today.*data\.prompt\.chat = false"):
        render(Prompt(system="Be kind."), "2+2?", saved(family, tmp_path))
