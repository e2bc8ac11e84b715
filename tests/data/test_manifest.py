"""Manifests: three formats read alike, and a sentence for each way a table can be wrong."""

import csv
import json
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustmm.data.manifest import Manifest, class_names, read_manifest
from robustmm.errors import DataError

HOSTILE = [
    "[red]x[/red]",
    "[/red]",
    "two\nlines",
    "🎈 é",
    "n" * 5000,
    "../../etc",
    "a\0b",
    'say "hi"',
    " spaced ",
    "a,b",
]
ROWS = [
    {"id": "1", "split": "train", "label": "cat", "image": "a.png", "age": "3"},
    {"id": "2", "split": "train", "label": "dog", "image": "", "age": "4"},
    {"id": "3", "split": "test", "label": "cat", "image": "c.png", "age": ""},
]


def csv_table(path: Path, rows: list[dict[str, Any]], encoding: str = "utf-8") -> Path:
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def jsonl_table(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def parquet_table(path: Path, rows: list[dict[str, Any]]) -> Path:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def text(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def sentence(path: Path) -> str:
    with pytest.raises(DataError) as error:
        read_manifest(path)
    return str(error.value)


def test_three_formats_read_alike(tmp_path: Path) -> None:
    numbers = [{**row, "id": int(row["id"]), "age": int(row["age"]) if row["age"] else None} for row in ROWS]
    empty = [{**row, "image": row["image"] or None} for row in numbers]
    paths = [
        csv_table(tmp_path / "m.csv", ROWS),
        csv_table(tmp_path / "bom.CSV", ROWS, "utf-8-sig"),
        jsonl_table(tmp_path / "m.jsonl", numbers),
        parquet_table(tmp_path / "m.parquet", empty),
    ]
    for path in paths:
        found = read_manifest(path)
        assert found.columns == {name: [row[name] for row in ROWS] for name in ROWS[0]}
        assert list(found.columns) == list(ROWS[0]), "columns stand in the file's order"
        assert (found.ids, found.labels, len(found)) == (["1", "2", "3"], ["cat", "dog", "cat"], 3)
        assert found.split_sizes() == {"train": 2, "test": 1}
        assert found.folder == tmp_path
    assert read_manifest(paths[0]).lines == [2, 3, 4]
    assert read_manifest(paths[2]).lines == [1, 2, 3]


def test_keys_may_come_and_go_in_json_lines(tmp_path: Path) -> None:
    rows = [{"id": 1, "split": "a", "label": True}, {"id": 2, "split": "a", "label": 0.5, "late": "x"}]
    found = read_manifest(text(tmp_path / "m.jsonl", "\n".join([json.dumps(rows[0]), "", " ", json.dumps(rows[1])])))
    assert found.columns == {"id": ["1", "2"], "split": ["a", "a"], "label": ["True", "0.5"], "late": ["", "x"]}
    assert found.lines == [1, 4]


def test_blank_lines_are_skipped_and_lines_count_as_an_editor_counts(tmp_path: Path) -> None:
    found = read_manifest(text(tmp_path / "m.csv", '\r\nid,split,label\r\n\r\n1,a,"two\r\nlines"\r\n2,a,b\r\n'))
    assert found.labels == ["two\r\nlines", "b"]
    assert found.lines == [5, 6]


def test_dates_and_decimals_are_text(tmp_path: Path) -> None:
    rows = [{"id": 1, "split": "a", "label": "x", "when": datetime(2020, 1, 2)}]
    assert read_manifest(parquet_table(tmp_path / "m.parquet", rows)).columns["when"] == ["2020-01-02 00:00:00"]


def test_a_folder_holds_one_manifest(tmp_path: Path) -> None:
    assert "should hold one manifest.csv, .jsonl or .parquet, found 0" in sentence(tmp_path)
    csv_table(tmp_path / "manifest.csv", ROWS)
    assert len(read_manifest(tmp_path)) == 3
    jsonl_table(tmp_path / "manifest.jsonl", ROWS)
    assert "found 2" in sentence(tmp_path)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_strings_are_only_strings(tmp_path: Path, hostile: str) -> None:
    rows = [
        {"id": hostile, "split": hostile, "label": hostile, hostile: hostile},
        {"id": "2", "split": "a", "label": "b", hostile: ""},
    ]
    writers = (csv_table, jsonl_table, parquet_table)
    for path, write in zip(("m.csv", "m.jsonl", "m.parquet"), writers, strict=True):
        found = read_manifest(write(tmp_path / path, rows))
        assert found.ids == [hostile, "2"]
        assert found.column(hostile) == [hostile, ""]
        assert repr(hostile) in found.cell_location(0, "label")


CSV_ERRORS = {
    "": "has no rows",
    "\n\n": "has no rows",
    "id,split,label\n": "has no rows",
    "id,split,label\n1,a\n": "line 2 should have 3 cells, found 2",
    "id,split,label\n1,a,b\n2,a,b,c\n": "line 3 should have 3 cells, found 4",
    "id,split,label\n1,a,b\n2,a,b\n1,a,b\n": "lines 2 and 4 share the id '1'",
    "id,split,label\n,a,b\n": "line 2 has an empty id",
    "id,split,label\n1, ,b\n": "line 2 has an empty split",
    "id,split,label\n1,a,b\n2,a,\n": "line 3 has an empty label",
    "id,split,label\n1,a,\n2,a,b\n3,a, \n4,a,\n5,a,\n": "lines 2, 4, 5 and 1 more have an empty label",
    "id,split,path\n1,a,b\n": "should have the columns id, split, label; no label in id, split, path",
    "id;split;label\n1;a;b\n": "no id, split, label in id;split;label",
    "id,split,label,x,x\n1,a,b,c,d\n": "header has a column twice or without a name: id, split, label, x, x",
    "id,split,label,\n1,a,b,c\n": "header has a column twice or without a name",
    'id,split,label\n1,a,"open\n': "is not a UTF-8 CSV table (unexpected end of data)",
    'id,split,label\n1,a,"b"c\n': "is not a UTF-8 CSV table",
    "id,split,label\n1,a," + "x" * 2**24 + "yz\n": "is not a UTF-8 CSV table (field larger than field limit",
}


@pytest.mark.parametrize("content", CSV_ERRORS, ids=range(len(CSV_ERRORS)))
def test_what_is_wrong_with_a_csv_is_said_with_its_line(tmp_path: Path, content: str) -> None:
    found = sentence(text(tmp_path / "m.csv", content))
    assert CSV_ERRORS[content] in found
    assert str(tmp_path / "m.csv") in found


JSON_ERRORS = {
    "": "has no rows",
    "[1, 2]": "line 1 should be a JSON object, found list",
    '{"id": 1, "split": "a", "label": ["x"]}': 'line 1, column "label" should hold text, numbers or null, found list',
    '{"id": 1, "split": "a", "label": {"x": 1}}': 'column "label" should hold text, numbers or null, found dict',
    '{"id": 1, "split": "a", "label": null}': "line 1 has an empty label",
    '{"id": 1, "split": "a"}': "no label in id, split",
    '{"id": 1, "id": 2, "split": "a", "label": "x"}': "a key twice or without a name: id, id, split, label",
    '{"": 1, "id": 2, "split": "a", "label": "x"}': "a key twice or without a name",
    '{"id": 1, "split": "a", "label": "x"}\n{"id"': "line 2 is not JSON: Expecting ':' delimiter at character 6",
    '{"id": "\\ud800", "split": "a", "label": "x"}': 'line 1, column "id" holds half a character',
    '{"id": 1, "split": "a", "label": "x", "\\udc00": 1}': "half a character",
    '{"id": ' + "9" * 5000 + ', "split": "a", "label": "x"}': "is not JSON Lines",
    "[" * 100_000: "is not JSON Lines",
}


@pytest.mark.parametrize("content", JSON_ERRORS, ids=range(len(JSON_ERRORS)))
def test_what_is_wrong_with_json_lines_is_said(tmp_path: Path, content: str) -> None:
    assert JSON_ERRORS[content] in sentence(text(tmp_path / "m.jsonl", content))


def test_what_is_wrong_with_parquet_is_said(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    parquet_table(path, [{"id": 1, "split": "a", "label": ["x"]}])
    assert 'line 1, column "label" should hold text, numbers or null, found list' in sentence(path)
    parquet_table(path, [{**ROWS[0], "photo": None}, {**ROWS[0], "id": "b", "photo": {"bytes": b"x", "path": "a.png"}}])
    assert 'line 2, column "photo" should hold text, numbers or null, found dict; write files' in sentence(path)
    late = pyarrow.array([2**45], pyarrow.timestamp("s"))
    pyarrow.parquet.write_table(pyarrow.table({"id": ["a"], "taken": late}), path)
    assert 'column "taken" cannot be read' in sentence(path)
    pyarrow.parquet.write_table(pyarrow.table([["a"], ["b"]], names=["id", "id"]), path)
    assert "has a column twice or without a name: id, id" in sentence(path)
    parquet_table(path, ROWS[:1])
    text(path, path.read_bytes()[:-20])
    assert "is not a Parquet table" in sentence(path)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\xff\xfe\x00", "id,split,label\n1,a,b\n".encode("utf-16")])
def test_binary_garbage_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    assert "is not " in sentence(text(tmp_path / f"m{suffix}", content))


@given(st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_no_bytes_give_a_traceback(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    for suffix in (".csv", ".jsonl", ".parquet"):
        with suppress(DataError):
            read_manifest(text(folder / f"m{suffix}", content))


def test_a_path_that_is_no_manifest(tmp_path: Path) -> None:
    assert "the manifest" in sentence(tmp_path / "none.csv")
    assert "does not exist" in sentence(tmp_path / "none.csv")
    assert "should end in .csv, .jsonl, .parquet" in sentence(text(tmp_path / "m.xlsx", "x"))
    assert "does not exist" in sentence(Path("a\0b.csv"))


def table(splits: list[str]) -> Manifest:
    n = len(splits)
    columns = {"id": [f"s{i}" for i in range(n)], "split": splits, "label": ["x"] * n, "image": [""] * n}
    return Manifest(Path("m.csv"), columns, list(range(2, n + 2)))


def test_a_split_keeps_ids_and_line_numbers_together() -> None:
    part = table(["train", "test", "train"]).split("train")
    assert (part.ids, part.lines) == (["s0", "s2"], [2, 4])
    assert part.cell_location(1, "image") == "m.csv line 4 (id 's2', image)"


def test_unknown_splits_and_columns_are_met_with_a_guess() -> None:
    with pytest.raises(DataError, match=r'no rows in split "tset", did you mean "test"\? \(known: test, train\)'):
        table(["train", "test"]).split("tset")
    with pytest.raises(DataError, match=r'no column "imgae", did you mean "image"\? \(known: image\)'):
        table(["train"]).column("imgae")


def test_a_limit_samples_the_split_and_tells_which_class_it_loses() -> None:
    whole = table(["test", "train"] * 10)
    whole = replace(whole, columns={**whole.columns, "label": [["no", "yes"][i // 2 % 2] for i in range(20)]})
    half = whole.split("test", 4)
    assert sorted(half.labels) == ["no", "no", "yes", "yes"]
    assert half.notes == ()
    one = whole.split("test", 1)
    assert one.notes[0].startswith("1 of 2 classes have no row among the 1 of 10 sampled: ")
    assert whole.split("test", 10).ids == whole.split("test", 99).ids == whole.split("test").ids


@given(st.integers(1, 200), st.integers(1, 200))
@settings(max_examples=50, deadline=None)
def test_a_limit_takes_that_many_distinct_rows_in_order(rows: int, limit: int) -> None:
    lines = table(["test"] * rows).split("test", limit).lines
    assert len(lines) == min(rows, limit)
    assert lines == sorted(set(lines))


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        (["10", "9", "-1"], ["-1", "9", "10"]),
        (["b", "a", "10", "9"], ["10", "9", "a", "b"]),
        (["01", "1", "0"], ["0", "01", "1"]),
        (["--5", "-", "5"], ["-", "--5", "5"]),
        (["٣", "2"], ["2", "٣"]),
        (["9" * 5000, "1"], ["1", "9" * 5000]),
        (["1.5", "1"], ["1", "1.5"]),
        ([], []),
    ],
)
def test_classes_stand_in_numeric_or_alphabetical_order(labels: list[str], order: list[str]) -> None:
    assert class_names(labels) == class_names(labels[::-1] * 2) == order


def test_nan_is_an_empty_cell_whoever_wrote_it(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"id": "a", "split": "train", "label": "x", "score": NaN, "text": null}\n'
        '{"id": "b", "split": "train", "label": "nan", "score": 0.5, "text": "nan"}\n'
    )
    found = read_manifest(tmp_path / "a.jsonl")
    assert found.column("score") == ["", "0.5"]
    assert found.column("text") == ["", "nan"], "a text is what it says"
    assert found.labels == ["x", "nan"]
    columns = {"id": ["a", "b"], "split": ["test"] * 2, "label": ["x", "y"], "score": [float("nan"), 1.5]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "b.parquet")
    assert read_manifest(tmp_path / "b.parquet").column("score") == ["", "1.5"]
    (tmp_path / "c.jsonl").write_text('{"id": "a", "split": "train", "label": NaN}\n')
    with pytest.raises(DataError, match="line 1 has an empty label"):
        read_manifest(tmp_path / "c.jsonl")
