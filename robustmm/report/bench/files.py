"""A bench as CSV, Markdown and LaTeX."""

import csv
import io
import re

from robustmm.metrics.paired import BenchResult
from robustmm.report.bench.screen import MARKS, format_score, mark_unfitted
from robustmm.report.bench.sentences import footer


def table_rows(result: BenchResult) -> list[list[tuple[str, str, bool]]]:
    """Heading and rows of what is handed on, each cell a text, a mark and whether it is bold."""
    heading = ["method", *result.columns, "seconds an epoch", "peak MB"]
    rows = [[(text, "", False) for text in heading]]
    for m in result.methods:
        scores = [
            (format_score(s), MARKS[s.verdict].strip(), s.is_significant_best)
            for s in (m.scores[c] for c in result.columns)
        ]
        rows.append([(mark_unfitted(m), "", False), *scores, (f"{m.seconds_per_epoch:.2f}", "", False)])
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
    "≈": r"$\approx$",
    "†": r"$\dagger$",
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
