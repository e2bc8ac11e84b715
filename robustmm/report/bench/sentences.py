"""What the numbers of a bench are of, one thing a sentence."""

from robustmm.metrics.paired import FITTED, SIGNIFICANCE_LEVEL, USABLE_SEEDS, BenchResult
from robustmm.results import Search

UNFITTED = "†"


def footer(result: BenchResult) -> list[str]:
    """What the numbers are of, one thing a sentence."""
    n = len(result.seeds)
    threads = f"{result.threads} thread{'s' * (result.threads > 1)} each"
    sentences = [f"{n} seed{'s' * (n > 1)}, {result.samples} test samples, {result.device}, {threads}."]
    by = result.cells[0].select.replace("-", " ")
    sentences += [
        f"The epoch is chosen on valid by {'accuracy' if by == 'clean' else by}; test is read after training."
    ]
    if n > 1:
        sentences += ["±: standard deviation over training seeds, which also draw missing modalities; one test split."]
    if n < USABLE_SEEDS:
        sentences += [f"{'One seed' if n == 1 else 'Two seeds'}: no usable interval and no p-value; three give them."]
    if result.comparisons:
        sentences += describe_tests(result)
    sentences += describe_unfitted(result)
    sentences += describe_settings(result)
    where = "what torch allocated on the GPU" if result.device.startswith("cuda") else "memory on top of the imports"
    sentences += [f"Peak MB: {where}. Teachers are shared, and counted for each method that needs them."]
    return sentences


def describe_tests(result: BenchResult) -> list[str]:
    margin = f"{100 * result.margin:.3g} point{'s' * (result.margin != 0.01)}"
    methods = f"{result.comparisons} method{'s' * (result.comparisons > 1)}"
    return [
        "[ ]: t interval of the difference paired by seed; – where all differences are equal.",
        f"↑ ↓: above or below {result.baseline}, paired t-test; ≈: within {margin} of it, two one-sided ones; "
        f"both with p < {SIGNIFICANCE_LEVEL} after Holm over {methods}, each column by itself.",
        "Bold: ↑ and the highest of the column.",
    ]


def describe_unfitted(result: BenchResult) -> list[str]:
    """Which trainings had not come to their end."""
    n = len(result.seeds)
    found = [f"{m.method} in {len(m.unfitted)} of {n}" for m in result.methods if m.unfitted]
    if not found:
        return []
    todo = "more epochs or another rate may change them" + ("" if result.search else "; --tune searches for one")
    return [
        f"{UNFITTED} not fitted: {', '.join(found)} seed{'s' * (n > 1)}, where cross-entropy on the training split was "
        f"above {FITTED} at the last epoch. Their scores are of a training that had not come to its end: {todo}."
    ]


def describe_settings(result: BenchResult) -> list[str]:
    """Optimisers, rates and budgets; and of a search whether its grid was wide enough."""
    by: dict[str, list[str]] = {}
    for m in result.methods:
        by.setdefault(f"{m.optimiser} {m.learning_rate:g}, {m.epochs} epoch{'s' * (m.epochs != 1)}", []).append(
            m.method
        )
    said = "; ".join(f"{setting} ({', '.join(methods)})" if len(by) > 1 else setting for setting, methods in by.items())
    sentences = [f"Trained with {said}."]
    if result.search is None:
        return sentences + ["They differ, and were not tuned: a difference may be one of settings; see --tune."] * (
            len(by) > 1
        )
    search = result.search
    rungs = ", ".join(map(str, search.rungs))
    sentences += [
        f"Settings were chosen by successive halving on valid with seed {search.seed}, in {len(search.trials)} "
        f"trainings of {rungs} epoch{'s' * (search.rungs != [1])}."
    ]
    if edge := [method for method in search.chosen if is_at_edge(search, method)]:
        sentences += [
            f"The rate chosen for {', '.join(edge)} is the lowest or highest tried: a wider grid may do better."
        ]
    return sentences


def is_at_edge(search: Search, method: str) -> bool:
    """Whether the chosen rate is the lowest or highest of several with its optimiser."""
    chosen = search.chosen[method]
    same = [t.setting for t in search.of(method) if t.setting["optimiser"] == chosen["optimiser"]]
    rates = sorted({float(str(setting["learning_rate"])) for setting in same})
    return len(rates) > 1 and chosen["learning_rate"] in (rates[0], rates[-1])
