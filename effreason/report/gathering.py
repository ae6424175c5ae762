"""Artifacts → `Sweep`: one pass over the evaluations, model by model and alpha by alpha, so that few lie in memory."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from effreason.artifacts import Manifest
from effreason.choices import Price
from effreason.evaluation.completions import Judged
from effreason.evaluation.cutting import cut_at
from effreason.evaluation.measures import change, measure
from effreason.evaluation.recommend import recommend, validation_changes
from effreason.evaluation.scores import longest_budget
from effreason.faithfulness.paired import compare
from effreason.faithfulness.replies import ProbeReply
from effreason.problems.files import VALIDATION, read_part
from effreason.records import Problem
from effreason.report.budgets import budgets_up_to
from effreason.report.bundle import Group
from effreason.report.curves import read_curve
from effreason.report.probed import Probed
from effreason.report.sources import Read, Sources, Suites
from effreason.report.subjects import Answers, Asked, Subject, subject
from effreason.report.sweep import (
    CONCISE,
    Beside,
    Finding,
    Row,
    Run,
    Sweep,
    after_of,
    before_of,
    evaluation_of,
    evaluation_spec_of,
)
from effreason.report.transcripts import Transcript, drawn, largest_savings
from effreason.specs import Address, Cell, Reference, ReportSpec

METRICS = "metrics.jsonl"
TRANSCRIPT_BYTES = 4_500_000
"""Of all transcripts of a page before compression: even texts that compress badly leave it below 8 MB."""


def read_sweep(spec: ReportSpec, read: Read, price: Price | None = None) -> Sweep:
    """Read every artifact that `spec` names; by `price` the report adds up what they cost.

    Raises:
        StepFailure: an artifact is missing or damaged.
    """

    seeds = len({cell.seed for cell in spec.cells})
    sources = Sources(read, kept=1 + seeds)  # the base model, and the seeds of one alpha
    manifest, folder = read(spec.problems)
    runs = [_run(cell, read, seeds) for cell in spec.cells]
    references = [(each, read(each.evaluation, [])[0] if each.evaluation else None) for each in spec.references]
    models = [
        _OneModel(
            spec=spec,
            runs=[run for run in runs if run.cell.model == model],
            references=[each for each in references if each[0].model == model],
            folder=folder,
            sources=sources,
        )
        for model in dict.fromkeys(cell.model for cell in spec.cells)
    ]
    for each in models:
        each.gather()
    return Sweep(
        spec=spec,
        problems=manifest,
        runs=runs,
        references=references,
        rows=[row for each in models for row in each.rows],
        besides=[beside for each in models for beside in each.besides],
        subjects=[subject for each in models for subject in each.subjects],
        findings=[each.finding for each in models],
        groups=[group for each in models for group in each.groups],
        probed=[probed for each in models for probed in each.probed()],
        price=price,
    )


def _run(cell: Cell, read: Read, seeds: int) -> Run:
    policy, folder = read(cell.policy, [METRICS]) if cell.policy else (None, None)
    return Run(
        cell=cell,
        label=after_of(cell) + (f" s{cell.seed}" if seeds > 1 else ""),
        policy=policy,
        baseline=read(cell.baseline, [])[0],
        after=read(cell.after, [])[0],
        curve=read_curve(folder / METRICS) if folder else None,
    )


@dataclass
class _OneModel:
    """One model. `gather` fills the lists and sums them up in `finding`."""

    spec: ReportSpec
    runs: Sequence[Run]
    references: Sequence[tuple[Reference, Manifest | None]]
    folder: Path
    """With the problems."""
    sources: Sources
    rows: list[Row] = field(default_factory=list)
    besides: list[Beside] = field(default_factory=list)
    subjects: list[Subject] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    finding: Finding = field(init=False)
    _validation: dict[float, list[Judged]] = field(default_factory=dict)
    """By alpha, one a seed, without texts."""
    _savings: dict[float, list[Transcript]] = field(default_factory=dict)

    @property
    def first(self) -> Cell:
        return self.runs[0].cell

    @property
    def before(self) -> Suites:
        return self.sources.completions(self.first.baseline)

    @cached_property
    def suites(self) -> list[str]:
        return [part for part in self.before if part != VALIDATION]

    @cached_property
    def problems(self) -> dict[str, dict[str, Problem]]:
        """Of each suite, by id."""
        return {suite: {problem.id: problem for problem in read_part(self.folder, suite)} for suite in self.suites}

    def gather(self) -> None:
        for suite in self.suites:
            self.subjects.append(subject(self.asked[suite], before_of(self.first), None, self.answers(suite), []))
        for reference, manifest in self.references:
            if manifest:
                self.add_reference(reference, manifest)
        for alpha in sorted({run.cell.alpha for run in self.runs}):
            self.add_alpha(alpha, [run for run in self.runs if run.cell.alpha == alpha])
        self.finding = self.summed_up()
        shorter = self.finding.subjects.values()
        self.besides += [self.cut(each) for each in shorter if each.effect and each.effect.spending]

    def add_reference(self, reference: Reference, manifest: Manifest) -> None:
        assert reference.evaluation  # noqa: S101  it has a manifest
        after, measures = self.sources.completions(reference.evaluation), evaluation_of(manifest).suites
        for part in (part for part in self.before if part in after):
            difference = change(self.before[part], after[part])
            self.besides.append(Beside(self.first.model, part, CONCISE, measures[part], difference))
        for suite in (suite for suite in self.suites if suite in after):
            concise = self.answers(suite, reference.evaluation)
            self.subjects.append(subject(self.asked[suite], CONCISE, None, self.answers(suite), [concise]))

    def add_alpha(self, alpha: float, runs: Sequence[Run]) -> None:
        after = [self.sources.completions(run.cell.after) for run in runs]
        for run, suites in zip(runs, after, strict=True):
            self.rows += _rows(run, self.before, suites)
        for suite in self.suites:
            policies = [self.answers(suite, run.cell.after) for run in runs]
            label, known = after_of(runs[0].cell), None if self.first.names else alpha
            self.subjects.append(subject(self.asked[suite], label, known, self.answers(suite), policies))
            self.groups.append(self.group(suite, runs[0], after[0][suite]))
        if VALIDATION in self.before:
            self._validation[alpha] = [each[VALIDATION].without_texts() for each in after]
        self._savings[alpha] = self.savings(after[0])

    def answers(self, suite: str, evaluation: Address | None = None) -> Answers:
        """Return those of the base model where no evaluation is named."""
        address = evaluation or self.first.baseline
        return Answers(self.sources.completions(address)[suite], self.sources.counts(address)[suite])

    @cached_property
    def asked(self) -> dict[str, Asked]:
        """By suite."""
        return {suite: self._asked(suite) for suite in self.suites}

    def _asked(self, suite: str) -> Asked:
        first = self.sources.completions(self.first.after)[suite]
        longest = max(int(judged.tokens.max()) for judged in (self.before[suite], first))
        stated = {each.id: each.difficulty for each in self.problems[suite].values() if each.difficulty is not None}
        return Asked(
            model=self.first.model,
            suite=suite,
            longest=longest_budget(evaluation_spec_of(self.runs[0].baseline).asking(suite).protocol),
            budgets=budgets_up_to(longest),
            difficulty=stated,
        )

    def group(self, suite: str, run: Run, after: Judged) -> Group:
        room = TRANSCRIPT_BYTES // (len(self.spec.cells) * len(self.suites))
        problems = self.problems[suite]
        chosen = drawn(problems, self.before[suite], after, room)
        return Group(self.first.model, suite, before_of(run.cell), after_of(run.cell), chosen, len(problems))

    def savings(self, after: Suites) -> list[Transcript]:
        suite = self.suites[0]
        return largest_savings(self.problems[suite], self.before[suite], after[suite])

    def summed_up(self) -> Finding:
        selection = self.spec.selection
        advice = None
        if not self.first.names:
            before = self.before.get(VALIDATION)
            advice = recommend(validation_changes(before, self._validation, selection) if before else {}, selection)
        alphas = [run.cell.alpha for run in self.runs]
        alpha = advice.alpha if advice and advice.alpha is not None else max(alphas)
        cell = self.runs[alphas.index(alpha)].cell
        model, label = cell.model, after_of(cell)
        mine = {each.suite: each for each in self.subjects if each.label == label}
        return Finding(model, advice, alpha, label, before_of(cell), mine, self._savings[alpha])

    def probed(self) -> Iterator[Probed]:
        """Of every suite that probes were asked on: the base model, then every cell."""
        before = self.sources.replies(self.runs[0].baseline)
        for suite, measures in (evaluation_of(self.runs[0].baseline).faithfulness or {}).items():
            yield Probed(self.first.model, suite, before_of(self.first), measures, None)
            for run in self.runs:
                after = evaluation_of(run.after).faithfulness or {}
                if suite in after:
                    difference = compare(_on(suite, before), _on(suite, self.sources.replies(run.after)))
                    yield Probed(self.first.model, suite, run.label, after[suite], difference)

    def cut(self, trained: Subject) -> Beside:
        """Return the base model, truncated where it spends what `trained` spends."""
        assert trained.effect and trained.effect.spending  # noqa: S101  the caller has looked
        limit, before = trained.effect.spending.limit, self.before[trained.suite]
        shortened = cut_at(before, limit)
        protocol = evaluation_spec_of(self.runs[0].baseline).asking(trained.suite).protocol
        return Beside(
            trained.model, trained.suite, f"cut off at {limit} tokens", measure(shortened, protocol),
            change(before, shortened),
        )  # fmt: skip


def _on(suite: str, replies: Sequence[ProbeReply]) -> list[ProbeReply]:
    return [reply for reply in replies if reply.suite == suite]


def _rows(run: Run, before: Suites, after: Suites) -> Iterable[Row]:
    baseline, later = evaluation_of(run.baseline).suites, evaluation_of(run.after).suites
    for part in (part for part in baseline if part in later):
        yield Row(run.cell, part, baseline[part], later[part], change(before[part], after[part]))
