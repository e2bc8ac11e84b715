"""Finished audits written by hand: who answers what, and nothing else."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from audits import estimate, modality, outcome, result, silent
from numpy.typing import ArrayLike, NDArray
from random_records import drawn

from robustmm.auditing.results.records_table import write_table
from robustmm.auditing.results.schema import AuditResult, Clusters
from robustmm.comparing.compare import compare_audits
from robustmm.comparing.read import FinishedAudit
from robustmm.comparing.result import (
    CompareResult,
    ConditionDifference,
    FoundLevels,
    GateDifference,
    LevelDifference,
    NotCompared,
)
from robustmm.evaluation.attack import proportion
from robustmm.evaluation.records import Records

CLASSES = ["ant", "bee"]
NAMES = ["a", "b"]
BEFORE = np.arange(400) % 10 != 0
NAN = float("nan")
HOLDS = FoundLevels(outcome="holds", holding_level=1, breaking_level=NAN, breaking_strength=NAN)
FAILS = FoundLevels(outcome="fails", holding_level=0.2, breaking_level=0.4, breaking_strength=3)


def answers(right: ArrayLike, sure: float = 0.8) -> Records:
    """Records of two classes, right where `right` (sample,) says so, with the probability `sure`; labels alternate."""
    hit = np.asarray(right, bool)
    records = drawn(len(hit), C=2)
    records.ids = [f"s{i}" for i in range(len(hit))]
    records.target = np.arange(len(hit)) % 2
    answer = np.where(hit, records.target, 1 - records.target)
    records.probabilities = np.where(np.eye(2)[answer] == 1, sure, 1 - sure)
    return records


def write_audit(
    folder: Path,
    rights: Mapping[str, ArrayLike],
    *,
    order: Sequence[int] | None = None,
    clusters: Sequence[str] | None = None,
    kinds: Mapping[str, str] | None = None,
    **more: Any,
) -> FinishedAudit:
    """A finished audit in a folder: correctness (sample,) by condition, "clean" first. Rows stand in `order`; `kinds`
    says what conditions do where their names do not; `more` are facts of the result."""
    found, parts = [], []
    for name, right in rights.items():
        records = right if isinstance(right, Records) else answers(right)
        n, hit = len(records), int((records.probabilities.argmax(1) == records.target).sum())
        did = (kinds or {}).get(name, name)
        found.append(outcome(name, n=n, right=hit, accuracy=proportion(hit, n), sha256=did, modalities=parts_of(n)))
        parts.append((name, records.take(np.arange(n) if order is None else np.array(order))))
    drawn_in = clusters if clusters is None or order is None else [clusters[k] for k in order]
    told = Clusters(column="site", number=len(set(clusters)), smallest=1, largest=9) if clusters else None
    facts = {"model": f"{folder.name}.onnx", "model_sha256": folder.name, "samples": n, "clusters": told}
    audited = result(found[0], found[1:], **facts | more)
    folder.mkdir(parents=True)
    write_table(folder / "records.parquet", parts, NAMES, audited.classes, drawn_in)
    write_result(folder, audited)
    return FinishedAudit(folder, audited)


def parts_of(n: int) -> list[Any]:
    return [modality(name) for name in NAMES]


def write_result(folder: Path, audited: AuditResult) -> None:
    (folder / "results.json").write_text(json.dumps(audited.model_dump(mode="json")))


def flipped(right: NDArray[np.bool_], lost: int, gained: int = 0) -> NDArray[np.bool_]:
    """Correctness after so many of the right were lost and so many of the wrong gained, the first ones."""
    after = right.copy()
    after[np.flatnonzero(right)[:lost]] = False
    after[np.flatnonzero(~right)[:gained]] = True
    return after


def after(*changes: int) -> dict[str, ArrayLike]:
    """Clean and conditions n1, n2, ..., with so many answers of BEFORE lost (or gained, below 0)."""
    return {f"n{k}" if k else "clean": flipped(BEFORE, max(0, lost), max(0, -lost)) for k, lost in enumerate(changes)}


def compared(folder: Path, *rights: Mapping[str, ArrayLike], margin: float = 0.02, **more: Any) -> CompareResult:
    """Audits of these, against the first, named m0.onnx, m1.onnx, ..."""
    audits = [write_audit(folder / f"m{k}", right, **more) for k, right in enumerate(rights)]
    return compare_audits(audits, margin, silent)


def dress(found: CompareResult, word: str = "") -> CompareResult:
    """The comparison with levels and gates that differ and that do not, a note, a condition that is not compared and
    contributions of 50 and 25 points; with a `word` in all of their names."""
    levels = [
        LevelDifference(noise=noise + word, modalities=["a" + word], unit="px", reference=HOLDS, found=other)
        for noise, other in (("blank", HOLDS), ("blur", FAILS))
    ]
    gates = [
        GateDifference(name=name + word, requirement=asked + word, reference=before, verdict=now)
        for name, asked, before, now in (
            ("same", "at least 70 %", "PASS", "PASS"), ("first", "at least 80 %", "PASS", "FAIL"),
            ("new", "at least 60 %", None, "PASS"),
        )
    ]  # fmt: skip
    left = [NotCompared(condition="alone" + word, reason="in the reference only")]
    more = {"breaking_levels": levels, "gates": gates, "not_compared": left, "notes": [f"a note{word}"]}

    def contribute(c: ConditionDifference) -> ConditionDifference:
        values = {"reference": estimate(0.5), "value": estimate(0.25), "difference": estimate(-0.25)}
        shares = [m.model_copy(update=values | {"modality": m.modality + word}) for m in c.contributions]
        return c.model_copy(update={"contributions": shares})

    dressed = [
        c.model_copy(update=more | {"conditions": [contribute(each) for each in c.conditions]})
        for c in found.candidates
    ]
    return found.model_copy(update={"candidates": dressed})
