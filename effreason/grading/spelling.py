"""One spelling for the many ways to write the same answer: signs, spaces, fonts and delimiters taken away."""

import re

_CHARACTERS = str.maketrans(
    {
        **dict.fromkeys("−–—﹣－", "-"),
        **dict.fromkeys("\u00a0\u2002\u2003\u2007\u2009\u200a\u202f\u3000", " "),
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\x00", None),
        **{chr(0xFF10 + digit): str(digit) for digit in range(10)},
        "，": ",",
        "％": "%",
        "×": r"\times ",
        "·": r"\cdot ",
        "π": r"\pi ",
        "√": r"\sqrt ",
        "∞": r"\infty ",
        "½": r"\frac{1}{2}",
        "⅓": r"\frac{1}{3}",
        "⅔": r"\frac{2}{3}",
        "¼": r"\frac{1}{4}",
        "¾": r"\frac{3}{4}",
    }
)
_THOUSANDS_COMMA = re.compile(r"\s*\{\s*,\s*\}\s*|,\\!\s*")
_SPACING = re.compile(r"(?<!\\)\\[!;:,> ]|\\q?quad\b|\\displaystyle\b|\\(?:left|right)(?![a-z])|(?<!\\)~")
_WORDING = re.compile(
    r"\\(?:text(?:bf|it|rm|normal|sf|tt)?|mbox|math(?:rm|bf|it|sf)|operatorname|emph|bm|boldsymbol)\s*\{([^{}]*)\}"
)
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{(.*)\}", re.DOTALL)
_DELIMITERS = re.compile(r"(?<!\\)\\[()\[\]]|\*\*|\\?\$|[€£¥`]")
_FRACTION = re.compile(r"\\[dtc]frac\b")
_INNER_BLANKS = re.compile(r"(?<=\{)\s+|\s+(?=\})")
_BLANKS = re.compile(r"\s+")


def bare(text: str) -> str:
    """Return `text` without boxes, currency signs, LaTeX's delimiters, spacing and fonts, and the full stop."""
    if text.isascii() and text.isdigit():
        return text
    text = text.translate(_CHARACTERS)
    if "\\" in text or "{,}" in text:
        text = _without_latex(text)
    text = _DELIMITERS.sub("", text).strip().rstrip(".,;:!?").strip()
    while text.startswith("{") and text.endswith("}") and _is_one_group(text):
        text = text[1:-1].strip()
    return _BLANKS.sub(" ", text)


def _without_latex(text: str) -> str:
    if box := _BOX.fullmatch(text.strip().strip("$").strip()):
        text = box[1]
    text = _SPACING.sub(" ", _THOUSANDS_COMMA.sub(",", text))
    text = _FRACTION.sub(r"\\frac", text)
    while (plainer := _WORDING.sub(r" \1 ", text)) != text:
        text = plainer
    return _INNER_BLANKS.sub("", text)


def _is_one_group(text: str) -> bool:
    """Return whether the first brace closes only at the end."""
    depth = 0
    for place, character in enumerate(text):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth == 0:
            return place == len(text) - 1
    return False
