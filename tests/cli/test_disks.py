"""Disks that are full, read-only or not there: exit 3, one sentence on the user's own path, nothing half written."""

import contextlib
import os
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import worlds

from robustmm.config.toml import to_toml
from robustmm.runs import Run

Cli = Callable[..., Any]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="limits of a process are POSIX's")


@pytest.fixture
def here(tmp_path: Path, world: Run, world_manifest: Path) -> Path:
    shutil.copytree(world.folder, tmp_path / "runs" / "world-001")
    shutil.copytree(world_manifest.parent, tmp_path / "data")
    content = worlds.tables(tmp_path / "data" / "manifest.csv")
    content |= {"train": {"epochs": 1, "batch": 16}, "method": {"name": "joint"}}
    (tmp_path / "tiny.toml").write_text(to_toml(content), encoding="utf-8")
    (tmp_path / "classes" / "x").mkdir(parents=True)
    for name in "abcdef":
        (tmp_path / "classes" / "x" / f"{name}.npy").touch()
    return tmp_path


@contextlib.contextmanager
def small_disk() -> Iterator[None]:
    """No file may grow beyond ten bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


COMMANDS = [
    ("copy digits {}", "out.toml"),
    ("describe runs/world-001/model.onnx -o {}", "out.toml"),
    ("data missing data --rate series=0.5 --out {}", "out.csv"),
    ("data manifest classes -o {} --split train=0.5,test=0.5", "out.csv"),
    ("attack --data data --noise gaussian --level 0.5 --preview {}", "out.png"),
    ("export -o {}", "out.onnx"),
]


@pytest.mark.parametrize(("words", "name"), COMMANDS)
def test_one_code_and_the_users_own_path(robustmm: Cli, here: Path, words: str, name: str) -> None:
    (here / "file").touch()
    before = files(here)
    for path in (f"no/{name}", f"file/{name}"):
        found = robustmm(*words.format(path).split(), cwd=here)
        assert (found.code, found.out) == (3, "")
        assert found.err.splitlines()[-1].startswith(f"error: {path} cannot be written: ")
    with small_disk():
        found = robustmm(*words.format(name).split(), cwd=here)
    assert (found.code, found.out) == (3, "")
    assert found.err.endswith(f"error: {name} cannot be written: File too large\n")
    assert files(here) == before
