"""Samples that fail first, drawn: what an audit keeps of its data for its page."""

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import pyarrow.parquet

from robustmm.auditing.plan import AuditPlan
from robustmm.auditing.results.schema import AuditResult
from robustmm.auditing.spec import OpenedSpec
from robustmm.conditions.condition import Condition
from robustmm.conditions.plan import Plan
from robustmm.data.loading import read_samples
from robustmm.data.sample import hash_order
from robustmm.modalities import Modality
from robustmm.modalities import Signal as Input
from robustmm.report.page.examples import MOST, TEXT, Example, Examples, Signal
from robustmm.report.sheets.draw import render_panel
from robustmm.report.summary.findings import rank_thresholds

Answers = list[dict[str, str]]
"""id, label and answer of every sample, in the manifest's order."""


def collect_examples(
    result: AuditResult, opened: OpenedSpec, plan: AuditPlan, records: Path, command: Sequence[str]
) -> Examples:
    """For each corruption, the first to fail first, one sample that was right when clean, at the lowest level of the
    suite at which one is wrong. The signals are those of the audit: same plan, same seed."""
    numbers = {c.name: k for k, c in enumerate(plan.conditions, start=1)}  # 0 is clean
    clean, used = read_answers(records, 0), set[int]()
    order = hash_order(opened.rows.ids)
    found: list[Example] = []
    for names in failing_sweeps(result):
        for name in names:
            attacked = read_answers(records, numbers[name])
            fallen = [r for r in order if clean[r]["answer"] == clean[r]["label"] != attacked[r]["answer"]]
            if fallen:
                row = next((r for r in fallen if r not in used), fallen[0])
                used.add(row)
                condition = plan.conditions[numbers[name] - 1]
                found.append(draw_example(opened, condition, row, clean[row]["label"], attacked[row]["answer"]))
                break
        if len(found) == MOST:
            break
    kinds = {m.name: m.kind for m in opened.session.modalities}
    return Examples(kinds=kinds, command=list(command), examples=found)


def failing_sweeps(result: AuditResult) -> Iterator[list[str]]:
    """The conditions of each corruption by rising level; of a suite without levels, those that corrupt."""
    for b in rank_thresholds(result):
        yield [p.condition for p in sorted(b.points, key=lambda p: p.level) if p.condition]
    if not result.breaking_levels:
        for c in sorted(result.conditions, key=lambda c: (c.retention.value, c.name)):
            if any(m.noises for m in c.modalities):
                yield [c.name]


def read_answers(records: Path, number: int) -> Answers:
    """The answers under a condition, which is a row group of its own."""
    with pyarrow.parquet.ParquetFile(records) as file:
        found: Answers = file.read_row_group(number, columns=["id", "label", "answer"]).to_pylist()
    return found


def draw_example(opened: OpenedSpec, condition: Condition, row: int, label: str, answer: str) -> Example:
    spec, modalities = opened.spec, opened.session.modalities
    plan = Plan(condition, modalities, opened.rows, spec.seed, spec.on_bad)
    touched = [m for m in modalities if plan.key(m.name) and plan.cells[m.name][row]]
    samples = read_samples(opened.rows.take([row]), modalities, spec.on_bad)
    signals = []
    for m in touched:
        clean = samples.signals[m.name][0]
        signals.append(draw_signal(m, clean, plan.build_corrupter(m)(row, opened.rows.ids[row], clean)))
    strengths = [step.strength(m.name) for m in touched for step in plan.noises(m.name)]
    told = dict.fromkeys(f"{unit}: {value:.3g}" for value, unit in strengths)
    return Example(
        id=opened.rows.ids[row], condition=condition.name, strengths="; ".join(told), label=label, answer=answer,
        signals=signals[:16],
    )  # fmt: skip


def draw_signal(modality: Modality, clean: Input | None, corrupted: Input | None) -> Signal:
    """Texts as they are, all else as pictures with the axes of the clean one."""
    if isinstance(clean, str):
        after = corrupted if isinstance(corrupted, str) else ""
        return Signal(modality=modality.name, kind=modality.kind, clean_text=clean[:TEXT], corrupted_text=after[:TEXT])
    pictures = [encode_small(render_panel(s, modality.kind, clean)) for s in (clean, corrupted)]
    return Signal(modality=modality.name, kind=modality.kind, clean=pictures[0], corrupted=pictures[1])


def encode_small(picture: object) -> str:
    """A panel as a data URI of a few kilobytes, whatever noise it shows."""
    encoded = cv2.imencode(".webp", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, 85])[1]  # type: ignore[call-overload]
    return f"data:image/webp;base64,{base64.b64encode(bytes(encoded)).decode()}"
