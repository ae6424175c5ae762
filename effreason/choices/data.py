"""The choice of problems, and of the prompt that puts them to a model."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from effreason.choices.naming import Digest
from effreason.frozen import Frozen


class ChainSumSource(Frozen):
    """The built-in task: sums of digits modulo 10, generated as needed."""

    kind: Literal["chain-sum"] = "chain-sum"
    min_terms: int = Field(2, ge=2, le=10)
    """The fewest digits in a sum."""
    max_terms: int = Field(10, ge=2, le=10)
    """The most digits in a sum; more make harder problems."""

    @model_validator(mode="after")
    def some_number_of_terms(self) -> Self:
        if self.min_terms > self.max_terms:
            raise ValueError(f"min_terms {self.min_terms} is above max_terms {self.max_terms}.")
        return self


class ReasoningGymSource(Frozen):
    """A procedural task of the reasoning-gym package, chosen by name."""

    kind: Literal["reasoning-gym"] = "reasoning-gym"
    task: str
    """The task's name in the package, such as `gcd`."""
    options: dict[str, int | float | bool | str] = {}
    """Options passed to the task unchanged, such as `min_terms = 4`."""


class Gsm8kSource(Frozen):
    """GSM8K with its official train and test splits: `openai/gsm8k` on the hub, or a local copy."""

    unhashed: ClassVar[frozenset[str]] = frozenset({"folder"})

    kind: Literal["gsm8k"] = "gsm8k"
    folder: str | None = None
    """A folder with train.jsonl and test.jsonl (or .parquet); None loads from the hub."""
    revision: str = "main"
    """A branch, tag or commit on the hub; pinned to a commit before anything runs. Unused with a folder."""
    digest: Digest | None = None
    """SHA-256 of the local copy; filled in when the experiment is pinned."""


class Math500Source(Frozen):
    """MATH-500: `HuggingFaceH4/MATH-500` on the hub, or a local copy. A test split only."""

    unhashed: ClassVar[frozenset[str]] = frozenset({"folder"})

    kind: Literal["math500"] = "math500"
    folder: str | None = None
    """A folder with test.jsonl (or .parquet); None loads from the hub."""
    revision: str = "main"
    """The hub's branch, tag or commit; pinned before anything runs. Unused with a folder."""
    digest: Digest | None = None
    """SHA-256 of the local copy; filled in when the experiment is pinned."""


class HubSource(Frozen):
    """Any data set on the hub with a question and an answer column."""

    kind: Literal["hub"] = "hub"
    id: str
    """Id of the data set on the hub, such as `openai/gsm8k`."""
    config: str | None = None
    """The data set's configuration; None is its only or default one."""
    revision: str = "main"
    """The hub's branch, tag or commit; pinned before anything runs."""
    train_split: str | None = "train"
    """Name of the split to train on; None where nothing is trained on it."""
    test_split: str | None = "test"
    """None takes the test problems from the training split, by the hash of their question."""
    question: str = "question"
    """Name of the question column."""
    answer: str = "answer"
    """Name of the answer column, which holds the gold answer alone."""
    difficulty: str | None = None
    """Name of a column of numbers, larger for harder problems, by which the report compares; None is none."""


class FileSource(Frozen):
    """A user's own JSONL or Parquet file with a question and an answer column."""

    unhashed: ClassVar[frozenset[str]] = frozenset({"path", "test_path"})

    kind: Literal["file"] = "file"
    path: str
    """Path relative to the experiment file."""
    test_path: str | None = None
    """A separate file for testing; None takes a tenth of the rows of `path`, by the hash of their question."""
    question: str | None = None
    """Name of the question column; None means `question`, or `problem` if there is no such column."""
    answer: str = "answer"
    """Name of the answer column, which holds the gold answer alone."""
    difficulty: str | None = None
    """Name of a column of numbers, larger for harder problems, by which the report compares; None is none."""
    digest: Digest | None = None
    """SHA-256 of the files; filled in when the experiment is pinned."""


Source = Annotated[
    ChainSumSource | ReasoningGymSource | Gsm8kSource | Math500Source | HubSource | FileSource,
    Field(discriminator="kind"),
]


class Prompt(Frozen):
    """The way a question is put to a model. Training and evaluation use the same prompt."""

    template: str = "{question}"
    """`{question}` is replaced by the question, `{budget}` by the number of tokens that the answer may take."""
    system: str | None = None
    """A system message, for models with a chat template."""
    chat: bool | None = None
    """Whether to wrap the prompt in the model's chat template; None does so if the model has one."""
    budgets: tuple[int, int] | None = None
    """The smallest and the largest token budget of a prompt. Each question has its own budget, drawn by its text, so it
    is the same in training and in evaluation. `{budget}` states it to a model that can read it."""
    thinking: bool | None = None
    """Switches thinking on or off in chat templates that support it (`enable_thinking`); None leaves it to the
    template."""

    def instructed(self, instruction: str) -> "Prompt":
        """Return the prompt with this instruction as an extra line after the question."""
        return self.model_copy(update={"template": self.template.replace("{question}", f"{{question}}\n{instruction}")})

    @model_validator(mode="after")
    def the_question_is_asked(self) -> Self:
        if "{question}" not in self.template:
            raise ValueError("the template has no {question}; put {question} where the question belongs.")
        return self

    @model_validator(mode="after")
    def budgets_are_named(self) -> Self:
        if self.budgets is None and "{budget}" in self.template:
            raise ValueError("the template names a {budget}; set budgets = [100, 1000], say, or leave {budget} out.")
        if self.budgets is not None and not 1 <= self.budgets[0] <= self.budgets[1]:
            raise ValueError(f"budgets {list(self.budgets)} are not valid; write [least, most], both at least 1 token.")
        return self
