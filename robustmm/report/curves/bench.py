"""The curves of a bench: every method's trajectories over its seeds, and the scores that they end in."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np

from robustmm.files import write_if_changed
from robustmm.metrics.paired import BenchResult, compare_methods
from robustmm.report.bench.files import table_rows
from robustmm.report.bench.plan import search_columns
from robustmm.report.bench.screen import difference_text, mark_unfitted
from robustmm.report.bench.sentences import footer
from robustmm.report.curves.cells import Kept, read_kept
from robustmm.report.curves.charts import Curve, choose_epochs, draw_curves
from robustmm.report.curves.log import Column
from robustmm.report.curves.run import PICTURE, Charts
from robustmm.report.curves.svg import render_svg
from robustmm.report.formats import points
from robustmm.report.page.markup import Content, Markup, tag
from robustmm.report.page.page import PAGE, compose_page
from robustmm.report.page.sections import chart_figure
from robustmm.report.page.tables import Row, build_table
from robustmm.results import Search


def write_bench_page(folder: Path) -> Path:
    """Writes report.html and curves.svg into the folder of a bench, of what is done there. Raises DataError for
    damaged files, and where nothing is done."""
    kept = read_kept(folder)
    write_if_changed(folder / PICTURE, render_svg(f"Bench {kept.facts.recipe}", describe_bench(kept), draw_bench(kept)))
    write_if_changed(folder / PAGE, render_bench_page(kept))
    return folder / PAGE


def render_bench_page(kept: Kept) -> bytes:
    charts = draw_bench(kept)
    band = "Lines: means over the seeds that have come so far; bands: the lowest to the highest seed."
    said = {
        "accuracy": "Of all modalities together, on the valid split.",
        "nll": "Of all modalities together, on the valid split, in nats.",
        "alone": "On the valid split: of each modality where it is alone.",
        "contributions": "Exact Shapley shares of the true class's log-probability on the valid split.",
    }
    scored = _compare(kept)
    parts: list[tuple[str, str, Content]] = [("scores", "Test scores", render_scores(scored) if scored else None)]
    parts += [
        (name, heading, [
            tag("p", f"{said[name]} {band}", class_="soft"),
            chart_figure(f"{name}-chart", f"{heading} by epoch; log.csv of each run has the numbers."),
        ])
        for name, (heading, _) in charts.items()
    ]  # fmt: skip
    shares = render_contributions(scored) if scored and scored.cells[0].contributions else None
    parts += [("shares", "Contributions on the test split", shares), ("cells", "Trainings", _render_cells(kept))]
    specs = {f"{name}-chart": spec for name, (_, spec) in charts.items()}
    header = [tag("p", describe_bench(kept), class_="soft"), _state(kept)]
    return compose_page(f"Bench {kept.facts.recipe}", header, parts, specs)


def describe_bench(kept: Kept) -> str:
    seeds = len({cell.seed for cell in kept.facts.cells})
    return (
        f"Recipe {kept.facts.recipe} on {kept.facts.manifest}: {len(kept.methods)} methods, {seeds} seeds, "
        f"{len(kept.results)} of {len(kept.facts.cells)} trainings done."
    )


def draw_bench(kept: Kept) -> Charts:
    """Accuracy and log-loss by method, each modality's accuracy alone, and each method's contributions."""
    by = {method: [kept.logs[at] for at in kept.logs if at[0] == method] for method in kept.methods}
    by = {method: logs for method, logs in by.items() if logs}
    first = next(iter(by.values()))[0]
    alone, shares = list(first.alone), list(first.contributions)
    count = max(len(log.epochs) for logs in by.values() for log in logs)
    epochs = choose_epochs(count, len(by) * (2 + len(alone) + len(shares)))

    lines = by.items()
    accuracy = [summarise_seeds(method, [log.accuracy for log in logs]) for method, logs in lines]
    nll = [summarise_seeds(method, [log.nll for log in logs]) for method, logs in lines]
    single = [summarise_seeds(method, [log.alone[m] for log in logs], m) for m in alone for method, logs in lines]
    moved = [
        summarise_seeds(m, [log.contributions[m] for log in logs], method) for method, logs in lines for m in shares
    ]
    charts = {
        "accuracy": ("Accuracy", draw_curves(accuracy, epochs, "valid accuracy", form=".1%", top=1)),
        "nll": ("Log-loss", draw_curves(nll, epochs, "valid log-loss", form=".3~g")),
        "alone": ("Each modality alone", draw_curves(single, epochs, "", form=".1%", top=1)),
        "contributions": ("Contributions", draw_curves(moved, epochs, "", form=".1%", top=1)),
    }
    return {name: chart for name, chart in charts.items() if name != "contributions" or shares}


def summarise_seeds(series: str, columns: Sequence[Column], panel: str = "") -> Curve:
    """Mean, lowest and highest by epoch, over those seeds that have a number there."""
    longest = max(map(len, columns))
    table = np.array([np.pad(column, (0, longest - len(column)), constant_values=np.nan) for column in columns])
    there = ~np.isnan(table)
    count, some = there.sum(0), there.any(0)
    mean = np.where(some, np.where(there, table, 0).sum(0) / np.maximum(count, 1), np.nan)
    low = np.where(some, np.where(there, table, np.inf).min(0), np.nan)
    high = np.where(some, np.where(there, table, -np.inf).max(0), np.nan)
    return Curve(series, mean, low, high, panel)


def _compare(kept: Kept) -> BenchResult | None:
    """Scores over the seeds that are done for every method, or None where there are none."""
    cells = [kept.results[method, seed] for method in kept.methods for seed in kept.whole_seeds]
    facts = kept.facts
    baseline = facts.baseline if facts.baseline in kept.methods else kept.methods[0]
    if not cells:
        return None
    return compare_methods(
        cells, kept.methods, baseline,
        margin=facts.margin, search=kept.search, recipe=facts.recipe, manifest=facts.manifest,
    )  # fmt: skip


def render_scores(result: BenchResult) -> Markup:
    """The tables that `robustmm bench` prints: scores, and differences to the baseline."""
    head, *scores = table_rows(result)
    body: list[Row] = [
        [tag("strong", f"{text} {mark}") if bold else f"{text} {mark}".rstrip() for text, mark, bold in row]
        for row in scores
    ]
    table = build_table("Test accuracy, %: mean ± standard deviation over seeds", [text for text, _, _ in head], body)
    others = [m for m in result.methods if m.method != result.baseline] if len(result.seeds) > 1 else []
    rows = [[mark_unfitted(m), *(difference_text(m.scores[c]).plain.rstrip() for c in result.columns)] for m in others]
    caption = f"Points over {result.baseline}" + " [95 %], adjusted p" * (result.comparisons > 0)
    against = build_table(caption, ["method", *result.columns], rows) if rows else None
    settings = render_search(result.search) if result.search else None
    return tag("div", settings, table, against, tag("p", " ".join(footer(result)), class_="soft"))


def render_search(search: Search) -> Markup:
    """The setting chosen for each method."""
    columns = search_columns(search)
    rows: list[Row] = [
        [method, *(column.cells[k].plain for column in columns)] for k, method in enumerate(search.chosen)
    ]
    caption = f"Chosen on valid by {search.select.replace('-', ' ')}; search.json has every trial"
    return build_table(caption, ["method", *(column.heading for column in columns)], rows)


def render_contributions(result: BenchResult) -> Markup:
    """Shapley values of accuracy, means over seeds, by method and printed column."""
    names = list(result.cells[0].contributions)
    own = {m.method: [cell for cell in result.cells if cell.method == m.method] for m in result.methods}
    rows: list[Row] = [
        [method, column, *(points(fmean(cell.contributions[name][column] for cell in cells)) for name in names)]
        for method, cells in own.items()
        for column in result.columns
    ]
    caption = "Exact Shapley values of accuracy, points above the class prior's accuracy, means over seeds"
    return build_table(caption, ["method", "condition", *names], rows, (0, 1))


def _state(kept: Kept) -> Markup:
    done, planned = len(kept.results), len(kept.facts.cells)
    if done == planned:
        return tag("div", tag("p", f"All {planned} trainings are done."), class_="verdict", role="status")
    seeds = ", ".join(map(str, kept.whole_seeds))
    scores = f"scores are of the seeds that every method has: {seeds}" if seeds else "no seed is done for every method"
    said = f"Not finished: {done} of {planned} trainings are done; {scores}."
    more = "The same robustmm bench command goes on with the rest."
    return tag("div", tag("p", said), tag("p", more), class_="verdict", role="status")


def _render_cells(kept: Kept) -> Markup:
    rows: list[Row] = []
    for cell in kept.facts.cells:
        at = cell.method, cell.seed
        result, log = kept.results.get(at), kept.logs.get(at)
        done = [str(result.kept_epoch), f"{result.seconds:.1f}"] if result else ["–", "–"]
        rows.append([f"{cell.method}, seed {cell.seed}", str(len(log.epochs)) if log else "0", *done,
                     tag("code", f"runs/{cell.key}")])  # fmt: skip
    return build_table(
        "Every training, and where it lies", ["training", "epochs", "kept", "seconds", "folder"], rows, (0, 4)
    )
