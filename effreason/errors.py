"""The two ways to fail, told apart because callers answer them differently.

    EffreasonError
     ├─ UserError     the request cannot be met as written: exit code 2, never retried
     └─ StepFailure   the request was sound but the work failed: exit code 1, may be retried

Every error says what happened and what to do about it; the command line prints both and no traceback.
"""


class EffreasonError(Exception):
    """An error with its remedy: one sentence each."""

    exit_code = 1

    def __init__(self, happened: str, remedy: str) -> None:
        super().__init__(happened, remedy)
        self.happened = happened
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.happened} {self.remedy}"


class UserError(EffreasonError):
    """The experiment, the arguments or the data need a change by their author."""

    exit_code = 2


class StepFailure(EffreasonError):
    """The machine, the network, the store or the training failed; the same request may succeed later."""
