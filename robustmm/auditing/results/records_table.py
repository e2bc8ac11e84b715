"""Records as one Parquet table: a row per condition and sample; with clusters, which one a sample comes from."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

import pyarrow
import pyarrow.parquet

from robustmm.evaluation.records import Records
from robustmm.files import write_whole


def write_table(
    path: Path,
    parts: Iterable[tuple[str, Records]],
    names: list[str],
    classes: list[str],
    clusters: Sequence[str] | None = None,
) -> None:
    """One row group a condition, so that memory does not grow with their number."""

    def write_row_groups(file: IO[bytes]) -> None:
        writer: pyarrow.parquet.ParquetWriter | None = None
        try:
            for condition, records in parts:
                table = build_table(condition, records, names, classes, clusters)
                writer = writer or pyarrow.parquet.ParquetWriter(file, table.schema, compression="zstd")
                writer.write_table(table, row_group_size=max(1, len(records)))
        finally:
            if writer:
                writer.close()

    write_whole(path, write_row_groups)


def build_table(
    condition: str, records: Records, names: list[str], classes: list[str], clusters: Sequence[str] | None = None
) -> pyarrow.Table:
    columns = {
        "condition": pyarrow.array([condition] * len(records)),
        "id": pyarrow.array(records.ids),
        "label": pyarrow.array([classes[c] for c in records.target]),
        "answer": pyarrow.array([classes[c] for c in records.probabilities.argmax(1)]),
    }
    columns |= {} if clusters is None else {"cluster": pyarrow.array(clusters)}
    columns |= {f"p.{label}": pyarrow.array(records.probabilities[:, c]) for c, label in enumerate(classes)}
    for m, name in enumerate(names):
        columns |= {
            f"present.{name}": pyarrow.array(records.present[:, m]),
            f"right_without.{name}": pyarrow.array(records.leave_one_out_correct[:, m]),
            f"shapley_accuracy.{name}": pyarrow.array(records.phi_accuracy[:, m]),
            f"shapley_log_probability.{name}": pyarrow.array(records.phi_log_probability[:, m]),
        }
        columns |= {f"used.{name}": pyarrow.array(records.used[:, m])} if records.used.shape[1] else {}
    return pyarrow.table(columns)
