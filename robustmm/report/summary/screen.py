"""The summary of an audit on a terminal: one screen, whatever the number of conditions, and no line too long."""

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from robustmm.auditing.results.schema import AuditResult
from robustmm.errors import printable
from robustmm.report.formats import interval, percent, points
from robustmm.report.summary import findings
from robustmm.report.summary.gates import SHORT, STYLES, gate_rows, verdict_line

LINES = 40
"""Lines that a summary takes at most."""
ROWS = 12
"""Rows of thresholds that are shown at most, if there is room."""
GATES, MODALITIES, NOTE_LINES = 5, 5, 4
OUTCOMES = {"fails": "red", "undecided": "yellow", "holds": "green"}


class Summary:
    """An audit as one screen. What is left out is said, with its number."""

    def __init__(self, result: AuditResult) -> None:
        self.result = result

    def __rich_console__(self, console: "Console", options: ConsoleOptions) -> RenderResult:
        result = self.result
        above: list[RenderableType] = [
            head(result), *notes(result.notes, console, options.max_width), *gates(result), facts(result)
        ]  # fmt: skip
        below: list[RenderableType] = [contributions(result), footer(result)]
        taken = sum(len(console.render_lines(part, options)) for part in (*above, *below))
        yield from above
        yield thresholds(result, max(1, min(ROWS, LINES - taken - 3)))  # a blank line, the header and the rest
        yield from below


def head(result: AuditResult) -> Group:
    verdict = result.verdict
    first = one_line(verdict_line(result.gates), STYLES[verdict]) if verdict else one_line(findings.NO_GATES)
    asked = f"{result.model} ({result.method}), suite {result.suite}, split {result.split}, seed {result.seed}"
    return Group(first, one_line(asked, "dim"))


def notes(said: Sequence[str], console: "Console", width: int) -> list[Text]:
    """What a reader should know before the numbers, as far as a few lines hold it."""
    lines = [line for sentence in said for line in Text(printable(sentence)).wrap(console, width)]
    if len(lines) > NOTE_LINES:
        lines = [*lines[: NOTE_LINES - 1], Text("… more notes: --full")]
    for line in lines:
        line.stylize("yellow")
    return lines


def gates(result: AuditResult) -> list[RenderableType]:
    """The gates that do not pass, then those that do, as far as there is room; the rest are counted."""
    if not result.gates:
        return []
    rows = gate_rows(result.gates)
    table = columns("", "gate", "value", "bound", "decided by", right=(2, 3), flexible=(1, 4))
    for row in rows[:GATES]:
        table.add_row(Text(SHORT[row.verdict], style=STYLES[row.verdict]), *map(one_line, row[1:]))
    rest = [row.verdict for row in rows[GATES:]]
    counted = ", ".join(
        f"{rest.count(verdict)} {word}"
        for verdict, word in (("FAIL", "fail"), ("INCONCLUSIVE", "inconclusive"), ("PASS", "pass"))
        if verdict in rest
    )
    return [table, *([Text(f"and {len(rest)} more: {counted}", style="dim")] if rest else [])]


def facts(result: AuditResult) -> Group:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    for word, said in findings.list_facts(result):
        table.add_row(Text(word, style="bold"), one_line(said))
    return Group(Text(), table)


def thresholds(result: AuditResult, rows: int) -> Group:
    """Where corruptions hold and fail; of a suite without levels, its worst conditions."""
    ranked = findings.rank_thresholds(result)
    if not ranked:
        return conditions(result, rows)
    table = columns("corruption", "on", "holds to", "fails from", "that is", right=(2, 3), flexible=(0, 1, 4))
    for b in ranked[:rows]:
        table.add_row(*(one_line(word, OUTCOMES[b.outcome] if k == 3 else "") for k, word in
                        enumerate(findings.describe_threshold(b))))  # fmt: skip
    return Group(Text(), table, *rest(findings.rest_sentence(ranked[rows:])))


def conditions(result: AuditResult, rows: int) -> Group:
    ranked = findings.rank_conditions(result)
    if not ranked:
        return Group()
    table = columns("condition", "accuracy", "change", f"keeps {percent(result.retention_threshold, 0)}", right=(1, 2))
    for c in ranked[:rows]:
        table.add_row(
            one_line(c.name), interval(c.accuracy), points(c.change.value), Text(c.outcome, OUTCOMES[c.outcome])
        )
    return Group(Text(), table, *rest(findings.rest_sentence(ranked[rows:])))


def contributions(result: AuditResult) -> Group:
    table = columns("modality", "alone", "share", "spoils", right=(1, 2, 3))
    ranked = findings.rank_modalities(result)
    for share in ranked[:MODALITIES]:
        table.add_row(*map(one_line, share))
    left = len(ranked) - MODALITIES
    parts: list[RenderableType] = [Text(), table, *rest(f"and {left} more" if left > 0 else "")]
    needed = findings.needed_sentence(result)
    return Group(*parts, *([one_line(needed)] if needed else []))


def footer(result: AuditResult) -> Text:
    kept = percent(result.retention_threshold, 0)
    return Text(
        f"Holds: keeps {kept} of clean accuracy. Alone: accuracy from it only. Spoils: right without it, wrong with "
        "it. All conditions and groups: --full, or results.json.",
        style="dim",
    )


def columns(*names: str, right: Sequence[int] = (), flexible: Sequence[int] = (0,)) -> Table:
    """A table without lines. The flexible columns give way where the screen is narrow."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for k, name in enumerate(names):
        table.add_column(one_line(name), justify="right" if k in right else "left", no_wrap=k not in flexible)
    return table


def rest(said: str) -> list[Text]:
    return [Text(said, style="dim")] if said else []


def one_line(words: str, style: str = "") -> Text:
    """A stranger's words, cut off where the line ends."""
    return Text(printable(words), style=style, no_wrap=True, overflow="ellipsis")
