"""Methods held against a baseline over the same seeds: means, paired differences, and what of it is significant."""

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from pydantic import Field

from robustmm.metrics.statistics import Difference, holm, paired_equivalence, paired_t
from robustmm.results import Number, Result, Search
from robustmm.version import __version__

CLEAN, MEAN = "clean", "mean over subsets"
"""Columns every bench has; with one modality there is no mean."""

SIGNIFICANCE_LEVEL = 0.05
"""Adjusted p-values below it are called significant."""

USABLE_SEEDS = 3
"""Seeds from which differences are tested: with two, a t interval is 12.7 times as wide as the two differ."""

FITTED = 0.05
"""Cross-entropy in nats on the training split, at the last epoch, above which a training has not come to its end."""

ByColumn = dict[str, Number]


class CellResult(Result):
    """One training: a method and a seed, scored on the test split at its best valid epoch, by column: clean, each
    condition of the suite, each subset of modalities, and the mean over all subsets, the full one included."""

    method: str
    seed: int
    accuracy: dict[str, float] = Field(description="unrounded: equal differences must stay equal")
    nll: ByColumn
    macro_f1: ByColumn
    contributions: dict[str, ByColumn] = Field(
        description="by modality and column: its exact Shapley value of accuracy, in accuracy's own unit; over the "
        "modalities they add up to accuracy less that of the class prior. Empty above 8 modalities"
    )
    subsets: list[str] = Field(description="columns of several, but not all, modalities: kept, not printed")
    valid_accuracy: Number
    kept_epoch: int
    train_nll: Number = Field(description="cross-entropy of the fused answers to the training split, at the last epoch")
    optimiser: str
    learning_rate: Number
    epochs: int
    select: str = Field(description="what the kept epoch was chosen by, on valid")
    parameters: int
    seconds: Number = Field(description="of training, without reading, teachers and test")
    teacher_seconds: Number = Field(description="of training the frozen models it asks, by whichever cell")
    seconds_per_epoch: Number = Field(description="validation and checkpoint included")
    peak_mb: Number = Field(description="of the training process, on top of its imports; on a GPU torch's, there")
    device: str
    threads: int
    samples: int


class Against(Result):
    """Method minus baseline over the same seeds, in accuracy: 95 % t interval, paired t-test, and two one-sided paired
    t-tests of a difference within the margin. All but the value are null with less than three seeds.

    `adjusted` and `equivalence_adjusted`: Holm over the methods, in each column by itself.
    """

    value: Number
    low: Number
    high: Number
    p: Number
    adjusted: Number
    equivalence_p: Number
    equivalence_adjusted: Number
    equivalent: bool = Field(description="equivalence_adjusted < 0.05: within the margin, which may be a difference")
    verdict: str = Field(description="better or worse where adjusted < 0.05, else equivalent, else unclear")


class Score(Result):
    """Over seeds. `best`: the highest mean accuracy of its column, significant or not."""

    mean: Number
    sd: Number = Field(description="of accuracy, with n - 1")
    nll: Number
    macro_f1: Number
    best: bool
    against: Against | None

    @property
    def verdict(self) -> str:
        return self.against.verdict if self.against else "unclear"

    @property
    def is_significant_best(self) -> bool:
        """The highest, and not by chance."""
        return self.best and self.verdict == "better"


class MethodResult(Result):
    method: str
    optimiser: str
    learning_rate: Number
    epochs: int
    unfitted: list[int] = Field(description="seeds whose cross-entropy on the training split ends above 0.05 nats")
    parameters: int
    seconds: Number
    teacher_seconds: Number
    seconds_per_epoch: Number
    peak_mb: Number
    valid_accuracy: Number
    scores: dict[str, Score]


class BenchResult(Result):
    """The result of `robustmm bench --json`, format 3: test accuracy of methods over seeds, at the best valid epoch."""

    format: int = 3
    robustmm: str
    recipe: str
    manifest: str
    baseline: str
    seeds: list[int]
    samples: int
    device: str
    threads: int
    columns: list[str] = Field(description="as printed")
    subsets: list[str] = Field(description="columns that are not printed")
    margin: Number = Field(description="of equivalence, in accuracy")
    comparisons: int = Field(description="how many methods were adjusted for together; 0 with less than three seeds")
    search: Search | None = Field(description="how the methods' settings were chosen, with --tune")
    methods: list[MethodResult]
    cells: list[CellResult]

    def rows(self) -> list[dict[str, Any]]:
        """A row per method and column; the difference is to the baseline, empty where there is none."""
        differences = {"difference": "value", "low": "low", "high": "high", "p": "p", "adjusted_p": "adjusted",
                       "equivalence_p": "equivalence_adjusted"}  # fmt: skip
        return [
            {"method": m.method, "column": column, "mean": s.mean, "sd": s.sd, "nll": s.nll, "macro_f1": s.macro_f1,
             **{name: getattr(s.against, field, None) for name, field in differences.items()}, "verdict": s.verdict}
            for m in self.methods
            for column, s in m.scores.items()
        ]  # fmt: skip


def compare_methods(
    cells: Sequence[CellResult],
    methods: Sequence[str],
    baseline: str,
    *,
    margin: float = 0.01,
    search: Search | None = None,
    recipe: str = "",
    manifest: str = "",
) -> BenchResult:
    """What the cells come to. Every method has the same seeds."""
    first, seeds = cells[0], sorted({cell.seed for cell in cells})
    by = {(cell.method, cell.seed): cell for cell in cells}
    printed = [column for column in first.accuracy if column not in first.subsets]
    values = {(m, c): [by[m, seed].accuracy[c] for seed in seeds] for m in methods for c in first.accuracy}
    others = [method for method in methods if method != baseline] if len(seeds) > 1 else []
    against = {
        (method, column): found
        for column in first.accuracy
        for method, found in compare_column({m: values[m, column] for m in (baseline, *others)}, margin).items()
    }
    highest = {c: max(fmean(values[m, c]) for m in methods) for c in first.accuracy}

    def score(method: str, column: str) -> Score:
        found, pair = values[method, column], (method, column)
        return Score(
            mean=fmean(found),
            sd=stdev(found) if len(found) > 1 else float("nan"),
            nll=fmean(by[method, seed].nll[column] for seed in seeds),
            macro_f1=fmean(by[method, seed].macro_f1[column] for seed in seeds),
            best=fmean(found) >= highest[column] - 1e-12,
            against=against.get(pair),
        )

    def summarise_method(method: str) -> MethodResult:
        own = [by[method, seed] for seed in seeds]
        measured = ("seconds", "teacher_seconds", "seconds_per_epoch", "peak_mb", "valid_accuracy")
        return MethodResult(
            method=method,
            optimiser=own[0].optimiser,
            learning_rate=own[0].learning_rate,
            epochs=own[0].epochs,
            unfitted=[cell.seed for cell in own if cell.train_nll > FITTED],
            parameters=own[0].parameters,
            scores={column: score(method, column) for column in first.accuracy},
            **{name: fmean(getattr(cell, name) for cell in own) for name in measured},
        )

    return BenchResult(
        robustmm=__version__,
        recipe=recipe,
        manifest=manifest,
        baseline=baseline,
        seeds=seeds,
        samples=first.samples,
        device=first.device,
        threads=first.threads,
        columns=printed,
        subsets=first.subsets,
        margin=margin,
        comparisons=len(others) if len(seeds) >= USABLE_SEEDS else 0,
        search=search,
        methods=[summarise_method(method) for method in methods],
        cells=sorted(cells, key=lambda cell: (methods.index(cell.method), cell.seed)),
    )


def compare_column(values: Mapping[str, Sequence[float]], margin: float) -> dict[str, Against]:
    """Each method against the first, over the same seeds. Tests are left out where the seeds are too few."""
    (_, base), *others = values.items()
    if len(base) < USABLE_SEEDS:
        nothing = dict.fromkeys(("low", "high", "p", "adjusted", "equivalence_p", "equivalence_adjusted"), float("nan"))
        gaps = {method: fmean(own) - fmean(base) for method, own in others}
        return {m: Against(value=gap, **nothing, equivalent=False, verdict="unclear") for m, gap in gaps.items()}
    found = [paired_t(own, base) for _, own in others]
    within = [paired_equivalence(own, base, margin) for _, own in others]
    adjusted, sure = holm([difference.p for difference in found]), holm(within)
    return {
        method: Against(
            **found[k]._asdict(),
            adjusted=adjusted[k],
            equivalence_p=within[k],
            equivalence_adjusted=sure[k],
            equivalent=bool(sure[k] < SIGNIFICANCE_LEVEL),
            verdict=judge_difference(found[k], adjusted[k], sure[k]),
        )
        for k, (method, _) in enumerate(others)
    }


def judge_difference(difference: Difference, adjusted: float, within: float) -> str:
    """A sure difference counts before equivalence: it may be both, a small one that is sure."""
    if adjusted < SIGNIFICANCE_LEVEL and difference.value != 0:
        return "better" if difference.value > 0 else "worse"
    return "equivalent" if within < SIGNIFICANCE_LEVEL else "unclear"
