"""Finished audits written by hand: who answers what, and nothing else."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from audits import modality, outcome, result
from numpy.typing import ArrayLike, NDArray
from random_records import drawn

from robustmm.auditing.results.records_table import write_table
from robustmm.auditing.results.schema import AuditResult, Clusters
from robustmm.comparing.read import FinishedAudit
from robustmm.evaluation.attack import proportion
from robustmm.evaluation.records import Records

CLASSES = ["ant", "bee"]
NAMES = ["a", "b"]


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
    write_table(folder / "records.parquet", parts, NAMES, audited.classes, "k", drawn_in)
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
