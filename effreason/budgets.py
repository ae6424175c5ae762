"""The tokens that a prompt allows: drawn for each question by its own text, so that training and evaluation agree."""

from random import Random

from effreason.choices import Prompt


def budget_of(prompt: Prompt, question: str) -> int | None:
    """Return the tokens that the prompt of this question allows; None where prompts name no budget."""
    return Random(question).randint(*prompt.budgets) if prompt.budgets else None


def worded(prompt: Prompt, question: str) -> str:
    """Return the template with the question, and its budget, in their places."""
    budget = budget_of(prompt, question)
    return prompt.template.replace("{budget}", "" if budget is None else str(budget)).replace("{question}", question)
