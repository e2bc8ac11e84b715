"""A sample of an audit's cells, run again on the model and held against what the folder has."""

from io import BytesIO
from pathlib import Path

import numpy as np

from robustmm.auditing.cells import EvaluationPass
from robustmm.auditing.run import Audit
from robustmm.auditing.store import DAMAGE_ERRORS, read_sealed
from robustmm.evaluation.records import ARRAYS, Records, load_records

ROUNDING = 1e-4
"""Largest difference of a probability that another processor's or onnxruntime's order of sums is taken to make."""
LOOSE = 1e-2
"""The same for all that is computed of probabilities; logarithms of small ones move most."""


def draw_cells(here: EvaluationPass, number: int, seed: int) -> list[tuple[int, int]]:
    """Some (condition, chunk), each once, the same for the same seed."""
    every = [(k, chunk) for k, keys in enumerate(here.keys) for chunk in range(len(keys))]
    chosen = np.random.default_rng(seed).permutation(len(every))[:number]
    return sorted(every[i] for i in chosen)


def run_again(here: EvaluationPass, number: int, chunk: int) -> Records:
    """The records of one cell, as an audit makes them."""
    rows = here.work.chunks[chunk]
    samples = here.evaluation.read(rows)
    return next(here.evaluation.records(rows, samples, [number], here.work.measures_emap(chunk)))[1]


def compare_cell(path: Path, again: Records, floor: float) -> tuple[float, str]:
    """The largest difference of a probability, and what is wrong in a sentence, empty where nothing is. `floor` is the
    audit's own noise floor."""
    content = read_sealed(path)
    if content is None:
        return float("nan"), "is not there, or not as it was written"
    written = BytesIO()
    again.write(written)
    if written.getvalue() == content:
        return 0.0, ""
    try:
        kept = load_records(BytesIO(content))
    except DAMAGE_ERRORS:
        return float("nan"), "holds no records"
    if kept.ids != again.ids or not np.array_equal(kept.target, again.target):
        return float("nan"), "holds other samples"
    if any(getattr(kept, name).shape != getattr(again, name).shape for name in ARRAYS):
        return float("nan"), "holds arrays of other shapes"
    difference = float(np.max(np.abs(kept.probabilities - again.probabilities), initial=0.0))
    if not difference <= max(floor, ROUNDING):
        return difference, f"holds a probability that differs by {difference:.1e} from what the model answers now"
    for name in ARRAYS:
        one, other = (getattr(records, name).astype(np.float64) for records in (kept, again))
        if not np.allclose(one, other, rtol=LOOSE, atol=LOOSE, equal_nan=True):
            return difference, f'holds another "{name}" than the model gives now'
    return difference, ""


def list_reruns(audit: Audit, here: EvaluationPass, chosen: list[tuple[int, int]]) -> list[str]:
    """How chosen cells are told: the condition, and the cell's file."""
    names = ["clean", *(c.name for c in audit.plan.conditions)]
    return [f"{names[k]}: {here.keys[k][chunk]}.cell" for k, chunk in chosen]
