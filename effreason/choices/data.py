"""Which problems, and how they are put to a model."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from effreason.choices.naming import Digest
from effreason.frozen import Frozen


class ChainSumSource(Frozen):
    """The built-in task: sums of digits modulo 10, made as they are needed."""

    kind: Literal["chain-sum"] = "chain-sum"
    min_terms: int = Field(2, ge=2, le=10)
    max_terms: int = Field(10, ge=2, le=10)

    @model_validator(mode="after")
    def some_number_of_terms(self) -> Self:
        if self.min_terms > self.max_terms:
            raise ValueError(f"min_terms {self.min_terms} is above max_terms {self.max_terms}.")
        return self


class ReasoningGymSource(Frozen):
    """A procedural task of the reasoning-gym package, by its name."""

    kind: Literal["reasoning-gym"] = "reasoning-gym"
    task: str
    options: dict[str, int | float | bool | str] = {}
    """Passed to the task as they are, such as `min_terms = 4`."""


class Gsm8kSource(Frozen):
    """GSM8K with its official train and test splits: `openai/gsm8k` on the hub, or a local copy."""

    unhashed: ClassVar[frozenset[str]] = frozenset({"folder"})

    kind: Literal["gsm8k"] = "gsm8k"
    folder: str | None = None
    """A folder with train.jsonl and test.jsonl (or .parquet); None loads from the hub."""
    revision: str = "main"
    """The hub's branch, tag or commit; pinned before anything runs. Unused with a folder."""
    digest: Digest | None = None


class Math500Source(Frozen):
    """MATH-500: `HuggingFaceH4/MATH-500` on the hub, or a local copy. A test split only."""

    unhashed: ClassVar[frozenset[str]] = frozenset({"folder"})

    kind: Literal["math500"] = "math500"
    folder: str | None = None
    """A folder with test.jsonl (or .parquet); None loads from the hub."""
    revision: str = "main"
    digest: Digest | None = None


class HubSource(Frozen):
    """Any data set on the hub with a question and an answer column."""

    kind: Literal["hub"] = "hub"
    id: str
    config: str | None = None
    revision: str = "main"
    train_split: str | None = "train"
    test_split: str | None = "test"
    """None: test problems are taken from the training split by the hash of their question."""
    question: str = "question"
    answer: str = "answer"
    difficulty: str | None = None


class FileSource(Frozen):
    """A user's own JSONL or Parquet file with a question and an answer column."""

    unhashed: ClassVar[frozenset[str]] = frozenset({"path", "test_path"})

    kind: Literal["file"] = "file"
    path: str
    """Relative to the experiment file."""
    test_path: str | None = None
    """A file of its own for testing; None: a tenth of the rows, by the hash of their question."""
    question: str | None = None
    """None is `question`, or `problem` where there is no such column."""
    answer: str = "answer"
    difficulty: str | None = None
    digest: Digest | None = None


Source = Annotated[
    ChainSumSource | ReasoningGymSource | Gsm8kSource | Math500Source | HubSource | FileSource,
    Field(discriminator="kind"),
]


class Prompt(Frozen):
    """How a question is put to a model. Training and evaluation use the same one."""

    template: str = "{question}"
    """`{question}` is replaced by the question, `{budget}` by the number of tokens that it may take."""
    system: str | None = None
    """A system message, for models with a chat template."""
    chat: bool | None = None
    """Wrap in the model's chat template; None does so where the model has one."""
    budgets: tuple[int, int] | None = None
    """The least and the most tokens that a prompt may allow. Each question has its own, drawn by its text: the same in
    training and in evaluation. `{budget}` names it to a model that can read it."""
    thinking: bool | None = None
    """For chat templates that can switch thinking on and off (`enable_thinking`); None leaves it to the template."""

    def instructed(self, instruction: str) -> "Prompt":
        """The same with a line after the question."""
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
