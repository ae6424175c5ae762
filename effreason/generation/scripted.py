"""Completions from a script: a small true generator for tests and rehearsals, which needs no model."""

from collections.abc import Callable, Sequence

from transformers import PreTrainedTokenizerBase

from effreason.generation import Limits, OnCompletion, Request
from effreason.records import Completion

Script = Callable[[str, int], str]
"""A function that gives the reply to a prompt's text as its completion 0, 1, …"""


class ScriptedGenerator:
    """A generator that replies by a script, truncated at the token limit."""

    def __init__(self, script: Script, tokenizer: PreTrainedTokenizerBase) -> None:
        """Read prompts and count replies with the tokenizer."""
        self.script = script
        self.tokenizer = tokenizer

    def generate(
        self, requests: Sequence[Request], limits: Limits, on_completion: OnCompletion | None = None
    ) -> list[list[Completion]]:
        """Return the completions of each request in order."""
        groups: list[list[Completion]] = []
        for request in requests:
            prompt = self.tokenizer.decode(request.prompt_ids, skip_special_tokens=True)
            groups.append([self._said(self.script(prompt, index), limits) for index in range(request.count)])
            if on_completion is not None:
                on_completion(sum(map(len, groups)))
        return groups

    def _said(self, reply: str, limits: Limits) -> Completion:
        ids = self.tokenizer(reply, add_special_tokens=False)["input_ids"]
        if len(ids) <= limits.max_tokens:
            return Completion(reply, (*ids, self.tokenizer.eos_token_id), False)
        cut = ids[: limits.max_tokens]
        return Completion(self.tokenizer.decode(cut, skip_special_tokens=True), tuple(cut), True)
