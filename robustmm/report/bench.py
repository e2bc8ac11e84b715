"""A bench as rich tables, CSV, Markdown and LaTeX."""

import csv
import io
import re
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from robustmm.comparison import LEVEL, BenchResult, MethodResult, Score
from robustmm.report.tables import grid, signed

NAME, COLUMN, PAIR = 16, 14, 24
"""Width in cells of a method's name, of an accuracy, and of a difference with its interval."""


def shown(result: BenchResult) -> list[str]:
    """The conditions a table has room for: all but the subsets of several modalities."""
    return [c for c in result.conditions if "+" not in c]


def bench(result: BenchResult, width: int) -> Group:
    """Accuracies, differences to the baseline and costs, in tables no wider than `width`."""
    parts: list[RenderableType] = []
    for number, columns in enumerate(chunks(shown(result), (width - NAME) // COLUMN)):
        table = grid("accuracy, %" + ("" if number == 0 else " (continued)"), "method", *columns)
        for method in result.methods:
            table.add_row(Text(method.method), *(cell(method.scores[c]) for c in columns))
        parts.append(table)
    if len(result.seeds) > 1 and len(result.methods) > 1:
        for number, columns in enumerate(chunks(shown(result), (width - NAME) // PAIR)):
            title = f"points over {result.baseline} [95 %]" + ("" if number == 0 else " (continued)")
            table = grid(title, "method", *columns)
            for method in result.methods:
                if method.method != result.baseline:
                    table.add_row(Text(method.method), *(difference(method.scores[c]) for c in columns))
            parts.append(table)
    costs = grid(
        "cost", "method", "optimiser", "s an epoch", "training s", "teachers s", "peak MB", "parameters", left=(0, 1)
    )
    for method in result.methods:
        costs.add_row(Text(method.method), *cost(method))
    return Group(*parts, costs, footer(result))


def chunks(columns: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(columns), max(1, size)):
        yield columns[start : start + max(1, size)]


def cell(score: Score) -> Text:
    return Text(value(score), style="bold" if score.best else "")


def value(score: Score) -> str:
    spread = "" if score.sd != score.sd else f" ± {100 * score.sd:.1f}"
    return f"{100 * score.mean:.1f}{spread}"


def difference(score: Score) -> Text:
    d = score.against
    if d is None:
        return Text("–")
    sure = d.adjusted < LEVEL
    said = f"{signed(100 * d.value, 1)} [{signed(100 * d.low, 1)}, {signed(100 * d.high, 1)}]{'*' if sure else ' '}"
    return Text(said, style=("green" if d.value > 0 else "red") if sure else "dim")


def cost(method: MethodResult) -> list[str]:
    return [
        method.optimiser,
        f"{method.seconds_per_epoch:.2f}",
        f"{method.seconds:.1f}",
        f"{method.teacher_seconds:.1f}" if method.teacher_seconds else "–",
        f"{method.peak_mb:.0f}",
        f"{method.parameters:,}",
    ]


def footer(result: BenchResult) -> Text:
    n = len(result.seeds)
    said = f"{n} seeds, {result.samples} test samples; the epoch is chosen on valid. " if n > 1 else (
        f"1 seed, {result.samples} test samples: no interval and no p-value; the epoch is chosen on valid. "
    )  # fmt: skip
    if n > 1:
        said += (
            "± is the standard deviation over seeds; intervals and tests are Student's, paired by seed: they are about "
            f"training again, not about other test data. * p < {LEVEL} after Benjamini-Hochberg over all comparisons; "
            "bold: the highest, and above the baseline with a *. "
        )
    if len({method.optimiser for method in result.methods}) > 1:
        said += "Methods that scale gradients have SGD, the others AdamW; one for all: --set train.optimiser=sgd"
    return Text(said.strip(), style="dim")


def header(result: BenchResult) -> list[str]:
    return ["method", *shown(result)]


def rows(result: BenchResult) -> list[list[tuple[str, bool]]]:
    """Accuracies as (text, bold) by method and shown condition."""
    return [
        [(m.method, False), *((value(m.scores[c]), m.scores[c].best) for c in shown(result))] for m in result.methods
    ]


def markdown(result: BenchResult) -> str:
    """The table a README takes."""

    def escaped(text: str) -> str:
        return re.sub(r"([|\\*_`<])", r"\\\1", " ".join(text.split()))

    lines = [header(result), ["---", *("--:" for _ in shown(result))]]
    lines = [[escaped(text) if row else text for text in line] for row, line in zip((1, 0), lines, strict=True)]
    lines += [[f"**{escaped(t)}**" if bold else escaped(t) for t, bold in row] for row in rows(result)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def latex(result: BenchResult) -> str:
    """A booktabs table."""

    def escaped(text: str) -> str:
        named = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
        return "".join(named.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in " ".join(text.split()))

    lines = [r"\begin{tabular}{l" + "r" * len(shown(result)) + "}", r"\toprule"]
    lines += [" & ".join(map(escaped, header(result))) + r" \\", r"\midrule"]
    for row in rows(result):
        lines.append(" & ".join(rf"\textbf{{{escaped(t)}}}" if bold else escaped(t) for t, bold in row) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def table_csv(result: BenchResult) -> str:
    """One row per method, seed and condition: what a plot takes."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["method", "seed", "condition", "accuracy", "nll", "macro_f1"])
    for one in result.cells:
        for condition in result.conditions:
            numbers = (scores[condition] for scores in (one.accuracy, one.nll, one.macro_f1))
            writer.writerow([one.method, one.seed, condition, *(f"{x:.6g}" for x in numbers)])
    return out.getvalue()
