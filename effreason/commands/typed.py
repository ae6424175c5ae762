"""What a person typed, refused where nothing can be made of it."""

import argparse
import os
from pathlib import Path


def positive(text: str) -> int:
    """A whole number from 1, for argparse."""
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 999999999")
    return int(text)


def refuse_broken_text(text: str, what: str) -> None:
    """Raise `UserError` for bytes that were no UTF-8: Python has put lone surrogates in their place."""
    from effreason.errors import UserError

    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{what} is not UTF-8.", "Use a terminal or a file in UTF-8.") from error


def entries_of(folder: Path) -> list[str]:
    """What lies in the folder; nothing where there is none. Raises `UserError` for what can be no folder."""
    from effreason.errors import UserError

    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{folder} cannot be used as a folder ({why}).", "Choose another.") from error
