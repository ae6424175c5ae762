"""Completions from a script: a small true generator for tests and rehearsals, which needs no model."""

from collections.abc import Callable, Sequence

from transformers import PreTrainedTokenizerBase

from effreason.generation import Limits, OnCompletion, Request
from effreason.records import Completion

Script = Callable[[str, int], str]
"""The reply to a prompt's text as its completion 0, 1, …"""


class ScriptedGenerator:
    """Says what the script says, cut off where the limit would cut it off."""

    def __init__(self, script: Script, tokenizer: PreTrainedTokenizerBase) -> None:
        """The tokenizer reads the prompts and counts the replies."""
        self.script = script
        self.tokenizer = tokenizer

    def generate(
        self, requests: Sequence[Request], limits: Limits, on_completion: OnCompletion | None = None
    ) -> list[list[Completion]]:
        """For each request, its completions in order."""
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
