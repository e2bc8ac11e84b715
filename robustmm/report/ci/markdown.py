"""An audit as GitHub-flavoured Markdown: the summary of a CI job, or a comment on a change.

A stranger's words are text and nothing else: what Markdown or HTML would obey is written as an entity, what a forge
would make a mention of is broken up, and no line begins with them.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import islice

from robustmm.auditing.results.schema import AuditResult
from robustmm.errors import printable
from robustmm.report.formats import interval, percent, points, signed_number
from robustmm.report.summary import findings
from robustmm.report.summary.gates import gate_rows, rank_gates, verdict_line

LONGEST = 60_000
"""Characters of a whole page: a comment on GitHub takes 65,536."""
LONGEST_WORDS, LONGEST_SENTENCE = 200, 1_000
"""Characters of one stranger's text, and of a sentence that quotes some."""
ROWS, OPEN_ROWS = 200, 30
"""Rows of a table at most; of one that is not behind a click."""
MARKS = {"PASS": "✅", "FAIL": "❌", "INCONCLUSIVE": "⚠️"}


def render_markdown(result: AuditResult) -> str:
    """Verdict, gates, thresholds and contributions, and the rest behind a click, as far as a comment holds it."""
    head, *parts = [*_list_parts(result), *_list_details(result)]
    fitting = [head]
    for part in parts:
        if sum(map(len, fitting)) + len(part) <= LONGEST:
            fitting.append(part)
    if len(fitting) <= len(parts):
        fitting.append("What would make this page too long stands in results.json.")
    return "\n\n".join(fitting) + "\n"


def render_partial_markdown(said: str) -> str:
    """An interrupted audit, which has no results."""
    return f"## ⚠️ {escape(said, LONGEST_SENTENCE)}\n"


def _list_parts(result: AuditResult) -> list[str]:
    verdict = result.verdict
    first = f"{MARKS[verdict]} {escape(verdict_line(result.gates))}" if verdict else escape(findings.NO_GATES)
    asked = f"{result.model} ({result.method}), suite {result.suite}, split {result.split}, seed {result.seed}"
    found = [f"## {first}", f"Model {escape(asked)}"]
    found += [f"> Note: {escape(note, LONGEST_SENTENCE)}" for note in result.notes]
    if result.gates:
        rows = [(MARKS[row.verdict], *map(escape, row[1:])) for row in gate_rows(result.gates)]
        found.append(_table(("", "gate", "value", "bound", "decided by"), rows, right=(2, 3)))
    found += [_list_reasons(result)] if result.verdict in ("FAIL", "INCONCLUSIVE") else []
    found.append(
        "\n".join(f"- **{word}**: {escape(said, LONGEST_SENTENCE)}" for word, said in findings.list_facts(result))
    )
    found += _list_thresholds(result) + _list_contributions(result)
    return found


def _list_reasons(result: AuditResult) -> str:
    return "\n".join(
        f"- **{gate.verdict}** {escape(f'{gate.name}: {gate.requirement}; {gate.reason}', LONGEST_SENTENCE)}"
        for gate in islice(rank_gates(result.gates), ROWS)
        if gate.verdict != "PASS"
    )


def _list_thresholds(result: AuditResult) -> list[str]:
    ranked = findings.rank_thresholds(result)
    if not ranked:
        return []
    rows = [map(escape, findings.describe_threshold(b)) for b in ranked[:OPEN_ROWS]]
    kept = f"Holds to: the highest level up to which {percent(result.retention_threshold, 0)} of clean accuracy are "
    kept += "certainly kept. Fails from: the lowest level tried at which certainly less is."
    table = _table(("corruption", "on", "holds to", "fails from", "that is"), rows, right=(2, 3))
    return ["### Failure thresholds", table, *filter(None, [findings.rest_sentence(ranked[OPEN_ROWS:])]), kept]


def _list_contributions(result: AuditResult) -> list[str]:
    rows = [map(escape, share) for share in findings.rank_modalities(result)]
    said = "Alone: accuracy from it only. Share: of the Shapley values of accuracy. Spoils: how often an answer is "
    said += "right without it and wrong with it."
    needed = findings.needed_sentence(result)
    return [
        "### Contributions", _table(("modality", "alone", "share", "spoils"), rows, right=(1, 2, 3)),
        *([f"{escape(needed)}."] if needed else []), said,
    ]  # fmt: skip


def _list_details(result: AuditResult) -> list[str]:
    conditions = [
        (escape(c.name), interval(c.accuracy), points(c.change.value), f"{c.adjusted_p:.3f}", c.effect, c.outcome)
        for c in findings.rank_conditions(result)[:ROWS]
    ]
    groups = sorted(result.clean.groups, key=lambda group: group.accuracy.value)[:ROWS]
    lines = [(escape(g.column), escape(g.value), str(g.samples), interval(g.accuracy)) for g in groups]
    runtime = result.runtime
    facts = {
        "model": result.model_sha256, "description": result.description_sha256, "data": result.data_sha256,
        "suite": result.suite_sha256, "gates": result.gates_sha256,
        "robustmm": runtime.robustmm, "onnxruntime": f"{runtime.onnxruntime}, {runtime.provider}",
        "manifest": result.manifest, "baseline of contributions": result.baseline,
        "noise floor": f"{percent(result.noise_floor.answers_changed)} of answers",
        "negative log-likelihood, clean": signed_number(result.clean.nll.value, 3).lstrip("+"),
        "ECE, clean": f"{result.clean.ece:.3f}",
    }  # fmt: skip
    return [
        *([_fold(f"All {len(result.conditions)} conditions", _table(
            ("condition", "accuracy", "change", "adjusted p", "effect", "outcome"), conditions, right=(1, 2, 3),
        ))] if conditions else []),
        _fold(f"{len(groups)} groups, clean, the worst first", _table(
            ("column", "value", "samples", "accuracy"), lines, right=(2, 3),
        )),
        _fold("Where the numbers come from", _table(
            ("what", "which"), [(what, escape(said)) for what, said in facts.items() if said],
        )),
    ]  # fmt: skip


def _table(names: Sequence[str], rows: Iterable[Iterable[str]], right: Sequence[int] = ()) -> str:
    """A table of cells that are escaped already."""
    rules = ["---:" if k in right else "---" for k in range(len(names))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (names, rules, *rows))


def _fold(title: str, body: str) -> str:
    return f"<details>\n<summary>{title}</summary>\n\n{body}\n\n</details>"


SIGNS = re.compile(r"[`*_~{}\[\]<>&|\\!$^#@]|:(?! )|(?<=[wW])\.")
"""What begins something inside a line of Markdown or HTML, or makes a link or a small picture of words."""


def escape(words: str, longest: int = LONGEST_WORDS) -> str:
    """A stranger's words as text inside of one line."""
    shown = printable(words)
    if len(shown) > longest:
        shown = f"{shown[:longest]}…"
    return SIGNS.sub(_escape_sign, shown)


def _escape_sign(found: re.Match[str]) -> str:
    entity = f"&#{ord(found[0])};"
    return f"{entity}<!-- -->" if found[0] in "@#" else entity  # a name right behind would be a mention all the same
