"""The upload of an exported folder to the hub."""

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub import errors as hub_errors
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from effreason.errors import StepFailure, UserError
from effreason.shipping.parts import is_of_a_model


def push(folder: Path, files: Sequence[str], repository: str) -> str:
    """Upload `files` of `folder` to the model repository OWNER/NAME and return the address of its page.

    A repository that does not exist is created as private. A model that is already there is replaced in the same
    commit; other files stay. The token comes from HF_TOKEN or from `hf auth login`.

    Raises `UserError` if the hub refuses the name or the token, `StepFailure` if it cannot be reached.
    """
    refuse_no_repository(repository)
    api = HfApi()
    try:
        page = api.create_repo(repository, private=True, exist_ok=True)
        added = [CommitOperationAdd(file, folder / file) for file in files]
        old = [CommitOperationDelete(file) for file in _makes_way(api, repository) if file not in files]
        api.create_commit(repository, [*added, *old], commit_message="Exported by effreason")
    except hub_errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise UserError(
                f"The hub does not let this user write to {repository}.", "Set HF_TOKEN to a token with write access."
            ) from error
        raise StepFailure(f"The hub answered {status} for {repository}.", "Try again later.") from error
    except (hub_errors.OfflineModeIsEnabled, hub_errors.LocalTokenNotFoundError) as error:
        raise UserError(f"The hub cannot be used: {error}.", "Set HF_TOKEN and unset HF_HUB_OFFLINE.") from error
    except (hub_errors.HTTPError, OSError) as error:  # type: ignore[attr-defined]
        raise StepFailure(
            f"The hub cannot be reached ({type(error).__name__}).", "Check the network and push again."
        ) from error
    return str(page)


def refuse_no_repository(name: str) -> None:
    """Raise `UserError` for a name that no repository can have."""
    try:
        validate_repo_id(name)
    except hub_errors.HFValidationError as error:
        raise UserError(f"{name!r} is not a valid repository name.", "Write it as owner/name.") from error


def _makes_way(api: HfApi, repository: str) -> list[str]:
    return [file for file in api.list_repo_files(repository) if is_of_a_model(file)]
