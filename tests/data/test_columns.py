"""Features from several columns of a manifest, and from lists of numbers in a cell."""

from pathlib import Path

import numpy as np
import pytest

from robustmm.config.recipe import build_recipe
from robustmm.data.check import check_manifest
from robustmm.data.draft import guess_modalities
from robustmm.data.loading import read_samples
from robustmm.data.manifest import Manifest, read_manifest
from robustmm.errors import DataError, UsageError
from robustmm.modalities import Features
from robustmm.modalities.features import is_number

VITALS = Features(name="vitals", column=("age", "bp", "hr"), length=3)
ROWS = ["a,train,x,63,120,72", "b,train,y,5e1,-1.5,+80", "c,test,x,,,", "d,test,y,70,,81"]


def table(folder: Path, rows: list[str] = ROWS) -> Manifest:
    (folder / "manifest.csv").write_text("\n".join(["id,split,label,age,bp,hr", *rows]) + "\n")
    return read_manifest(folder)


def test_the_numbers_of_a_row_are_one_vector_in_the_order_of_the_columns(tmp_path: Path) -> None:
    rows = table(tmp_path, ROWS[:3])
    first, second, missing = read_samples(rows, [VITALS]).signals["vitals"]
    assert np.array_equal(first, np.array([63, 120, 72], np.float32))
    assert first.dtype == np.float32
    assert np.array_equal(second, np.array([50, -1.5, 80], np.float32))
    assert missing is None, "all columns empty is a missing modality"
    turned = Features(name="v", column=("hr", "age"), length=2)
    assert np.array_equal(read_samples(rows, [turned]).signals["v"][0], np.array([72, 63], np.float32))
    assert rows.cells(VITALS) == ["63,120,72", "5e1,-1.5,+80", ""]


def test_a_row_with_some_numbers_is_refused_or_missing_and_never_filled(tmp_path: Path) -> None:
    rows = table(tmp_path)
    with pytest.raises(
        DataError, match=r'line 5 \(id \'d\', age, bp, hr\): column "bp" is empty while others of its row'
    ):
        read_samples(rows, [VITALS])
    found = read_samples(rows, [VITALS], "missing")
    assert found.signals["vitals"][3] is None
    assert len(found.bad) == 1
    facts = check_manifest(rows, [VITALS])
    (fault,) = [one for one in facts.findings if one.kind == "unreadable"]
    assert [row.id for row in fault.rows] == ["d"]
    assert facts.metadata == []


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ('"63,5",120,72', "should be 3 numbers (age, bp, hr), with decimal points"),
        (
            "63,high,72",
            "column \"bp\" holds 'high', which is no number; empty all of age, bp, hr where they are missing",
        ),
        ("63,nan,72", "column \"bp\" holds 'nan', which is no number"),
        ("1_000,120,72", "column \"age\" holds '1_000', which is no number"),
        ("63,inf,72", "column \"bp\" holds 'inf'"),
        ("٣,120,72", "column \"age\" holds '٣'"),
    ],
)
def test_what_is_no_number_is_told_with_its_column(tmp_path: Path, cells: str, sentence: str) -> None:
    with pytest.raises(DataError) as error:
        read_samples(table(tmp_path, [f"a,train,x,{cells}"]), [VITALS])
    assert sentence in str(error.value)


@pytest.mark.parametrize("cell", ["63,120,72", "63, 120.0, 7.2e1", " +63 ,120,72"])
def test_a_cell_may_hold_the_numbers_as_predict_is_given_them(tmp_path: Path, cell: str) -> None:
    for modality in (VITALS, Features(name="vitals", length=3)):
        assert np.array_equal(modality.read(cell, tmp_path), np.array([63, 120, 72], np.float32))
        assert modality.size_of(cell, tmp_path) == "3"
    with pytest.raises(DataError, match=r"'63,120' should be 3 numbers \(age, bp, hr\)"):
        VITALS.read("63,120", tmp_path)
    with pytest.raises(DataError, match="should be 3 numbers"):
        Features(name="v", length=3).read("63", tmp_path)


def test_columns_of_numbers_with_some_faults_are_read_and_the_faults_named(tmp_path: Path) -> None:
    rows = table(tmp_path, [f"s{i},train,x,{i},{'nan' if i == 3 else i},{i}" for i in range(9)])
    (vitals,) = guess_modalities(rows, ["vitals=age,bp,hr"])
    assert vitals == VITALS
    facts = check_manifest(rows, [vitals])
    found = {one.kind: [row.id for row in one.rows] for one in facts.findings}
    assert found["unreadable"] == found["cell-is-nothing"] == ["s3"]
    assert facts.unusable() == 1


def test_arrays_are_read_as_before(tmp_path: Path) -> None:
    np.save(tmp_path / "a,b.npy", np.arange(3.0))
    assert np.array_equal(Features(name="v", length=3).read("a,b.npy", tmp_path), [0, 1, 2])
    assert Features(name="v", length=3).size_of("a,b.npy", tmp_path) == "3"
    assert Features(name="v", length=1).read("63", tmp_path) == [63]


def test_cells_that_are_lost_are_empty_in_every_column(tmp_path: Path) -> None:
    rows = table(tmp_path, ROWS[:2]).keep_cells(VITALS, [True, False])
    assert [rows.column(name) for name in ("age", "bp", "hr")] == [["63", ""], ["120", ""], ["72", ""]]
    assert rows.cells(VITALS) == ["63,120,72", ""]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            'kind = "features"\ncolumn = ["a", "b"]\nlength = 3',
            "length: should be 2, a number for each column, found 3",
        ),
        (
            'kind = "features"\ncolumn = []\nlength = 3',
            "should be the name of a column, or for features a list of names",
        ),
        ('kind = "features"\ncolumn = [1, 2]\nlength = 2', "should be the name of a column, or for features a list"),
        ('kind = "text"\ncolumn = ["a", "b"]', "should be the name of one column, only features are read from several"),
        ('kind = "text"\ncolumn = 3', "column: should be the name of a column"),
    ],
)
def test_columns_that_do_not_fit_are_said(line: str, sentence: str) -> None:
    import tomllib

    content = tomllib.loads(f"[data]\n[modality.v]\n{line}\n")
    with pytest.raises(UsageError) as error:
        build_recipe(content, "my.toml", "my")
    assert sentence in str(error.value)
    assert "\n" not in str(error.value), "one sentence"


def test_numbers_are_what_tables_write() -> None:
    assert all(map(is_number, ["1", "-1.5", "+.5", "5.", "1e-3", " 7 "]))
    assert not any(map(is_number, ["", "nan", "inf", "1,5", "1_0", "0x1", "٣", "1 2", "True"]))
