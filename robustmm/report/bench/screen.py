"""A bench as rich tables of any width."""

import textwrap
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from robustmm.metrics.paired import BenchResult, MethodResult, Score
from robustmm.report.bench.plan import Column, search_columns
from robustmm.report.bench.sentences import UNFITTED, footer
from robustmm.report.formats import grid, signed_number

NAME, HEADING = 20, 12
"""Widths in cells from which a method's name and a heading take more than one line."""
MARKS = {"better": "↑", "worse": "↓", "equivalent": "≈", "unclear": " "}


def render_bench(result: BenchResult, width: int) -> Group:
    """Accuracies, differences to the baseline and costs, in tables no wider than `width`."""
    names = [mark_unfitted(m) for m in result.methods]
    scores = [Column(c, [score_text(m.scores[c]) for m in result.methods]) for c in result.columns]
    parts: list[RenderableType] = []
    if result.search:
        chosen = f"chosen on valid by {result.search.select.replace('-', ' ')}"
        parts += fit_tables(chosen, list(result.search.chosen), search_columns(result.search), width)
    parts += fit_tables("test accuracy, %", names, scores, width)
    others = [m for m in result.methods if m.method != result.baseline]
    if others and len(result.seeds) > 1:
        pairs = [Column(c, [difference_text(m.scores[c]) for m in others]) for c in result.columns]
        title = f"points over {result.baseline}" + " [95 %], adjusted p" * (result.comparisons > 0)
        parts += fit_tables(title, [mark_unfitted(m) for m in others], pairs, width)
    parts += fit_tables("cost", names, cost_columns(result.methods), width)
    return Group(*parts, *(Text(sentence, style="dim") for sentence in footer(result)))


def fit_tables(title: str, names: Sequence[str], columns: Sequence[Column], width: int) -> Iterator[Table]:
    """As few tables as fit, the names in each."""
    left = list(columns)
    while left:
        room, here = width - 2 - min(NAME, max(map(cell_len, ("method", *names)))), 0
        for column in left:
            room -= 3 + column_width(column)
            if room < 0 and here:
                break
            here += 1
        table = grid(title, "method", *("" for _ in left[:here]))
        table.columns[0].max_width = NAME
        for shown, column in zip(table.columns[1:], left[:here], strict=True):
            shown.header = Text("\n".join(heading_lines(column)), justify="right")
        for row, name in enumerate(names):
            table.add_row(Text(name), *(column.cells[row] for column in left[:here]))
        yield table
        title, left = title.removesuffix(" (continued)") + " (continued)", left[here:]


def column_width(column: Column) -> int:
    return max(cell_len(text) for text in [*heading_lines(column), *(cell.plain for cell in column.cells)])


def heading_lines(column: Column) -> list[str]:
    """A heading over lines no wider than need be."""
    return textwrap.wrap(column.heading, max(HEADING, *(len(cell.plain) for cell in column.cells)))


def score_text(score: Score) -> Text:
    mark = "" if score.sd != score.sd else f" {MARKS[score.verdict]}"
    return Text(format_score(score) + mark, style="bold" if score.is_significant_best else "")


def format_score(score: Score) -> str:
    return f"{100 * score.mean:.1f}" + ("" if score.sd != score.sd else f" ± {100 * score.sd:.1f}")


def difference_text(score: Score) -> Text:
    d = score.against
    assert d is not None
    style = {"better": "green", "worse": "red", "equivalent": "cyan", "unclear": "dim"}[d.verdict]
    if d.p != d.p:
        return Text(signed_number(100 * d.value, 1), style=style)
    bounds = "–" if d.low != d.low else f"{signed_number(100 * d.low, 1)}, {signed_number(100 * d.high, 1)}"
    p = "<.001" if d.adjusted < 0.001 else f"{d.adjusted:.3f}".removeprefix("0")
    marks = MARKS[d.verdict] + "≈" * (d.equivalent and d.verdict != "equivalent")
    return Text(f"{signed_number(100 * d.value, 1)} [{bounds}] {p} {marks}", style=style)


def mark_unfitted(method: MethodResult) -> str:
    return method.method + f" {UNFITTED}" * bool(method.unfitted)


def cost_columns(methods: Sequence[MethodResult]) -> list[Column]:
    return [
        Column("seconds an epoch", [Text(f"{m.seconds_per_epoch:.2f}") for m in methods]),
        Column("peak MB", [Text(f"{m.peak_mb:.0f}") for m in methods]),
        Column("parameters", [Text(f"{m.parameters:,}") for m in methods]),
        Column("teachers, seconds", [Text(f"{m.teacher_seconds:.1f}" if m.teacher_seconds else "–") for m in methods]),
    ]
