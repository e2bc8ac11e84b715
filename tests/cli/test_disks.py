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
from robustmm.data.storage import cache
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
def small_disk(size: int = 10) -> Iterator[None]:
    """No file may grow beyond `size` bytes, in the processes that are begun here as well."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
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


BENCH = ["bench", "tiny.toml", "--methods", "joint", "--seeds", "1", "--workers", "1", "--out", "my-bench"]


@pytest.mark.parametrize("size", [10, 3000])
def test_a_bench_says_what_is_kept_and_how_to_go_on(robustmm: Cli, here: Path, size: int) -> None:
    """Full at the first file of the bench; then at a checkpoint."""
    with small_disk(size):
        found = robustmm(*BENCH, cwd=here)
    assert (found.code, found.out) == (3, "")
    kept = "0 of 1 trainings done; every whole epoch is kept in my-bench, the same command continues with the rest"
    assert [line for line in found.err.splitlines() if line.startswith("error: ")] == (
        [f"error: my-bench cannot be written: File too large; {kept}"]
        if size == 10
        else ["error: joint, seed 0: my-bench cannot be written: File too large", f"error: {kept}"]
    )
    assert not list((here / "my-bench").rglob("*.part"))
    assert [bool(list((here / "my-bench").rglob(name))) for name in ("recipe.toml", "log.csv")] == [size > 10] * 2
    assert not list((here / "my-bench").rglob("last.safetensors"))
    assert robustmm(*BENCH, cwd=here).code == 0
    before = files(here)
    with small_disk():
        found = robustmm(*BENCH, "--csv", "a.csv", cwd=here)
    assert (found.code, found.out) == (3, "")
    assert found.err.splitlines()[-1] == (
        "error: a.csv cannot be written: File too large; the trainings are kept in my-bench, the same command writes it"
    )
    assert files(here) == before
    assert robustmm(*BENCH, "--csv", "a.csv", cwd=here).code == 0


def test_a_cache_on_a_full_disk_goes_on_where_it_stopped(
    robustmm: Cli, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shard of the vectors is written, that of the series is not; both trainings then give the same bytes."""
    monkeypatch.setattr(cache, "cache_folder", lambda: here / "cache")
    words = ["train", "tiny.toml", "--threads", "1"]
    with small_disk(6000):
        found = robustmm(*words, "--storage", "cache", cwd=here)
    shards = files(here / "cache")
    assert (found.code, found.out) == (3, "")
    told = f"the cache in {here / 'cache'} cannot be written: File too large; what is there is used again"
    assert told in found.err.splitlines()[-1]
    assert [path.suffix for path in shards] == [".signals"]
    times = {path: path.stat().st_ino for path in shards}
    for mode in ("cache", "memory"):
        assert robustmm(*words, "--storage", mode, cwd=here).code == 0
    assert {path: path.stat().st_ino for path in shards} == times
    assert len({Run(here / "runs" / f"tiny-00{n}").weights.read_bytes() for n in (1, 2)}) == 1
