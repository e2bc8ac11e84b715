from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from random_records import drawn

from robustmm.auditing.results.records_table import build_table, write_table
from robustmm.evaluation.records import Records

NAMES, CLASSES = ["a", "[/b]"], ["ant", "é 🎈", "[/red]"]


def some(n: int = 5) -> list[tuple[str, Records]]:
    return [("clean", drawn(n, seed=0)), ("[/red] é", drawn(n, seed=1)), ("gone", drawn(n, seed=2))]


def write_some(path: Path, n: int = 5) -> None:
    write_table(path, some(n), NAMES, CLASSES)


def test_a_row_is_a_sample_under_a_condition(tmp_path: Path) -> None:
    path = tmp_path / "records.parquet"
    write_some(path)
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
        f"{what}.{m}"
        for m in NAMES
        for what in ("present", "right_without", "shapley_accuracy", "shapley_log_probability")
    }


def test_a_condition_is_a_row_group(tmp_path: Path) -> None:
    path = tmp_path / "records.parquet"
    write_some(path, n=7)
    facts = pyarrow.parquet.read_metadata(path)
    assert [facts.row_group(k).num_rows for k in range(facts.num_row_groups)] == [7, 7, 7]


def test_the_same_records_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_some(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_stop_halfway_leaves_nothing(tmp_path: Path) -> None:
    def stopped() -> Iterator[tuple[str, Records]]:
        yield some()[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_table(tmp_path / "records.parquet", stopped(), NAMES, CLASSES)
    assert list(tmp_path.iterdir()) == []


def test_rows_keep_what_is_no_number() -> None:
    records = drawn(3)
    records.probabilities[0, 1] = np.nan
    found = build_table("c", records, NAMES, CLASSES)
    assert np.isnan(found["p.é 🎈"].to_pylist()[0])
    assert [found.schema.field(i).name for i in range(4)] == ["condition", "id", "label", "answer"]


def test_clusters_stand_beside_the_answers(tmp_path: Path) -> None:
    names = [f"s{k % 2}" for k in range(5)]
    write_table(tmp_path / "records.parquet", some(), NAMES, CLASSES, names)
    table = pyarrow.parquet.read_table(tmp_path / "records.parquet")
    assert table["cluster"].to_pylist() == 3 * names
    assert table.column_names[:5] == ["condition", "id", "label", "answer", "cluster"]
