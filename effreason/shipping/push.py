"""An exported folder sent to the hub."""

from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub import errors as hub_errors

from effreason.errors import StepFailure, UserError


def push(folder: Path, repository: str) -> str:
    """Upload into the model repository OWNER/NAME, made private where there is none: the address of its page.

    The token is the hub's own affair: HF_TOKEN, or what `hf auth login` left.

    Raises `UserError` where the hub refuses the name or the token, `StepFailure` where it cannot be reached.
    """
    api = HfApi()
    try:
        page = api.create_repo(repository, private=True, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Exported by effreason")
    except hub_errors.HFValidationError as error:
        raise UserError(f"{repository} is no name of a repository.", "Write it as owner/name.") from error
    except hub_errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise UserError(
                f"The hub does not let this user write to {repository}.", "Set HF_TOKEN to a token that may write."
            ) from error
        raise StepFailure(f"The hub answered {status} for {repository}.", "Push again later.") from error
    except (hub_errors.OfflineModeIsEnabled, hub_errors.LocalTokenNotFoundError) as error:
        raise UserError(f"The hub cannot be used: {error}.", "Set HF_TOKEN and unset HF_HUB_OFFLINE.") from error
    except (hub_errors.HTTPError, OSError) as error:  # type: ignore[attr-defined]
        raise StepFailure(
            f"The hub cannot be reached ({type(error).__name__}).", "Check the network and push again."
        ) from error
    return str(page)
