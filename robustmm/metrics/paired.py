"""Methods held against a baseline over the same seeds: means, paired differences, and what of it is significant."""

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

from pydantic import Field

from robustmm.metrics.statistics import Difference, benjamini_hochberg, paired_t
from robustmm.results import Number, Result
from robustmm.version import __version__

CLEAN, MEAN = "clean", "mean over subsets"
"""Columns every bench has; with one modality there is no mean."""

SIGNIFICANCE_LEVEL = 0.05
"""Adjusted p-values below it are called significant."""

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
    optimiser: str
    parameters: int
    seconds: Number = Field(description="of training, without reading, teachers and test")
    teacher_seconds: Number = Field(description="of training the frozen models it asks, by whichever cell")
    seconds_per_epoch: Number = Field(description="validation and checkpoint included")
    peak_mb: Number = Field(description="of the training process, on top of its imports; on a GPU torch's, there")
    device: str
    threads: int
    samples: int


class Against(Result):
    """Method minus baseline over the same seeds, in accuracy: 95 % t interval and paired t-test over seeds.

    `adjusted`: Benjamini-Hochberg over all methods and printed columns; null in a column that is not printed.
    """

    value: Number
    low: Number
    high: Number
    p: Number
    adjusted: Number
    verdict: str = Field(description="better or worse where adjusted < 0.05, else unclear")


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
    parameters: int
    seconds: Number
    teacher_seconds: Number
    seconds_per_epoch: Number
    peak_mb: Number
    valid_accuracy: Number
    scores: dict[str, Score]


class BenchResult(Result):
    """The result of `robustmm bench --json`, format 2: test accuracy of methods over seeds, at the best valid epoch."""

    format: int = 2
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
    comparisons: int = Field(description="how many p-values were adjusted together")
    methods: list[MethodResult]
    cells: list[CellResult]

    def rows(self) -> list[dict[str, Any]]:
        """A row per method and column; the difference is to the baseline, empty where there is none."""
        differences = {"difference": "value", "low": "low", "high": "high", "p": "p", "adjusted_p": "adjusted"}
        return [
            {"method": m.method, "column": column, "mean": s.mean, "sd": s.sd, "nll": s.nll, "macro_f1": s.macro_f1,
             **{name: getattr(s.against, field, None) for name, field in differences.items()}, "verdict": s.verdict}
            for m in self.methods
            for column, s in m.scores.items()
        ]  # fmt: skip


def compare_methods(
    cells: Sequence[CellResult], methods: Sequence[str], baseline: str, *, recipe: str = "", manifest: str = ""
) -> BenchResult:
    """What the cells come to. Every method has the same seeds."""
    first, seeds = cells[0], sorted({cell.seed for cell in cells})
    by = {(cell.method, cell.seed): cell for cell in cells}
    printed = [column for column in first.accuracy if column not in first.subsets]
    values = {(m, c): [by[m, seed].accuracy[c] for seed in seeds] for m in methods for c in first.accuracy}
    others = [method for method in methods if method != baseline] if len(seeds) > 1 else []
    differences = {(m, c): paired_t(values[m, c], values[baseline, c]) for m in others for c in first.accuracy}
    family = [(m, c) for m in others for c in printed]
    adjusted = dict(zip(family, benjamini_hochberg([differences[pair].p for pair in family]), strict=True))
    highest = {c: max(fmean(values[m, c]) for m in methods) for c in first.accuracy}

    def score(method: str, column: str) -> Score:
        found, pair = values[method, column], (method, column)
        return Score(
            mean=fmean(found),
            sd=stdev(found) if len(found) > 1 else float("nan"),
            nll=fmean(by[method, seed].nll[column] for seed in seeds),
            macro_f1=fmean(by[method, seed].macro_f1[column] for seed in seeds),
            best=fmean(found) >= highest[column] - 1e-12,
            against=compare_to_baseline(differences[pair], adjusted.get(pair, float("nan")))
            if pair in differences
            else None,
        )

    def summarise_method(method: str) -> MethodResult:
        own = [by[method, seed] for seed in seeds]
        measured = ("seconds", "teacher_seconds", "seconds_per_epoch", "peak_mb", "valid_accuracy")
        return MethodResult(
            method=method,
            optimiser=own[0].optimiser,
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
        comparisons=len(family),
        methods=[summarise_method(method) for method in methods],
        cells=sorted(cells, key=lambda cell: (methods.index(cell.method), cell.seed)),
    )


def compare_to_baseline(difference: Difference, adjusted: float) -> Against:
    sure = adjusted < SIGNIFICANCE_LEVEL and difference.value != 0
    verdict = "unclear" if not sure else "better" if difference.value > 0 else "worse"
    return Against(**difference._asdict(), adjusted=float(adjusted), verdict=verdict)
