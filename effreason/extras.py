"""What an optional part of the installation brings, asked for before it is imported."""

import importlib.util

from effreason.errors import UserError


def require(module: str, extra: str, purpose: str) -> None:
    """Raise `UserError` unless `module` is installed. `purpose` begins the sentence, such as `Grading formulas`."""
    if importlib.util.find_spec(module) is None:
        raise UserError(
            f"{purpose} needs {module}, which is not installed here.", f"Install it: pip install 'effreason[{extra}]'."
        )
