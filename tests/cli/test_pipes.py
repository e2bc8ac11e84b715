"""What a pipe or a log gets to read on stderr: whole lines, no bars and nothing blank."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import worlds

from robustmm.config.toml import to_toml
from robustmm.runs import Run


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, world: Run, world_manifest: Path) -> Path:
    """A folder with tiny.toml, the world's data and its exported run."""
    folder = tmp_path_factory.mktemp("pipes")
    shutil.copytree(world.folder, folder / "runs" / "world-001")
    shutil.copytree(world_manifest.parent, folder / "data")
    content = worlds.tables(folder / "data" / "manifest.csv")
    content |= {"train": {"epochs": 1, "batch": 16}, "method": {"name": "joint"}}
    (folder / "tiny.toml").write_text(to_toml(content), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("words", "last"),
    [
        (["train", "tiny.toml"], "training: epoch 1 "),
        (["audit", "--suite", "quick", "--workers", "1", "--out", "a"], "results: a/results.json"),
        (["attack", "--noise", "gaussian", "--level", "0.5"], "data: split test of "),
        (["data", "check", "data"], ""),
    ],
    ids=lambda words: words[0] if isinstance(words, list) else "",
)
def test_no_bars_in_a_pipe(here: Path, words: list[str], last: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in ("FORCE_COLOR", "TTY_COMPATIBLE")}
    command = [sys.executable, "-m", "robustmm", *words]
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True)
    assert done.returncode == 0
    lines = done.stderr.split("\n")
    assert lines.pop() == "", "the last line has an end"
    assert all(line.strip() == line != "" for line in lines), done.stderr
    assert "\r" not in done.stderr
    assert "\x1b" not in done.stderr
    assert (lines[-1:] or [""])[0].startswith(last)
