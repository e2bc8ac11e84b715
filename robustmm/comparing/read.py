"""A finished audit as it lies on disk: its result, and what every sample was answered under a condition."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from robustmm.auditing.results.condition import ConditionResult
from robustmm.auditing.results.reference import read_audit
from robustmm.auditing.results.schema import AuditResult
from robustmm.auditing.store import RECORDS, RESULTS
from robustmm.errors import DataError, check_regular
from robustmm.metrics.classification import correctness, sample_nll

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """What the samples were answered under one condition, in the order of their ids."""

    ids: list[str]
    labels: list[str]
    answers: NDArray[np.object_]  # (sample,): labels
    right: Array  # (sample,)
    surprise: Array  # (sample,): log-loss in nats
    phi: dict[str, Array]  # Shapley values of accuracy (sample,) by modality
    clusters: list[str]  # empty unless the audit was told a column of them


@dataclass(frozen=True)
class FinishedAudit:
    folder: Path
    result: AuditResult

    def read_answers(self, condition: ConditionResult) -> Answers:
        """Raises DataError for records that are damaged, or do not belong to the result."""
        path, result = self.folder / RECORDS, self.result
        names = [m.name for m in condition.modalities]
        words = ["id", "label", *(["cluster"] if result.clusters else [])]
        columns = [*words, *(f"p.{c}" for c in result.classes), *(f"shapley_accuracy.{m}" for m in names)]
        try:
            table = pyarrow.parquet.read_table(
                os.fspath(path), columns=columns, filters=[("condition", "==", condition.name)], partitioning=None
            ).sort_by("id")
            said = {name: table[name].to_pylist() for name in words}
            p = np.stack([table[f"p.{c}"].to_numpy() for c in result.classes], 1)
            number = {c: k for k, c in enumerate(result.classes)}
            target = np.array([number[label] for label in said["label"]])
            answers = Answers(
                ids=said["id"],
                labels=said["label"],
                answers=np.array(result.classes, object)[p.argmax(1)],
                right=correctness(p, target),
                surprise=sample_nll(p, target),
                phi={m: _read_finite(table[f"shapley_accuracy.{m}"]) for m in names},
                clusters=said.get("cluster", []),
            )
        except (OSError, pyarrow.ArrowException, ValueError, TypeError, KeyError) as error:
            reason = str(error).partition("\n")[0]
            raise DataError(f"{path} cannot be read as the records of an audit: {reason}") from error
        self._check_answers(answers, condition)
        return answers

    def _check_answers(self, found: Answers, condition: ConditionResult) -> None:
        """Records and result were written by one audit: the same samples, and the same accuracy to the last digit."""
        alike = len(set(found.ids)) == len(found.ids) == self.result.samples
        if not alike or not abs(found.right.mean() - condition.accuracy.value) <= 1e-5:  # nor where it is no number
            raise DataError(
                f"{self.folder / RECORDS} does not belong to the {RESULTS} beside it: it says otherwise of "
                f'"{condition.name}"; the same robustmm audit makes both again'
            )


def _read_finite(column: Any) -> Array:
    values = np.asarray(column.to_numpy(), np.float64)
    if not np.isfinite(values).all():
        raise ValueError("expected finite contributions")
    return values


def read_finished(folder: Path) -> FinishedAudit:
    """Raises DataError for what is not the folder of a finished audit of this version."""
    path = folder / RESULTS
    if folder.name == RESULTS and folder.is_file():
        raise DataError(f"{folder} should be the folder of an audit, did you mean {folder.parent}?")
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise DataError(f"{folder} should be the folder of a finished audit or an .onnx file, found {found}")
    if not path.is_file():
        unfinished = (folder / "cells").is_dir()
        raise DataError(
            f"{folder} is an audit that is not finished (no {RESULTS}); the same robustmm audit continues it"
            if unfinished
            else f"{folder} is not the folder of a finished audit: it has no {RESULTS}"
        )
    check_regular(folder / RECORDS)
    if not (folder / RECORDS).is_file():
        raise DataError(f"{folder} has no {RECORDS}, by which samples are compared; the same robustmm audit writes it")
    return FinishedAudit(folder, read_audit(path))
