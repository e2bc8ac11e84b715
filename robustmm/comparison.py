"""Methods held against a baseline over the same seeds: means, paired differences, and what of it is significant."""

from collections.abc import Sequence
from statistics import fmean, stdev

from pydantic import Field

from robustmm.results import Number, Result
from robustmm.statistics import Difference, benjamini_hochberg, paired_t

LEVEL = 0.05
"""Adjusted p-values below it are called significant."""


class CellResult(Result):
    """One training: a method and a seed, scored on the test split at its best valid epoch."""

    method: str
    seed: int
    accuracy: dict[str, Number] = Field(description="by condition")
    nll: dict[str, Number]
    macro_f1: dict[str, Number]
    valid_accuracy: Number
    kept_epoch: int
    optimiser: str
    parameters: int
    seconds: Number = Field(description="training, teachers not counted")
    teacher_seconds: Number
    seconds_per_epoch: Number
    peak_mb: Number = Field(description="peak memory of the training process, or of the GPU where there is one")
    samples: int


class Against(Result):
    """Method minus baseline over the same seeds, in accuracy: 95 % t interval, paired t-test, adjusted p-value."""

    value: Number
    low: Number
    high: Number
    p: Number
    adjusted: Number


class Score(Result):
    """Accuracy over seeds. `best`: the highest of its column, and significantly above the baseline."""

    mean: Number
    sd: Number
    seeds: list[Number]
    nll: Number
    macro_f1: Number
    against: Against | None
    best: bool


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
    """The result of `robustmm bench --json`, format 1: accuracies on the test split, at the best epoch on valid."""

    format: int = 1
    robustmm: str
    recipe: str
    manifest: str
    baseline: str
    seeds: list[int]
    samples: int
    conditions: list[str]
    methods: list[MethodResult]
    cells: list[CellResult]


def compared(
    cells: Sequence[CellResult], methods: Sequence[str], baseline: str, *, robustmm: str, recipe: str, manifest: str
) -> BenchResult:
    """What the cells come to. Every method has the same seeds; p-values are adjusted over all that is compared."""
    seeds = sorted({cell.seed for cell in cells})
    conditions = list(cells[0].accuracy)
    by = {(cell.method, cell.seed): cell for cell in cells}

    def values(method: str, condition: str) -> list[float]:
        return [by[method, seed].accuracy[condition] for seed in seeds]

    differences: dict[tuple[str, str], Difference] = {}
    if len(seeds) > 1:
        for method in methods:
            for condition in conditions if method != baseline else []:
                differences[method, condition] = paired_t(values(method, condition), values(baseline, condition))
    adjusted = dict(zip(differences, benjamini_hochberg([d.p for d in differences.values()]), strict=True))
    best = {c: max(methods, key=lambda m, c=c: fmean(values(m, c))) for c in conditions}  # type: ignore[misc]

    def score(method: str, condition: str) -> Score:
        found = values(method, condition)
        difference = differences.get((method, condition))
        p = float(adjusted.get((method, condition), float("nan")))
        return Score(
            mean=fmean(found),
            sd=stdev(found) if len(found) > 1 else float("nan"),
            seeds=found,
            nll=fmean(by[method, seed].nll[condition] for seed in seeds),
            macro_f1=fmean(by[method, seed].macro_f1[condition] for seed in seeds),
            against=None if difference is None else Against(**difference._asdict(), adjusted=p),
            best=difference is not None and method == best[condition] and difference.value > 0 and p < LEVEL,
        )

    def summary(method: str) -> MethodResult:
        own = [by[method, seed] for seed in seeds]
        measured = ("seconds", "teacher_seconds", "seconds_per_epoch", "peak_mb", "valid_accuracy")
        return MethodResult(
            method=method,
            optimiser=own[0].optimiser,
            parameters=own[0].parameters,
            scores={condition: score(method, condition) for condition in conditions},
            **{name: fmean(getattr(cell, name) for cell in own) for name in measured},
        )

    return BenchResult(
        robustmm=robustmm,
        recipe=recipe,
        manifest=manifest,
        baseline=baseline,
        seeds=seeds,
        samples=cells[0].samples,
        conditions=conditions,
        methods=[summary(method) for method in methods],
        cells=sorted(cells, key=lambda cell: (methods.index(cell.method), cell.seed)),
    )
