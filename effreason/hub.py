"""What a name on the Hugging Face hub stands for. Needs the network, and HF_TOKEN for gated repositories."""

import re
from typing import Literal

from effreason.errors import StepFailure, UserError
from effreason.extras import require

Kind = Literal["model", "dataset"]

SECONDS = 15.0
"""The time limit of one request."""

GSM8K = "openai/gsm8k"
MATH500 = "HuggingFaceH4/MATH-500"

_COMMIT = re.compile(r"[0-9a-f]{40}")


def commit_of(kind: Kind, id: str, revision: str) -> str:
    """Return the commit (40 hex digits) that a branch, tag or commit of a repository names at present.

    A commit is returned as it is, without asking. Raises `UserError` when there is no such repository or revision or it
    is closed to this user, `StepFailure` when the hub cannot be reached.
    """
    if _COMMIT.fullmatch(revision):
        return revision
    require("huggingface_hub", "models", f"Asking the hub for the {kind} {id}")
    from huggingface_hub import HfApi, errors

    api = HfApi()
    try:
        info = api.repo_info(id, repo_type=kind, revision=revision, timeout=SECONDS)
        if getattr(info, "gated", False):
            api.auth_check(id, repo_type=kind)
    except errors.GatedRepoError as error:
        raise _gated(kind, id) from error
    except errors.RevisionNotFoundError as error:
        raise UserError(
            f"The {kind} {id} on the hub has no revision {revision}.", "Give an existing branch, tag or commit."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise UserError(
            f"There is no {kind} {id} on the hub, or it is private.",
            "Check its id; for a private one set HF_TOKEN in the environment.",
        ) from error
    except errors.HFValidationError as error:
        raise UserError(f"{id} is not a valid id of a {kind} on the hub.", "Write it as owner/name.") from error
    except (errors.HTTPError, errors.OfflineModeIsEnabled, OSError) as error:  # type: ignore[attr-defined]
        raise unreachable(kind, id, error) from error
    return str(info.sha)


def unreachable(kind: Kind, id: str, error: Exception) -> StepFailure:
    """Return the failure to raise when the hub gives no answer."""
    remedy = 'use a local copy (source = "folder")' if kind == "model" else "use a local copy (`folder` or kind = file)"
    return StepFailure(
        f"The Hugging Face hub cannot be reached for the {kind} {id} ({type(error).__name__}).",
        f"Check the network, or {remedy}.",
    )


def _gated(kind: Kind, id: str) -> UserError:
    return UserError(
        f"The {kind} {id} is gated and HF_TOKEN gives no access to it.",
        f"Accept its terms on https://huggingface.co/{'datasets/' if kind == 'dataset' else ''}{id} and set HF_TOKEN.",
    )
