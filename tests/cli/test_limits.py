"""What no machine bears is a sentence before anything is started."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import robustmm as rm
from robustmm.errors import UsageError
from robustmm.modalities.files.limits import VARIABLE

Cli = Callable[..., Any]
HUGE = "99999999999999999999"


@pytest.mark.parametrize("option", ["--workers", "--threads"])
@pytest.mark.parametrize("value", ["257", "20000", HUGE])
def test_an_audit_takes_no_thousands_of_workers(option: str, value: str, robustmm: Cli, world_model: Path) -> None:
    found = robustmm("audit", world_model, option, value)
    assert found.code == 2
    assert "Input should be less than or equal to 256" in found.err


@pytest.mark.parametrize("name", ["workers", "threads"])
def test_nor_from_python(name: str, world_model: Path) -> None:
    with pytest.raises(UsageError, match=f"{name} should be at most 256, found {HUGE}"):
        rm.audit(world_model, **{name: int(HUGE)})  # type: ignore[arg-type]


def test_a_bench_takes_no_thousands_of_trainings(robustmm: Cli) -> None:
    found = robustmm("bench", "digits", "--workers", HUGE)
    assert found.code == 2
    assert "Input should be less than or equal to 256" in found.err


@pytest.mark.parametrize("key", ["learning_rate", "weight_decay"])
def test_numbers_that_overflow_the_optimiser_are_refused(key: str, robustmm: Cli, tmp_path: Path) -> None:
    found = robustmm("train", "--set", f"train.{key}=1e308", cwd=tmp_path)
    assert found.code == 2
    assert f"{key}: should be less than or equal to 1000000000000000000000000000000, found 1e+308" in found.err


MODEL = """classes = ["a", "b", "c"]
[output]
name = "logits"
[modality.x]
"""


def write_model(folder: Path, given: list[Any], answer: list[Any], repeats: list[int] | None = None) -> None:
    """A classifier of other tools with these shapes: the mean of each row, `repeats` times."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Expand", ["mean", "shape"], ["logits"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, given)]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, answer)]
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], repeats or [1, 3])
    graph = helper.make_graph(nodes, "g", inputs, outputs, [shape])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "m.onnx")
    (folder / "m.csv").write_text('id,split,label,x\n1,test,a,"1,2,3,4"\n2,test,b,"2,2,3,4"\n3,test,c,"3,2,3,4"\n')


HUGE_SHAPES = [(["n", 4], ["n", 10**9]), (["n", 10**9], ["n", 3]), ([10**9, 4], [10**9, 3])]


@pytest.mark.parametrize(("given", "answer"), HUGE_SHAPES)
@pytest.mark.parametrize("command", ["describe", "attack", "audit"])
def test_shapes_that_a_graph_claims(
    given: list[Any], answer: list[Any], command: str, robustmm: Cli, tmp_path: Path
) -> None:
    write_model(tmp_path, given, answer)
    (tmp_path / "m.toml").write_text(MODEL + 'kind = "features"\nlength = 4\n')
    more = [] if command == "describe" else ["--describe", "m.toml", "--data", "m.csv"]
    found = robustmm(command, "m.onnx", *more, cwd=tmp_path)
    assert found.code == 3
    assert "m.onnx claims the " in found.err
    assert f"expected at most 1,024; if that is meant, set the environment variable {VARIABLE}=" in found.err


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ('kind = "features"\nlength = 1000000000', "a sample has 1,000,000,000 numbers, which takes 15,259 MiB"),
        ('kind = "audio"\nrate = 192000\nseconds = 600', "a sample has 115,200,000 numbers, which takes 1,758 MiB"),
        ('kind = "video"\nframes = 9\nsize = [9000, 9000, 3]', "a sample has 9 x 9,000 x 9,000 x 3 numbers"),
    ],
)
def test_what_a_description_and_a_recipe_claim(table: str, sentence: str, robustmm: Cli, tmp_path: Path) -> None:
    write_model(tmp_path, ["n", 4], ["n", 3])
    (tmp_path / "m.toml").write_text(MODEL + table)
    found = robustmm("attack", "m.onnx", "--describe", "m.toml", "--data", "m.csv", cwd=tmp_path)
    assert found.code == 2
    assert f"[modality.x] {sentence}" in found.err
    (tmp_path / "r.toml").write_text(f'[data]\nmanifest = "m.csv"\n[modality.x]\n{table}\n')
    found = robustmm("train", "r.toml", cwd=tmp_path)
    assert found.code == 2
    assert f"[modality.x] {sentence}" in found.err


def test_a_number_of_rows_that_a_description_claims(robustmm: Cli, tmp_path: Path) -> None:
    write_model(tmp_path, ["n", 4], ["n", 3])
    (tmp_path / "m.toml").write_text(f'batch = {10**9}\n{MODEL}kind = "features"\nlength = 4\n')
    found = robustmm("attack", "m.onnx", "--describe", "m.toml", "--data", "m.csv", cwd=tmp_path)
    assert found.code == 3
    assert "m.onnx claims 1,000,000,000 rows at once of x, which takes 15,259 MiB" in found.err


def test_the_variable_raises_the_limit(robustmm: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(tmp_path, ["n", 4], ["n", 2_000_000])
    assert robustmm("describe", "m.onnx", cwd=tmp_path).code == 3
    write_model(tmp_path, ["n", 4], ["n", 3])
    assert robustmm("describe", "m.onnx", cwd=tmp_path).code == 0
    monkeypatch.setenv(VARIABLE, "many")
    found = robustmm("describe", "m.onnx", cwd=tmp_path)
    assert found.code == 2
    assert f'{VARIABLE} should be a whole number of MiB above 0, found "many"' in found.err


COLUMNS = ("id", "split", "label")


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("column", COLUMNS)
def test_a_label_of_megabytes_is_refused_at_once(column: str, suffix: str, robustmm: Cli, tmp_path: Path) -> None:
    row = dict(zip(COLUMNS, ("s1", "test", "a"), strict=True)) | {"x": "some words"}
    rows = [row, row | {"id": "s2"} | {column: "x" * 9_000_000}]
    file = tmp_path / f"m.{suffix}"
    if suffix == "csv":
        file.write_text("\n".join(",".join(values) for values in (row.keys(), *(r.values() for r in rows))))
    elif suffix == "jsonl":
        file.write_text("\n".join(map(json.dumps, rows)))
    else:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    began = time.perf_counter()
    found = robustmm("data", "check", file)
    assert time.perf_counter() - began < 5
    assert found.code == 3
    assert f"{column} of 9,000,000 characters, expected at most 10,000" in found.err
    assert len(found.err) < 500


def test_a_column_with_a_name_of_megabytes(robustmm: Cli, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(f"id,split,label,{'x' * 2_000_000}\n1,test,a,some words")
    found = robustmm("data", "check", tmp_path / "m.csv")
    assert found.code == 3
    assert "m.csv has a column with a name of 2,000,000 characters, expected at most 10,000" in found.err


@pytest.mark.parametrize("cell", ["z" * 10**6 + ".npy", "a.npy#" + "9" * 10**6, "1" * 10**6 + "x"])
def test_a_cell_of_a_megabyte_is_shown_in_short(cell: str, robustmm: Cli, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(90, dtype=np.float32).reshape(30, 3) % 7)
    rows = [f"{i},{['train', 'test'][i % 2]},{'ab'[i % 3 % 2]},a.npy#{i}" for i in range(30)]
    (tmp_path / "m.csv").write_text("\n".join(["id,split,label,f", *rows, f"big,test,a,{cell}"]))
    began = time.perf_counter()
    found = robustmm("data", "check", "m.csv", cwd=tmp_path)
    assert time.perf_counter() - began < 8
    assert found.code == 3
    assert "1 cell of 31 cannot be read" in found.out
    assert len(found.out + found.err) < 10_000


def test_a_sentence_is_shown_in_short(robustmm: Cli, tmp_path: Path) -> None:
    found = robustmm("attack", f"{'m' * 10**5}.onnx", cwd=tmp_path)
    assert found.code in (2, 3)
    assert max(map(len, found.err.splitlines())) < 2_200
    assert "characters…]" in found.err
