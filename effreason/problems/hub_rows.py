"""Rows of a data set on the Hugging Face hub. The only module that imports `datasets`."""

from collections.abc import Iterator

from effreason.errors import UserError
from effreason.extras import require
from effreason.hub import unreachable
from effreason.problems.local import Row


def hub_rows(id: str, config: str | None, revision: str, split: str) -> Iterator[Row]:
    """Yield the rows of one split in order, through the local cache.

    Raises `UserError` when there is no such data set, configuration or split, `StepFailure` when the hub cannot be
    reached.
    """
    require("datasets", "data", f"Loading {id} from the hub")
    import datasets
    from huggingface_hub import errors

    datasets.disable_progress_bars()
    try:
        rows = datasets.load_dataset(id, config, revision=revision, split=split)
    except datasets.exceptions.DatasetNotFoundError as error:
        raise UserError(f"There is no data set {id} on the hub ({error}).", "Check its id and HF_TOKEN.") from error
    except ValueError as error:  # an unknown configuration or split
        raise UserError(f"{id} cannot be loaded ({error}).", "Check `config` and the names of the splits.") from error
    except (errors.HTTPError, errors.OfflineModeIsEnabled, OSError) as error:  # type: ignore[attr-defined]
        raise unreachable("dataset", id, error) from error
    for number, fields in enumerate(rows, start=1):
        yield Row(f"{id}, {split} row {number}", fields)
