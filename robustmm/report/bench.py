"""A bench as rich tables of any width, CSV, Markdown and LaTeX."""

import csv
import io
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from robustmm.metrics.paired import SIGNIFICANCE_LEVEL, BenchResult, MethodResult, Score
from robustmm.report.formats import grid, signed_number

NAME, HEADING = 20, 12
"""Widths in cells from which a method's name and a heading take more than one line."""
MARKS = {"better": "↑", "worse": "↓", "unclear": " "}


class Column(NamedTuple):
    heading: str
    cells: list[Text]


def render_bench(result: BenchResult, width: int) -> Group:
    """Accuracies, differences to the baseline and costs, in tables no wider than `width`."""
    names = [m.method for m in result.methods]
    scores = [Column(c, [score_text(m.scores[c]) for m in result.methods]) for c in result.columns]
    parts: list[RenderableType] = [*fit_tables("test accuracy, %", names, scores, width)]
    others = [m for m in result.methods if m.method != result.baseline]
    if result.comparisons:
        pairs = [Column(c, [difference_text(m.scores[c]) for m in others]) for c in result.columns]
        title = f"points over {result.baseline} [95 %], adjusted p"
        parts += fit_tables(title, [m.method for m in others], pairs, width)
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
    bounds = "–" if d.low != d.low else f"{signed_number(100 * d.low, 1)}, {signed_number(100 * d.high, 1)}"
    p = "<.001" if d.adjusted < 0.001 else f"{d.adjusted:.3f}".removeprefix("0")
    style = {"better": "green", "worse": "red", "unclear": "dim"}[d.verdict]
    return Text(f"{signed_number(100 * d.value, 1)} [{bounds}] {p} {MARKS[d.verdict]}", style=style)


def cost_columns(methods: Sequence[MethodResult]) -> list[Column]:
    return [
        Column("seconds an epoch", [Text(f"{m.seconds_per_epoch:.2f}") for m in methods]),
        Column("peak MB", [Text(f"{m.peak_mb:.0f}") for m in methods]),
        Column("parameters", [Text(f"{m.parameters:,}") for m in methods]),
        Column("teachers, seconds", [Text(f"{m.teacher_seconds:.1f}" if m.teacher_seconds else "–") for m in methods]),
    ]


def footer(result: BenchResult) -> list[str]:
    """What the numbers are of, one thing a sentence."""
    n = len(result.seeds)
    threads = f"{result.threads} thread{'s' * (result.threads > 1)} each"
    sentences = [f"{n} seed{'s' * (n > 1)}, {result.samples} test samples, {result.device}, {threads}."]
    sentences += ["The epoch is chosen on valid; test is read after training."]
    if n > 1:
        sentences += ["±: standard deviation over training seeds, which also draw missing modalities; one test split."]
    else:
        sentences += ["One seed: no interval and no p-value."]
    if result.comparisons:
        sentences += ["[ ]: t interval of the difference paired by seed; – where all differences are equal."]
        sentences += [
            f"↑ ↓: above or below {result.baseline} with p < {SIGNIFICANCE_LEVEL}, paired t-test, Benjamini-Hochberg "
            f"over {result.comparisons} comparisons; bold: ↑ and the highest of the column."
        ]
    optimisers = sorted({m.optimiser for m in result.methods})
    by = [f"{o} ({', '.join(m.method for m in result.methods if m.optimiser == o)})" for o in optimisers]
    if len(by) > 1:
        sentences += [f"Optimisers differ: {'; '.join(by)}; the same for all: --set train.optimiser={optimisers[-1]}."]
    else:
        sentences += [f"Optimiser: {optimisers[0]}."]
    where = "what torch allocated on the GPU" if result.device.startswith("cuda") else "memory on top of the imports"
    sentences += [f"Peak MB: {where}. Teachers are shared, and counted for each method that needs them."]
    return sentences


def table_rows(result: BenchResult) -> list[list[tuple[str, str, bool]]]:
    """Heading and rows of what is handed on, each cell a text, a mark and whether it is bold."""
    heading = ["method", *result.columns, "seconds an epoch", "peak MB"]
    rows = [[(text, "", False) for text in heading]]
    for m in result.methods:
        scores = [
            (format_score(s), MARKS[s.verdict].strip(), s.is_significant_best)
            for s in (m.scores[c] for c in result.columns)
        ]
        rows.append([(m.method, "", False), *scores, (f"{m.seconds_per_epoch:.2f}", "", False)])
        rows[-1].append((f"{m.peak_mb:.0f}", "", False))
    return rows


def format_markdown(result: BenchResult) -> str:
    """The table a README takes, and what its numbers are of."""

    def escape_markdown(text: str) -> str:
        return re.sub(r"([|\\*_`<>~&\[\]])", r"\\\1", " ".join(text.split()))

    rows = [
        [
            f"**{escape_markdown(text)}** {mark}".rstrip() if bold else f"{escape_markdown(text)} {mark}".rstrip()
            for text, mark, bold in row
        ]
        for row in table_rows(result)
    ]
    rows.insert(1, ["---", *("--:" for _ in rows[0][1:])])
    shown = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{shown}\n\n{escape_markdown(' '.join(['Test accuracy, %.', *footer(result)]))}\n"


LATEX = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "[": "{[}",
    "±": r"$\pm$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
}
"""What TeX would take for more than a character; "[" after a line's end would be its option."""


def format_latex(result: BenchResult) -> str:
    """A booktabs table, and what its numbers are of in comments."""

    def escape_latex(text: str) -> str:
        return "".join(LATEX.get(c, c) for c in " ".join(text.split()))

    def format_cell(text: str, mark: str, bold: bool) -> str:
        return (rf"\textbf{{{escape_latex(text)}}}" if bold else escape_latex(text)) + (
            f" {escape_latex(mark)}" if mark else ""
        )

    rows = [" & ".join(format_cell(*cell) for cell in row) + r" \\" for row in table_rows(result)]
    said = [f"% {' '.join(sentence.split())}" for sentence in ("Test accuracy, %.", *footer(result))]
    head = [r"\begin{tabular}{l" + "r" * (len(table_rows(result)[0]) - 1) + "}", r"\toprule", rows[0], r"\midrule"]
    return "\n".join([*said, *head, *rows[1:], r"\bottomrule", r"\end{tabular}"]) + "\n"


def format_csv(result: BenchResult) -> str:
    """One row per method, seed and column: what a plot takes. `contribution_<modality>` is its exact Shapley value of
    accuracy; in a row they add up to accuracy less that of the class prior."""
    out = io.StringIO()
    writer = csv.writer(out)
    modalities = list(result.cells[0].contributions)
    shares = [f"contribution_{name}" for name in modalities]
    writer.writerow(["method", "seed", "condition", "accuracy", "nll", "macro_f1", *shares])
    for one in result.cells:
        for column in one.accuracy:
            contributions = (one.contributions[name] for name in modalities)
            numbers = (scores[column] for scores in (one.accuracy, one.nll, one.macro_f1, *contributions))
            writer.writerow([one.method, one.seed, column, *(f"{x:.6g}" for x in numbers)])
    return out.getvalue()
