"""A Hugging Face model card (https://huggingface.co/docs/hub/model-cards): a model-index, and Markdown."""

import html
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Any

from robustmm.auditing.results.schema import AuditResult
from robustmm.errors import printable
from robustmm.evaluation.attack_result import Estimate
from robustmm.evidence.documents.metrics import list_metrics
from robustmm.evidence.documents.yaml import to_yaml

VERDICTS = {
    "PASS": "PASS: all gates hold.", "FAIL": "FAIL: a gate does not hold.",
    "INCONCLUSIVE": "INCONCLUSIVE: no gate fails, and the samples are too few to decide all.",
    None: "No gates were declared: nothing was required of these numbers.",
}  # fmt: skip


def write_card(result: AuditResult) -> str:
    """The card as README.md holds it: the same for the same result."""
    return f"---\n{to_yaml(describe_index(result))}---\n\n" + "\n\n".join(filter(None, write_sections(result))) + "\n"


def describe_index(result: AuditResult) -> dict[str, Any]:
    """The metadata: every score is a metric whose name says the condition and the group."""
    metrics = [
        {"type": m.kind, "value": float(f"{m.value:.6g}"), "name": f"{m.kind} ({m.slice})"}
        for m in list_metrics(result)
    ]
    data = {"type": "audited", "name": result.manifest, "split": result.split, "revision": result.data_sha256}
    task = {"type": "multimodal-classification", "name": "classification"}
    return {
        "library_name": "onnx",
        "tags": ["multimodal", "robustness", "robustmm"],
        "model-index": [
            {
                "name": PurePath(result.model).name,
                "results": [{"task": task, "dataset": data, "metrics": metrics}],
            }
        ],
    }


def write_sections(result: AuditResult) -> list[str]:
    name, r = escape_markdown(PurePath(result.model).name), result.runtime
    intro = (
        f"Audited by robustmm {escape_markdown(r.robustmm)} with suite {escape_markdown(result.suite)} on "
        f"{result.samples} samples of split {escape_markdown(result.split)} of {escape_markdown(result.manifest)}."
    )
    gates = [[gate.verdict, gate.name, gate.requirement, gate.reason] for gate in result.gates]
    conditions = [
        [c.name, show_estimate(c.accuracy), show_estimate(c.retention), c.outcome]
        for c in (result.clean, *result.conditions)
    ]
    broken = [
        [b.noise, ", ".join(b.modalities), b.outcome, show_number(b.holding_level), show_number(b.breaking_level),
         f"{show_number(b.breaking_strength)} {b.unit}".strip() if b.breaking_level == b.breaking_level else ""]
        for b in result.breaking_levels
    ]  # fmt: skip
    modalities = result.clean.modalities
    shares = [[m.name, show_estimate(m.unimodal_accuracy), show_estimate(m.shapley_accuracy)] for m in modalities]
    groups = [[f"{g.column}={g.value}", str(g.samples), show_estimate(g.accuracy)] for g in result.clean.groups]
    provenance = [
        ["model", result.model_sha256], ["description", result.description_sha256], ["rows", result.data_sha256],
        ["suite", result.suite_sha256], ["gates", result.gates_sha256],
    ]  # fmt: skip
    return [
        f"# {name}", f"**{VERDICTS[result.verdict]}**", intro,
        *(f"- {escape_markdown(note)}" for note in result.notes),
        section("Gates", ("verdict", "gate", "requirement", "why"), gates),
        section("Conditions", ("condition", "accuracy", "share of clean kept", "outcome"), conditions),
        section("Breaking levels", ("corruption", "on", "outcome", "holds to", "breaks at", "strength"), broken),
        section("Contributions, clean", ("modality", "unimodal accuracy", "Shapley value of accuracy"), shares),
        section("Groups, clean", ("group", "samples", "accuracy"), groups),
        section("Provenance", ("what", "SHA-256"), [row for row in provenance if row[1]]),
    ]  # fmt: skip


def section(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A heading and a table; nothing where there are no rows."""
    lines = [f"| {' | '.join(map(escape_markdown, row))} |" for row in rows]
    if not lines:
        return ""
    return "\n".join([f"## {title}\n", f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}", *lines])


def escape_markdown(text: str) -> str:
    """A stranger's text as text: no markup, link, tag or end of a cell is made of it."""
    plain = html.escape(printable(" ".join(text.split())), quote=False)
    return re.sub(r"([\\`*_{}\[\]()#+!|~$:@-])", r"\\\1", plain)


def show_estimate(e: Estimate) -> str:
    return "–" if e.value != e.value else f"{e.value:.3f} [{show_number(e.low)}, {show_number(e.high)}]"


def show_number(value: float) -> str:
    return "–" if value != value else f"{value:.3g}"
