"""Thinking told from answer, where a model marks it: `<think> … </think>`, then what it says to the reader.

Counted on the tokens as sampled. The marks may be one token each or several, special or plain, and the opening one may
be the end of the prompt, where a chat template puts it.
"""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from effreason.records import Completion

OPEN = "<think>"
CLOSE = "</think>"
TAIL_TOKENS = 16
"""Tokens at the end of a prompt, more than the opening mark and white space can take."""


class Marks:
    """Finds the end of the thinking in the completions of one model."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._open, self._close = (_single(mark, tokenizer) for mark in (OPEN, CLOSE))

    def thinking_tokens(self, prompt_ids: Sequence[int], completion: Completion) -> int | None:
        """Return the number of sampled tokens up to and with the closing mark; all of them where it never comes.

        None where the completion marks no thinking.
        """
        ids = completion.token_ids
        if self._close in ids:
            return ids.index(self._close) + 1
        if CLOSE in completion.text:
            return self._first_length_with_the_close(ids)
        opened = self._open in ids or OPEN in completion.text or self._opens(prompt_ids)
        return completion.tokens if opened else None

    def _opens(self, prompt_ids: Sequence[int]) -> bool:
        return self._text(prompt_ids[-TAIL_TOKENS:]).rstrip().endswith(OPEN)

    def _first_length_with_the_close(self, ids: Sequence[int]) -> int:
        """Return the least length that has the closing mark, by bisection: once complete, it stays in the text."""
        without, with_it = 0, len(ids)
        while with_it - without > 1:
            middle = (without + with_it) // 2
            if CLOSE in self._text(ids[:middle]):
                with_it = middle
            else:
                without = middle
        return with_it

    def _text(self, ids: Sequence[int]) -> str:
        text = self._tokenizer.decode(list(ids), skip_special_tokens=False)
        assert isinstance(text, str)  # noqa: S101  of one sequence
        return text


def _single(mark: str, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Return the token that is the mark; None where it takes several."""
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    return vocabulary.get(mark)
