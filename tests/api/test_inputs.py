"""Tables in memory as manifests, and options of any library's numbers."""

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow
import pytest

import robustmm as rm
from robustmm.api import inputs
from robustmm.data.manifest import read_manifest
from robustmm.errors import DataError, UsageError


def dump(result: Any) -> dict[str, Any]:
    found: dict[str, Any] = result.model_dump(mode="json")
    return found


def attacked(**options: Any) -> dict[str, Any]:
    return {**dump(rm.attack(noise="gaussian", level=0.5, missing=0.2, **options)), "manifest": "", "model": ""}


def test_a_table_is_attacked_as_its_file(here: Path, data: Path, frame: pandas.DataFrame, model: Path) -> None:
    """Wherever the question is asked from, once the table is there."""
    expected = attacked(data=data / "manifest.csv")
    with pytest.MonkeyPatch.context() as at:
        at.chdir(data)
        for table in (frame, pyarrow.Table.from_pandas(frame), pyarrow.table(frame).slice(0)):
            assert attacked(model=model, data=table, runs=here / "runs") == expected
    (kept,) = (here / "runs" / "tables").iterdir()
    assert attacked(data=kept) == attacked(data=str(kept)) == expected
    with pytest.raises(DataError, match=r"vector.npy does not exist"):
        attacked(data=frame)


def test_a_table_is_audited_as_its_file_by_several_processes_too(
    here: Path, data: Path, frame: pandas.DataFrame, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"suite": here / "short.toml", "batch": 64, "by": "site"}
    expected = rm.audit(data=data, out="file", **options)
    monkeypatch.chdir(data)
    for workers in (1, 2):
        out = here / f"table {workers}"
        found = rm.audit(model, data=frame, out=out, workers=workers, runs=here / "runs", **options)
        assert {**dump(found), "manifest": "", "model": ""} == {**dump(expected), "manifest": "", "model": ""}
    assert (here / "table 1/results.json").read_bytes() == (here / "table 2/results.json").read_bytes()
    assert len(list((here / "runs/tables").iterdir())) == 1


def test_a_table_is_written_once(
    here: Path, data: Path, frame: pandas.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data)
    first = inputs.keep_table(frame, here / "runs")
    written = first.stat().st_mtime_ns
    assert inputs.keep_table(frame.copy(), here / "runs") == first
    assert inputs.keep_table(pyarrow.table(frame), here / "runs") == first
    assert first.stat().st_mtime_ns == written
    other = inputs.keep_table(frame.assign(site="east"), here / "runs")
    monkeypatch.chdir(here)
    elsewhere = inputs.keep_table(frame, here / "runs")
    assert len({first, other, elsewhere}) == 3, "another content and another folder are other tables"
    assert sorted((here / "runs/tables").iterdir()) == sorted([first, other, elsewhere])
    assert first.parent == here / "runs" / "tables"


def test_a_table_reads_as_its_file(here: Path, data: Path, frame: pandas.DataFrame) -> None:
    path = data / "manifest.csv"
    path.write_text(path.read_text().replace("series.npy#7\n", "\n"))
    expected = read_manifest(path)
    gaps = pandas.read_csv(path)
    assert gaps["series"].isna().sum() == 1
    dictionaries = gaps.astype({"label": "category", "split": "category"})
    for table in (gaps, dictionaries, gaps.set_index("id"), gaps.astype(object), pyarrow.table(gaps)):
        found = read_manifest(inputs.keep_table(table, here))
        assert {name: found.columns[name] for name in expected.columns} == expected.columns
        assert found.columns.keys() == expected.columns.keys()
        assert found.folder == here


def test_a_selection_of_rows_brings_no_column_of_row_numbers(here: Path, frame: pandas.DataFrame) -> None:
    some = frame[frame["split"] == "test"].sample(frac=0.5, random_state=0)
    found = read_manifest(inputs.keep_table(some, here))
    assert list(found.columns) == list(frame.columns)
    assert found.ids == some["id"].tolist()


def test_numbers_dates_and_truths_are_cells(here: Path) -> None:
    day = datetime.date(2024, 2, 29)
    table = pandas.DataFrame(
        {"id": [1, 2], "split": "test", "label": [7, -1], "taken": [day, day], "loud": [True, False], "x": [0.5, None]}
    )
    found = read_manifest(inputs.keep_table(table, here))
    assert found.columns == {
        "id": ["1", "2"], "split": ["test", "test"], "label": ["7", "-1"], "taken": ["2024-02-29"] * 2,
        "loud": ["True", "False"], "x": ["0.5", ""],
    }  # fmt: skip


class Polars:
    """A table of a library that speaks Arrow alone."""

    def __init__(self, table: pyarrow.Table) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


def test_any_library_that_speaks_arrow(here: Path, frame: pandas.DataFrame) -> None:
    table = pyarrow.table(frame)
    assert inputs.keep_table(Polars(table), here) == inputs.keep_table(table, here)


@pytest.mark.parametrize(
    ("table", "error", "sentence"),
    [
        (pandas.DataFrame({"split": ["test"], "label": ["ant"]}), DataError,
         r"[0-9a-f]{16}.parquet should have the columns id, split, label; no id in split, label"),
        (pandas.DataFrame({"id": [1, 1], "split": "test", "label": "ant"}), DataError, "share the id '1'"),
        (pandas.DataFrame({"id": ["a"], "split": ["test"], "label": [None]}), DataError, "has an empty label"),
        (pandas.DataFrame(), DataError, "has no rows"),
        (pandas.DataFrame([[1, 2]], columns=["id", "id"]), UsageError, "Arrow refuses this one: .*id"),
        (pyarrow.table([[1], [2]], names=["id", "id"]), UsageError, "Arrow refuses this one: a column twice in id, id"),
        (pandas.DataFrame({"id": [object()]}), UsageError, "Arrow refuses this one"),
        (pandas.DataFrame({"id": ["a"], "split": ["test"], "label": ["ant"], "x": [[1, 2]]}), DataError,
         "should hold text, numbers or null, found list"),
        (pandas.Series([1, 2]), UsageError, "a table with a row per sample"),
        ({"id": [1]}, UsageError, "data should be a path or a table"),
        (np.zeros((2, 3)), UsageError, r"data should be a path or a table \(pandas, pyarrow\), found ndarray"),
    ],
)  # fmt: skip
def test_a_table_that_is_no_manifest(here: Path, table: Any, error: type[Exception], sentence: str) -> None:
    for call in (rm.attack, rm.audit):
        with pytest.raises(error, match=sentence):
            call(data=table)


def test_one_value_or_several() -> None:
    for one in ("a", Path("a"), 0.5, np.float32(0.5), np.int64(3), True):
        assert inputs.as_list(one) == [one]
    for several in (["a", "b"], ("a", "b"), np.array(["a", "b"]), pandas.Series(["a", "b"])):
        assert inputs.as_list(several) == ["a", "b"]
    assert inputs.as_list(None) == inputs.as_list(()) == []


def test_rates() -> None:
    assert inputs.rate_options({"audio": 0.3, "image": 0}) == ["audio=0.3", "image=0"]
    assert inputs.rate_options(np.float64(0.3)) == inputs.rate_options("0.3") == inputs.rate_options([0.3]) == ["0.3"]
    assert inputs.rate_options(["audio=0.3", "0.1"]) == ["audio=0.3", "0.1"]
    assert inputs.rate_options(None) == []


def test_counts_are_pythons_own() -> None:
    found = inputs.as_count("seed", np.int16(4), 0)
    assert (found, type(found)) == (4, int)
    assert inputs.as_count("limit", None, 1) is None
    for wrong in (-1, 0.5, "3", np.float64(2)):
        with pytest.raises(UsageError, match="seed should be a whole number, 0 or more, found"):
            inputs.as_count("seed", wrong, 0)


def test_settings_are_lines_of_toml() -> None:
    given = {"a.b": 3, "c": "x = 1", "d": True, "e": [1, "two"], "f": np.float64(0.5), "g": Path("my data")}
    lines = ["a.b=3", 'c="x = 1"', "d=true", 'e=[1, "two"]', "f=0.5", 'g="my data"']
    assert inputs.setting_lines(given) == lines
    assert inputs.setting_lines(lines) == lines
    assert inputs.setting_lines("a.b=3") == ["a.b=3"]
    assert inputs.setting_lines(None) == inputs.setting_lines({}) == []
