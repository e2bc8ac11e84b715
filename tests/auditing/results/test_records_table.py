from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from random_records import drawn

from robustmm.auditing.results.records_table import build_table, read_key, write_table
from robustmm.evaluation.records import Records

NAMES, CLASSES = ["a", "[/b]"], ["ant", "é 🎈", "[/red]"]


def some(n: int = 5) -> list[tuple[str, Records]]:
    return [("clean", drawn(n, seed=0)), ("[/red] é", drawn(n, seed=1)), ("gone", drawn(n, seed=2))]


def write_once(path: Path, key: str = "k", n: int = 5) -> list[str]:
    """Writes a table; the conditions whose records were asked for."""
    asked: list[str] = []

    def each() -> Iterator[tuple[str, Records]]:
        for name, records in some(n):
            asked.append(name)
            yield name, records

    write_table(path, each(), NAMES, CLASSES, key)
    return asked


def test_a_row_is_a_sample_under_a_condition(tmp_path: Path) -> None:
    path = tmp_path / "records.parquet"
    assert write_once(path) == ["clean", "[/red] é", "gone"]
    table = pyarrow.parquet.read_table(path)
    assert table.num_rows == 15
    for k, (name, records) in enumerate(some()):
        part = table.slice(5 * k, 5).to_pydict()
        assert part["condition"] == [name] * 5
        assert part["id"] == records.ids
        assert part["label"] == [CLASSES[c] for c in records.target]
        assert part["answer"] == [CLASSES[c] for c in records.probabilities.argmax(1)]
        for c, label in enumerate(CLASSES):
            assert part[f"p.{label}"] == records.probabilities[:, c].tolist()
        for m, modality in enumerate(NAMES):
            assert part[f"present.{modality}"] == records.present[:, m].tolist()
            assert part[f"shapley_accuracy.{modality}"] == records.phi_accuracy[:, m].tolist()
            assert part[f"shapley_log_probability.{modality}"] == records.phi_log_probability[:, m].tolist()
    assert set(part) == {*("condition", "id", "label", "answer"), *(f"p.{c}" for c in CLASSES)} | {
        f"{what}.{m}" for m in NAMES for what in ("present", "shapley_accuracy", "shapley_log_probability")
    }


def test_a_condition_is_a_row_group(tmp_path: Path) -> None:
    path = tmp_path / "records.parquet"
    write_once(path, n=7)
    facts = pyarrow.parquet.read_metadata(path)
    assert [facts.row_group(k).num_rows for k in range(facts.num_row_groups)] == [7, 7, 7]


def test_a_table_of_the_same_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "records.parquet"
    write_once(path)
    before = path.stat().st_mtime_ns, path.read_bytes()
    assert write_once(path) == []
    assert (path.stat().st_mtime_ns, path.read_bytes()) == before
    assert write_once(path, "other") == ["clean", "[/red] é", "gone"]
    assert read_key(path) == "other"


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "foreign"])
def test_a_damaged_table_is_made_again(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "records.parquet"
    write_once(path)
    whole = path.read_bytes()
    if damage == "foreign":
        pyarrow.parquet.write_table(pyarrow.table({"id": ["a"]}), path)
    else:
        path.write_bytes({"cut": whole[:-20], "text": b"hello", "empty": b""}[damage])
    assert read_key(path) == ""
    assert write_once(path)
    assert path.read_bytes() == whole, "the same records are the same bytes"


def test_a_table_that_is_not_there_has_no_key(tmp_path: Path) -> None:
    assert read_key(tmp_path / "none.parquet") == ""
    (tmp_path / "é").mkdir()
    write_once(tmp_path / "é" / "records.parquet", "key é")
    assert read_key(tmp_path / "é" / "records.parquet") == "key é"


def test_a_stop_halfway_leaves_nothing(tmp_path: Path) -> None:
    def stopped() -> Iterator[tuple[str, Records]]:
        yield some()[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_table(tmp_path / "records.parquet", stopped(), NAMES, CLASSES, "k")
    assert list(tmp_path.iterdir()) == []


def test_rows_keep_what_is_no_number() -> None:
    records = drawn(3)
    records.probabilities[0, 1] = np.nan
    found = build_table("c", records, NAMES, CLASSES)
    assert np.isnan(found["p.é 🎈"].to_pylist()[0])
    assert [found.schema.field(i).name for i in range(4)] == ["condition", "id", "label", "answer"]


def test_clusters_stand_beside_the_answers(tmp_path: Path) -> None:
    names = [f"s{k % 2}" for k in range(5)]
    write_table(tmp_path / "records.parquet", some(), NAMES, CLASSES, "k", names)
    table = pyarrow.parquet.read_table(tmp_path / "records.parquet")
    assert table["cluster"].to_pylist() == 3 * names
    assert table.column_names[:5] == ["condition", "id", "label", "answer", "cluster"]
