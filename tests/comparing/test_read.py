"""Finished audits as they lie on disk, whole and damaged."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from compared import answers, write_audit, write_result

from robustmm.comparing.read import FinishedAudit, read_finished
from robustmm.errors import DataError

BEFORE = np.arange(50) % 5 != 0


@pytest.fixture
def audit(tmp_path: Path) -> FinishedAudit:
    return write_audit(tmp_path / "a=1", {"clean": BEFORE, "é [/red]": ~BEFORE})


def test_what_every_sample_was_answered(audit: FinishedAudit) -> None:
    records = answers(BEFORE)
    found = read_finished(audit.folder).read_answers(audit.result.clean)
    order = sorted(range(50), key=lambda k: records.ids[k])
    assert found.ids == sorted(records.ids)
    assert found.right.tolist() == [float(BEFORE[k]) for k in order]
    assert found.labels == [["ant", "bee"][records.target[k]] for k in order]
    assert found.phi["b"].tolist() == [records.phi_accuracy[k, 1] for k in order]
    assert found.clusters == []
    other = read_finished(audit.folder).read_answers(audit.result.conditions[0])
    assert other.right.tolist() == [1 - x for x in found.right]


def test_a_table_without_row_groups_is_the_same(audit: FinishedAudit) -> None:
    """As another program writes it again: one group, the rows of all conditions in any order."""
    before = audit.read_answers(audit.result.conditions[0])
    path = audit.folder / "records.parquet"
    table = pyarrow.parquet.read_table(os.fspath(path), partitioning=None)
    pyarrow.parquet.write_table(table.take(np.random.default_rng(0).permutation(len(table))), path)
    after = audit.read_answers(audit.result.conditions[0])
    assert after.ids == before.ids
    assert after.right.tolist() == before.right.tolist()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda f: shutil.rmtree(f), "should be the folder of a finished audit or an .onnx file, found nothing"),
        (lambda f: (f / "results.json").unlink(), "is not the folder of a finished audit: it has no results.json"),
        (lambda f: ((f / "results.json").unlink(), (f / "cells").mkdir()), "the same robustmm audit continues it"),
        (lambda f: (f / "records.parquet").unlink(), "has no records.parquet, by which samples are compared"),
        (lambda f: (f / "results.json").write_text("{"), "of an audit, and cannot be read so"),
        (lambda f: (f / "results.json").write_bytes(b"\xff\xfe{"), "of an audit, and cannot be read so"),
        (lambda f: (f / "results.json").write_text("[" * 99_999), "of an audit, and cannot be read so"),
        (lambda f: (f / "results.json").write_text("[1]"), "results.json has no format, expected 4"),
        (lambda f: (f / "results.json").write_text('{"format": 3}'), "has format 3, expected 4: audit the model again"),
        (lambda f: (f / "results.json").write_text('{"format": 4}'), "is not as an audit writes it: verdict: Field"),
    ],
)  # fmt: skip
def test_what_is_no_finished_audit(audit: FinishedAudit, spoil: Callable[[Path], Any], sentence: str) -> None:
    spoil(audit.folder)
    with pytest.raises(DataError, match=re.escape(sentence)) as caught:
        read_finished(audit.folder)
    assert "\n" not in str(caught.value)


def test_a_file_of_the_folder_is_told_its_folder(audit: FinishedAudit) -> None:
    with pytest.raises(DataError, match=re.escape(f"did you mean {audit.folder}?")):
        read_finished(audit.folder / "results.json")
    with pytest.raises(DataError, match=r"or an \.onnx file, found a file"):
        read_finished(audit.folder / "records.parquet")


def test_a_pipe_is_no_result(audit: FinishedAudit) -> None:
    (audit.folder / "records.parquet").unlink()
    os.mkfifo(audit.folder / "records.parquet")
    with pytest.raises(DataError, match="should be a file, found a pipe"):
        read_finished(audit.folder)


def damage(path: Path, change: Callable[[pyarrow.Table], pyarrow.Table]) -> None:
    pyarrow.parquet.write_table(change(pyarrow.parquet.read_table(os.fspath(path), partitioning=None)), path)


def replaced(name: str, value: Callable[[list[Any]], list[Any]]) -> Callable[[pyarrow.Table], pyarrow.Table]:
    def change(table: pyarrow.Table) -> pyarrow.Table:
        at = table.column_names.index(name)
        return table.set_column(at, name, pyarrow.array(value(table[name].to_pylist())))

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.drop_columns(["p.bee"]),
        lambda t: t.drop_columns(["shapley_accuracy.b"]),
        lambda t: t.drop_columns(["condition"]),
        lambda t: t.slice(50),  # no clean
        lambda t: t.slice(1),  # one sample of it is not there
        lambda t: pyarrow.concat_tables([t.slice(0, 49), t.slice(0, 1), t.slice(50)]),  # one is there twice
        lambda t: t.slice(0, 0),
        replaced("p.ant", lambda x: [2.0] * len(x)),
        replaced("p.ant", lambda x: [float("nan")] * len(x)),
        replaced("p.ant", lambda x: ["much"] * len(x)),
        replaced("p.ant", lambda x: [None] * len(x)),
        replaced("shapley_accuracy.a", lambda x: [float("inf")] * len(x)),
        replaced("label", lambda x: ["wasp"] * len(x)),
        replaced("label", lambda x: [None] * len(x)),
        replaced("label", lambda x: x[1:] + x[:1]),  # another accuracy than results.json has
        replaced("id", lambda x: [None] * len(x)),
        replaced("id", lambda x: [[1]] * len(x)),
        replaced("condition", lambda x: [1] * len(x)),
    ],
)
def test_damaged_records_are_a_sentence(audit: FinishedAudit, change: Callable[[pyarrow.Table], pyarrow.Table]) -> None:
    damage(audit.folder / "records.parquet", change)
    with pytest.raises(
        DataError, match=r"records\.parquet (cannot be read as the records|does not belong to)"
    ) as caught:
        audit.read_answers(audit.result.clean)
    assert "\n" not in str(caught.value)


def test_every_cut_of_the_file_is_a_sentence(audit: FinishedAudit) -> None:
    path = audit.folder / "records.parquet"
    whole = path.read_bytes()
    for size in (0, 1, 7, len(whole) // 3, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match="cannot be read as the records of an audit"):
            audit.read_answers(audit.result.clean)


def test_records_of_another_audit_do_not_belong_to_the_result(audit: FinishedAudit, tmp_path: Path) -> None:
    other = write_audit(tmp_path / "b", {"clean": ~BEFORE, "é [/red]": BEFORE})
    shutil.copy(other.folder / "records.parquet", audit.folder)
    with pytest.raises(DataError, match=r"does not belong to the results\.json beside it"):
        audit.read_answers(audit.result.clean)


def test_a_result_without_an_accuracy_belongs_to_nothing(audit: FinishedAudit) -> None:
    accuracy = audit.result.clean.accuracy.model_copy(update={"value": float("nan")})
    with pytest.raises(DataError, match="does not belong"):
        audit.read_answers(audit.result.clean.model_copy(update={"accuracy": accuracy}))


def test_clusters_that_are_told_and_not_recorded(audit: FinishedAudit, tmp_path: Path) -> None:
    told = write_audit(tmp_path / "c", {"clean": BEFORE}, clusters=[f"s{k % 9}" for k in range(50)])
    assert sorted(set(told.read_answers(told.result.clean).clusters)) == [f"s{k}" for k in range(9)]
    write_result(audit.folder, audit.result.model_copy(update={"clusters": told.result.clusters}))
    found = read_finished(audit.folder)
    with pytest.raises(DataError, match="cannot be read as the records of an audit"):
        found.read_answers(found.result.clean)
    assert json.loads((audit.folder / "results.json").read_text())["clusters"]["column"] == "site"
