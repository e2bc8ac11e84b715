"""A first draft of gates, from what an audit measured: a person has to set the bounds that the use of the model asks
for, and learns from the draft which numbers there are."""

import math
from collections.abc import Iterator
from typing import Any

from robustmm.auditing.gates.judge import judge_gate
from robustmm.auditing.gates.wording import format_amount
from robustmm.auditing.results.schema import AuditResult
from robustmm.auditing.results.verdict import GateResult
from robustmm.conditions.gate import GateTable
from robustmm.config.toml import format_value, to_toml
from robustmm.errors import printable

HEADER = """\
# Gates, as `robustmm gates` drafts them from an audit of
# {model} on {samples} samples of split {split}, suite {suite}.
# Bounds are what was measured, less {margin:g}: the model passes them today,
# whether it is good enough or not. Set those that its use asks for, then:
# {command}
"""


def draft_gates(result: AuditResult, margin: float, command: str) -> str:
    """The TOML of gates that the audit passes: each bound is the unfavourable end of what was measured, less a
    margin. `command` audits with them."""
    facts = {key: printable(str(getattr(result, key))) for key in ("model", "samples", "split", "suite")}
    drafted = [_draft_gate(asked, result, margin) for asked in list_questions(result)]
    header = HEADER.format(**facts, margin=margin, command=printable(command))
    return "\n".join([header, *filter(None, drafted)])


def list_questions(result: AuditResult) -> Iterator[dict[str, Any]]:
    """The gates that any audit may answer, without their bounds: clean accuracy and calibration, the worst group, the
    retention under each modality's corruptions, each modality missing."""
    yield {"name": "clean accuracy", "metric": "accuracy", "condition": "clean"}
    yield {"name": "clean calibration", "metric": "ece", "condition": "clean"}
    for column in dict.fromkeys(group.column for group in result.clean.groups):
        group = {column: "*"}
        yield {"name": f"each {column}", "metric": "accuracy", "condition": "clean", "group": group}
    for m in result.clean.modalities:
        yield {"name": f"noise on {m.name}", "metric": "retention", "modality": m.name}
    for m in result.clean.modalities:
        yield {"name": f"{m.name} missing", "metric": "accuracy", "missing": m.name}


def _draft_gate(asked: dict[str, Any], result: AuditResult, margin: float) -> str:
    """The table of a gate; a remark where no bound above 0 is met today, and nothing where nothing was measured."""
    key, loosest = ("max", 1.0) if asked["metric"] == "ece" else ("min", 0.0)
    found = judge_gate(
        GateTable.model_validate({**asked, key: loosest}), result
    )  # of which the worst of all parts decides
    if not found.samples:
        return ""
    end = found.value.value if found.judged_on == "point" else found.value.low
    if key == "max":
        bound = math.ceil(1000 * (end + margin)) / 1000 if end == end else math.nan
    else:
        bound = math.floor(1000 * (end - margin)) / 1000 if end == end else math.nan
    remark = f"# measured: {_describe_found(found)}"
    if found.verdict != "PASS" or not 0 < bound <= 1:
        why = f" ({found.reason})" if found.verdict == "INCONCLUSIVE" else ""
        return f"# No gate on {printable(asked['name'])}: no bound passes today{why}.\n{remark}\n"
    lines = to_toml({name: value for name, value in asked.items() if name != "group"}).rstrip()
    if group := asked.get("group"):
        lines += f"\ngroup = {format_value(group)}"
    return f"[[gate]]\n{lines}\n{remark}\n{key} = {bound:g}\n"


def _describe_found(found: GateResult) -> str:
    value, low, high = (format_amount(found.metric, found.required, x, 1) for x in dict(found.value).values())
    interval = "" if found.judged_on == "point" else f" [{low.partition(' ')[0]}, {high.partition(' ')[0]}]"
    where = f"{found.condition} ({found.part})" if found.part else found.condition
    return printable(f"{value}{interval} under {where}, {found.samples} samples")
