"""`--inside`: a manifest whose cells lead out of its folder is refused by every command, before a file is opened."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from graphs import saved
from onnx import helper
from worlds import manifest

import robustmm as rm
from robustmm.data.inside import check_inside
from robustmm.data.manifest import read_manifest
from robustmm.errors import DataError

Cli = Callable[..., Any]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A manifest of the world, and a file that lies beside its folder."""
    path = manifest(tmp_path / "data", samples=96)
    shutil.copy(path.parent / "vector.npy", tmp_path / "secret.npy")
    return path


def change_cell(path: Path, cell: str, line: int = 40) -> None:
    """Puts another vector into one row."""
    lines = path.read_text().splitlines()
    parts = lines[line - 1].split(",")
    parts[4] = cell
    lines[line - 1] = ",".join(parts)
    path.write_text("\n".join(lines) + "\n")


def commands(model: Path, recipe: Path, path: Path) -> list[list[object]]:
    there = ["--data", path, "--inside"]
    noise = ["--noise", "gaussian", "--level", "0.5"]
    return [
        ["train", recipe, *there],
        ["bench", recipe, *there, "--methods", "joint", "--seeds", "1"],
        ["attack", model, *there, *noise],
        ["attack", model, *there, *noise, "--preview", "sheet.png"],
        ["audit", model, *there, "--suite", "quick", "--workers", "1"],
        ["gates", model, *there, "--suite", "quick", "--workers", "1"],
        ["compare", model, "theirs.onnx", *there, "--suite", "quick", "--workers", "1"],
        ["check", model, *there, "--expect-accuracy", "0.5"],
        ["describe", model, *there],
        ["data", "check", path, "--inside"],
        ["data", "check", path, "--inside", "--recipe", recipe],
        ["data", "recipe", path, "--inside"],
    ]


def write_foreign(folder: Path) -> Path:
    return saved(
        folder,
        [helper.make_node("Identity", ["vector"], ["logits"])],
        {"vector": ("f", ["batch", 5])},
        ("logits", ["batch", 5]),
    )


@pytest.mark.parametrize("cell", ["/ROOT/secret.npy#3", "../secret.npy#3", "link.npy#3", "linked/secret.npy#3"])
def test_every_command_refuses_a_cell_outside(
    robustmm: Cli, world_model: Path, data: Path, tmp_path: Path, cell: str
) -> None:
    (data.parent / "link.npy").symlink_to(tmp_path / "secret.npy")
    (data.parent / "linked").symlink_to(tmp_path)
    change_cell(data, cell.replace("/ROOT", str(tmp_path)))
    recipe, foreign = world_model.parent / "recipe.toml", write_foreign(tmp_path)
    for words in commands(world_model, recipe, data):
        words = [foreign if words[0] == "describe" and word == world_model else word for word in words]
        done = robustmm(*words, cwd=tmp_path)
        assert done.code == 3, (words, done)
        (said,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
        assert "line 40 (id 's038', vector): " in said
        assert f"should lie in {data.parent}, found a file outside" in said
    assert not (tmp_path / "audits").exists()


def test_without_it_such_a_cell_is_read(robustmm: Cli, world_model: Path, data: Path, tmp_path: Path) -> None:
    change_cell(data, "../secret.npy#38")
    words = ["attack", world_model, "--data", data, "--noise", "gaussian", "--level", "0"]
    assert robustmm(*words, cwd=tmp_path).code == 0


def test_what_lies_inside_is_read(robustmm: Cli, world_model: Path, data: Path, tmp_path: Path) -> None:
    (data.parent / "sub").mkdir()
    (data.parent / "sub" / "again.npy").symlink_to(data.parent / "vector.npy")
    change_cell(data, "sub/../sub/again.npy#38")
    (tmp_path / "alias").symlink_to(data.parent)  # the folder itself may be reached by a link
    for path in (data, data.parent, tmp_path / "alias" / "manifest.csv"):
        assert robustmm("data", "check", path, "--inside", cwd=tmp_path).code == 0
    words = ["attack", world_model, "--data", data, "--inside", "--noise", "gaussian", "--level", "0"]
    assert robustmm(*words, cwd=tmp_path).code == 0


def test_python_too_and_a_table_in_memory(
    world_model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data.parent)
    table = pandas.read_csv(data)
    given: dict[str, Any] = {"noise": "gaussian", "level": 0.0, "inside": True, "runs": tmp_path / "runs"}
    assert rm.attack(world_model, data=table, **given).samples == 36
    table.loc[38, "vector"] = "../secret.npy#38"
    with pytest.raises(DataError, match=r"id 's038', vector.*outside"):
        rm.attack(world_model, data=table, **given)
    for call in (rm.audit, rm.check):
        with pytest.raises(DataError, match="outside"):
            call(world_model, data=table, inside=True, **({"expect_accuracy": 0.5} if call is rm.check else {}))
    with pytest.raises(DataError, match="outside"):
        rm.train(world_model.parent / "recipe.toml", data=table, inside=True)


def test_a_parquet_table_cannot_name_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The metadata that a table in memory is kept with are a stranger's too."""
    from robustmm.api.inputs import keep_table

    data = manifest(tmp_path / "data")
    monkeypatch.chdir(data.parent)
    kept = keep_table(pandas.read_csv(data), tmp_path / "theirs")
    assert len(read_manifest(kept)) == 96
    with pytest.raises(DataError, match="outside"):
        read_manifest(kept, kept.parent)


def test_texts_and_files_that_are_not_there(tmp_path: Path) -> None:
    """A text is no path for a stroke in it; a sound that is not there is refused all the same."""
    path = tmp_path / "manifest.csv"
    path.write_text(
        "id,split,label,said,a\n1,test,x,/start the bot,\n2,test,y,and/or ../ that,\n3,test,/etc/passwd,/,\n"
    )
    check_inside(read_manifest(path), tmp_path)
    path.write_text("id,split,label,said,a\n1,test,x,,\n2,test,y,,../gone.WAV\n")
    with pytest.raises(DataError, match=r"line 3 \(id '2', a\): \.\./gone\.WAV should lie in"):
        check_inside(read_manifest(path), tmp_path)
    path.write_text("id,split,label,a\n1,test,x,/etc/passwd\n")
    with pytest.raises(DataError, match="outside"):
        check_inside(read_manifest(path), tmp_path)


def test_a_run_keeps_it_for_export_and_resume(world_model: Path, data: Path, tmp_path: Path) -> None:
    run = rm.train(world_model.parent / "recipe.toml", data=data, epochs=1, inside=True, runs=tmp_path / "runs")
    assert run.read_facts()["inside"] == str(data.parent)
    (data.parent / "vector.npy").unlink()
    (data.parent / "vector.npy").symlink_to(tmp_path / "secret.npy")  # put there after the training
    assert np.load(data.parent / "vector.npy").shape == (96, 5)
    with pytest.raises(DataError, match="outside"):
        rm.export(run)


@pytest.mark.parametrize("cell", ["e.npy#x/link/secret.npy", "d.npy#1/../../secret.npy", "../secret.npy#1"])
def test_a_folder_called_like_a_row_hides_nothing(cell: str, data: Path, robustmm: Cli) -> None:
    for name in ("e.npy#x", "d.npy#1"):
        (data.parent / name).mkdir()
    (data.parent / "e.npy#x" / "link").symlink_to(data.parent.parent)
    change_cell(data, cell)
    found = robustmm("data", "check", data, "--inside")
    assert found.code == 3
    assert "found a file outside of it (--inside)" in found.err


@pytest.mark.parametrize("column", ["id", "split", "label"])
def test_no_modality_is_read_from_what_a_row_is_called(column: str, robustmm: Cli, tmp_path: Path) -> None:
    recipe = f'[data]\nmanifest = "m.csv"\n[modality.x]\nkind = "features"\nlength = 2\ncolumn = "{column}"\n'
    (tmp_path / "r.toml").write_text(recipe)
    found = robustmm("train", "r.toml", cwd=tmp_path)
    assert found.code == 2
    assert f'it would read the column "{column}", which is no input' in found.err


def test_an_output_of_one_number_for_all_rows_is_refused(data: Path, robustmm: Cli, tmp_path: Path) -> None:
    model = saved(
        tmp_path,
        [helper.make_node("ReduceSum", ["vector"], ["logits"], keepdims=0)],
        {"vector": ("f", ["batch", 5])},
        ("logits", []),
    )
    (tmp_path / "m.toml").write_text(
        'classes = ["ant", "bee", "cat"]\n[output]\nname = "logits"\n[modality.vector]\nkind = "features"\nlength = 5\n'
    )
    found = robustmm("attack", model, "--describe", tmp_path / "m.toml", "--data", data, "--missing", "vector=1")
    assert found.code in (2, 3)
    assert 'the output "logits" should answer each row, found one number for all' in found.err
