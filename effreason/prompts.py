"""How a question is put to a model: the same way in training and in evaluation.

A model with a chat template is asked in it, as it is: what it puts before the reply (`<think>` and a line break, for
one) is part of the prompt. The template writes all special tokens by itself, so none is added. Where families differ:

1. A template that takes no system message, or leaves it out without a word, gets it at the head of the question.
2. A template that tells the date is told the same one every day, so that what is measured today and tomorrow is alike.
3. A tokenizer that closes every text with the end of sequence does not close the prompt.
"""

from datetime import date
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from effreason.budgets import worded
from effreason.choices import Prompt
from effreason.errors import UserError

TODAY = date(2024, 7, 26)
"""The date that Llama's templates fall back to."""


def render(prompt: Prompt, question: str, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Return the token ids of the prompt, special tokens included.

    Raises `UserError` where a chat template is asked for and the model has none, or its template refuses the messages
    or cannot switch thinking.
    """
    text = worded(prompt, question)
    has_template = tokenizer.chat_template is not None
    if prompt.chat and not has_template:
        raise UserError("The prompt asks for a chat template, but the model has none.", "Leave out data.prompt.chat.")
    if prompt.chat is False or not has_template:
        whole = f"{prompt.system}\n\n{text}" if prompt.system else text
        return _unclosed(tokenizer(whole)["input_ids"], tokenizer)
    return tuple(tokenizer(_chat(prompt, text, tokenizer), add_special_tokens=False)["input_ids"])


def _chat(prompt: Prompt, text: str, tokenizer: PreTrainedTokenizerBase) -> str:
    switches = _switches(prompt, tokenizer)
    if prompt.system:
        try:
            rendered = _rendered([_message("system", prompt.system), _message("user", text)], switches, tokenizer)
        except TemplateError:
            rendered = ""
        if prompt.system.strip() in rendered:
            return rendered
        text = f"{prompt.system}\n\n{text}"
    try:
        return _rendered([_message("user", text)], switches, tokenizer)
    except TemplateError as error:
        raise UserError(
            f"The model's chat template rejects the prompt: {error}.", "Set data.prompt.chat = false."
        ) from error


def _switches(prompt: Prompt, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Return the arguments of the template besides the messages."""
    dates = {"strftime_now": TODAY.strftime, "date_string": TODAY.strftime("%d %b %Y")}
    if prompt.thinking is None:
        return dates
    if "enable_thinking" not in tokenizer.get_chat_template():
        raise UserError(
            "The prompt sets thinking, but the model's chat template does not support it.",
            "Leave out data.prompt.thinking.",
        )
    return {**dates, "enable_thinking": prompt.thinking}


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _rendered(messages: list[dict[str, str]], switches: dict[str, Any], tokenizer: PreTrainedTokenizerBase) -> str:
    rendered = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False, **switches)
    assert isinstance(rendered, str)  # noqa: S101  of one conversation that is not tokenized
    return rendered


def _unclosed(ids: list[int], tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Remove an end of sequence that the tokenizer appends by itself."""
    closed = len(ids) > 1 and ids[-1] == tokenizer.eos_token_id
    return tuple(ids[:-1] if closed else ids)
