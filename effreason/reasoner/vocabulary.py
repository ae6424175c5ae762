"""The built-in reasoner's tokenizer: one token a digit, a sign, a word or the number of a step, 54 in all.

White space carries nothing, save the line break: it is dropped when text is read and set again when tokens are
written, so that `7+5=2` stays tight and words stand apart. A question is encoded as `<bos>` and its tokens, no `<eos>`.
"""

from typing import Final

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

PAD: Final = "<pad>"
BOS: Final = "<bos>"
EOS: Final = "<eos>"
UNKNOWN: Final = "<unk>"
POSITIONS: Final = 512
"""Longest sequence in tokens, question and solution together."""

TOKENS: Final = (
    *(PAD, BOS, EOS, UNKNOWN),
    *"0123456789",
    *("+", "=", "?", ",", ":", "\n", "####"),
    *(f"({number})" for number in range(1, 10)),
    *("let", "me", "add", "step", "by", "so", "the", "answer", "is", "that"),
    *("check", "verify", "again", "yes", "same", "correct", "good"),
    *("wait", "no", "redo", "hmm", "maybe", "wrong", "differs"),
)


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Return the tokenizer, ready for `save_pretrained`. It pads on the left, as generation needs it."""
    tokenizer = Tokenizer(models.WordLevel({token: index for index, token in enumerate(TOKENS)}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex("[ \t\r]+"), "removed"),
            pre_tokenizers.Split(Regex(r"#+|[A-Za-z]+|\([1-9]\)|[^A-Za-z#]"), "isolated"),
        ]
    )
    tokenizer.decoder = _decoder()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, TOKENS.index(BOS))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNKNOWN,
        padding_side="left",
        model_max_length=POSITIONS,
        clean_up_tokenization_spaces=False,
    )


def _decoder() -> decoders.Decoder:
    """Return a decoder that joins tokens by spaces, except within sums, before marks and at the start of a line."""
    return decoders.Sequence(
        [
            decoders.WordPiece(prefix="@@", cleanup=False),  # no token starts so: it only puts the spaces
            decoders.Fuse(),
            decoders.Replace(Regex("(?<=[0-9+=]) (?=[0-9+=?])"), ""),
            decoders.Replace(Regex(" (?=[,:\n])"), ""),
            decoders.Replace(Regex("(?<=\n) "), ""),
        ]
    )
