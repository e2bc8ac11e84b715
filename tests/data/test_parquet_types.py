"""Columns of Parquet that are no text, numbers or dates: a sentence each, with line and column."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from robustmm.data.manifest import read_manifest
from robustmm.errors import DataError

TYPES: dict[str, tuple[Any, list[Any]]] = {
    "durations in seconds": (pyarrow.duration("s"), [timedelta(seconds=3), None]),
    "durations in nanoseconds": (pyarrow.duration("ns"), [1, None]),
    "structs": (pyarrow.struct([("a", pyarrow.int64())]), [{"a": 1}, None]),
    "lists": (pyarrow.list_(pyarrow.float32()), [[1.0, 2.0], None]),
    "maps": (pyarrow.map_(pyarrow.string(), pyarrow.int64()), [[("a", 1)], None]),
    "binary": (pyarrow.binary(), [b"\x89PNG", None]),
    "fixed binary": (pyarrow.binary(2), [b"\xff\xfe", None]),
    "times of day": (pyarrow.time32("s"), [3, None]),
}


@pytest.mark.parametrize("what", TYPES)
def test_a_column_that_is_no_cell(tmp_path: Path, what: str) -> None:
    kind, values = TYPES[what]
    table = pyarrow.table(
        {"id": ["a", "b"], "split": ["test"] * 2, "label": ["x", "y"], "odd": pyarrow.array(values, kind)}
    )
    pyarrow.parquet.write_table(table, tmp_path / "m.parquet")
    with pytest.raises(DataError, match=r'm\.parquet( line 1)?, column "odd"') as caught:
        read_manifest(tmp_path / "m.parquet")
    assert "\n" not in str(caught.value)
    pyarrow.parquet.write_table(table.slice(1), tmp_path / "m.parquet")
    assert read_manifest(tmp_path / "m.parquet").columns["odd"] == [""], "null is an empty cell in every type"


def test_instants_and_decimals_are_cells(tmp_path: Path) -> None:
    table = pyarrow.table(
        {"id": ["a"], "split": ["test"], "label": ["x"], "when": pyarrow.array([0], pyarrow.timestamp("s"))}
    )
    pyarrow.parquet.write_table(table, tmp_path / "m.parquet")
    assert read_manifest(tmp_path / "m.parquet").columns["when"] == ["1970-01-01 00:00:00"]
