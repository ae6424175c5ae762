"""How a question is put to a model: the same way in training and in evaluation."""

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from effreason.choices import Prompt
from effreason.errors import UserError


def render(prompt: Prompt, question: str, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The token ids of the prompt, special tokens included.

    Raises `UserError` where a chat template is asked for and the model has none, or its template refuses the messages
    (some take no system message).
    """
    text = prompt.template.replace("{question}", question)
    has_template = tokenizer.chat_template is not None
    if prompt.chat and not has_template:
        raise UserError("The prompt asks for a chat template and the model has none.", "Leave out data.prompt.chat.")
    if prompt.chat is False or not has_template:
        whole = f"{prompt.system}\n\n{text}" if prompt.system else text
        return tuple(tokenizer(whole)["input_ids"])
    system = [{"role": "system", "content": prompt.system}] if prompt.system else []
    messages = [*system, {"role": "user", "content": text}]
    try:
        rendered = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    except TemplateError as error:
        raise UserError(
            f"The model's chat template refuses the prompt: {error}.",
            "Put what data.prompt.system says into data.prompt.template."
            if system
            else "Set data.prompt.chat = false.",
        ) from error
    return tuple(tokenizer(rendered, add_special_tokens=False)["input_ids"])  # the template has them already
