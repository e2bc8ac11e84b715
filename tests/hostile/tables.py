"""Manifests: CSV, JSON Lines and Parquet with cells, columns, rows and bytes that nobody meant."""

import csv
import io
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hostile.base import Base
from hostile.judge import Case
from hostile.mutations import NASTY, damage

COMMANDS = (
    ["data", "check", "data", "--model", "model.onnx"],
    ["data", "check", "data"],
    ["data", "recipe", "data"],
    ["attack", "model.onnx", "--data", "data", "--missing", "vector=0.5"],
    ["attack", "model.onnx", "--data", "data", "--missing", "vector=0.5", "--on-bad-input", "missing", "--json"],
    ["attack", "foreign.onnx", "--describe", "foreign.toml", "--data", "data", "--missing", "series=1"],
    ["train", "tiny.toml", "--epochs", "1", "--on-bad-input", "missing"],
)


def try_manifest(base: Base, folder: Path, rng: random.Random) -> Case:
    """A manifest of a small data set in one of three formats, and a command that reads it."""
    with (base.folder / "data" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    for _ in range(rng.choice((1, 1, 2, 5))):
        _change_rows(rows, rng)
    form = rng.choice(("csv", "csv", "jsonl", "parquet"))
    content = {"csv": _to_csv, "jsonl": _to_json_lines, "parquet": _to_parquet}[form](rows, rng)
    if rng.random() < 0.4:
        content = damage(content, rng)
    words = list(rng.choice(COMMANDS))
    name = f"data/manifest.{form}"
    (folder / "data" / "manifest.csv").unlink()
    (folder / name).write_bytes(content)
    words = [name if word == "data" and i > 0 else word for i, word in enumerate(words)]
    if words[0] == "train":
        words += ["--data", name]
    return Case(words)


def _change_rows(rows: list[list[str]], rng: random.Random) -> None:
    """One cell, one column's name, one row or one column."""
    if not rows[0]:
        return
    i, j = rng.randrange(len(rows)), rng.randrange(len(rows[0]))
    kind = rng.randrange(8)
    if kind <= 2 and j < len(rows[i]):
        rows[i][j] = rng.choice(NASTY)
    elif kind == 3:
        rows[0][j] = rng.choice((*NASTY, *rows[0], "Label", "present", "logits"))
    elif kind == 4:
        rows[i] = rows[i][: rng.randrange(len(rows[i]) + 1)] + [rng.choice(NASTY)] * rng.randrange(3)
    elif kind == 5:
        rows.insert(i, list(rows[rng.randrange(len(rows))]))
    elif kind == 6:
        value = rng.choice(NASTY)
        for row in rows[1:]:
            if j < len(row):
                row[j] = value
    else:
        del rows[rng.randrange(len(rows)) :]
        rows or rows.append(["id"])


def _to_csv(rows: list[list[str]], rng: random.Random) -> bytes:
    file = io.StringIO()
    csv.writer(file, delimiter=rng.choice(",,,;\t")).writerows(rows)
    return file.getvalue().encode(rng.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1")), "replace")


def _to_json_lines(rows: list[list[str]], rng: random.Random) -> bytes:
    lines = []
    for row in rows[1:]:
        found: dict[str, object] = dict(zip(rows[0], row, strict=False))
        if rng.random() < 0.02 and found:
            found[rng.choice(list(found))] = rng.choice((None, [1, 2], {"a": 1}, 10**40, True, 1.5, [[]], float("nan")))
        lines.append(json.dumps(found))
    return "\n".join(lines).encode()


def _to_parquet(rows: list[list[str]], rng: random.Random) -> bytes:
    names = [name.encode("utf-8", "replace").decode() for name in rows[0]]
    columns: list[pa.Array] = []
    for j in range(len(names)):
        cells = [row[j].encode("utf-8", "replace").decode() if j < len(row) else None for row in rows[1:]]
        column = pa.array(cells, pa.string())
        if rng.random() < 0.1:
            strange = (
                pa.array([[1.0, 2.0]] * len(cells)),
                pa.array([{"a": 1}] * len(cells)),
                pa.array([b"\x00\xff"] * len(cells)),
                pa.array([10**9] * len(cells), pa.duration("us")),
                pa.array([None] * len(cells)),
                pa.array(range(len(cells)), pa.timestamp("s")),
                column.dictionary_encode(),
            )
            column = rng.choice(strange)
        columns.append(column)
    file = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(columns, names=names), file)
    return file.getvalue()
