"""`robustmm data prepare`: every benchmark from its raw files to a manifest that `data check` passes."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from raw_trees import TREES, Tree, make_nyud2_table, put_ffmpeg, write_text

from robustmm.data.benchmarks import BENCHMARKS

Cli = Callable[..., Any]


@pytest.fixture(autouse=True)
def ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return put_ffmpeg(tmp_path / "bin", monkeypatch)


def read_rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def check_prepared(robustmm: Cli, name: str, tree: Tree, here: Path) -> Any:
    """The manifest has the rows of the rule, each with all its inputs, and `data check` reads every cell."""
    done = robustmm("data", "prepare", name, "raw", "out", *tree.words, cwd=here)
    assert done.code == 0, done.err
    assert done.out.strip() == "out/manifest.csv"
    rows = read_rows(here / "out")
    assert {key: (row["split"], row["label"]) for key, row in rows.items()} == tree.rows
    assert all(row[column] for row in rows.values() for column in BENCHMARKS[name].inputs)
    checked = robustmm("data", "check", "out", "--json", cwd=here)
    assert checked.code == 0, checked.out
    assert {m["name"] for m in json.loads(checked.out)["modalities"]} >= set(BENCHMARKS[name].inputs) - {"text"}
    return done


def test_every_benchmark_has_a_tree_and_stands_in_the_help(robustmm: Cli) -> None:
    assert set(TREES) == set(BENCHMARKS)
    shown = robustmm("data", "prepare", "--help").out
    assert f"Benchmarks: {', '.join(BENCHMARKS)}." in " ".join(shown.split())
    listed = robustmm("data", "benchmarks").out
    assert all(f" {name} " in listed for name in BENCHMARKS)


@pytest.mark.parametrize("name", sorted(TREES))
def test_a_benchmark_goes_from_raw_files_to_a_checked_manifest(robustmm: Cli, tmp_path: Path, name: str) -> None:
    tree = TREES[name](tmp_path / "raw")
    done = check_prepared(robustmm, name, tree, tmp_path)
    assert f"{BENCHMARKS[name].title}: {len(tree.rows)} rows of" in done.err
    assert "not as many rows as published" in done.err
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    again = robustmm("data", "prepare", name, "raw", "out", *tree.words, cwd=tmp_path)
    assert again.code == 0
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_the_original_table_of_nyud2(robustmm: Cli, tmp_path: Path) -> None:
    pytest.importorskip("h5py", reason="h5py writes and reads MATLAB 7.3")
    check_prepared(robustmm, "nyud2", make_nyud2_table(tmp_path / "raw"), tmp_path)
    depth = cv2.imread(str(tmp_path / "out/depth/0003.png"), cv2.IMREAD_UNCHANGED)
    assert (depth.dtype, depth.shape, depth[7, 5], depth[8, 5]) == (np.uint16, (48, 64), 0, 3000), "3 m, and one hole"
    stored = np.random.default_rng(0).integers(0, 255, (6, 3, 64, 48), dtype=np.uint8)
    assert np.array_equal(cv2.imread(str(tmp_path / "out/rgb/0003.png"))[..., ::-1], stored[2].transpose(2, 1, 0))


def test_the_commands_of_the_page_run(robustmm: Cli, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    commands = [line.split()[1:] for line in page.splitlines() if line.startswith("    robustmm data ")]
    assert [words[2] for words in commands] == [*BENCHMARKS, "food101"]
    for words in commands:
        here = tmp_path / words[2]
        tree = TREES[words[2]](here / "raw")
        assert robustmm(*words, cwd=here).code == 0
        assert {key: (row["split"], row["label"]) for key, row in read_rows(here / "out").items()} == tree.rows


def test_a_benchmark_of_ones_own_goes_by_its_module(robustmm: Cli, tmp_path: Path) -> None:
    write_text(
        tmp_path / "own_benchmark.py",
        "from robustmm.data.benchmarks.iemocap import Iemocap\nclass Own(Iemocap):\n    title = 'Own'\n",
    )
    TREES["iemocap"](tmp_path / "raw")
    done = robustmm("data", "prepare", "own_benchmark:Own", "raw", "out", cwd=tmp_path)
    assert done.code == 0
    assert "Own: 6 rows of 3 classes" in done.err
