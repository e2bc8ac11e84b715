"""Standard streams that are closed, full or without a reader: results survive, errors stay on stderr."""

import os
import shutil
import subprocess
import sys
import threading
import time
from io import BufferedWriter, TextIOWrapper
from pathlib import Path

import pytest
import worlds

from robustmm.config.toml import to_toml
from robustmm.report.live.streams import LastingFile
from robustmm.runs import Run

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a shell and a device that is always full")
CLOSED = "error: the result could not be printed: stdout is closed\n"
FULL = "error: the result could not be printed: No space left on device\n"
UNKNOWN = "error: No such command 'nonsense'\n"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, world: Run, world_manifest: Path) -> Path:
    """A folder with tiny.toml, the world's data and its exported run."""
    folder = tmp_path_factory.mktemp("streams")
    shutil.copytree(world.folder, folder / "runs" / "world-001")
    shutil.copytree(world_manifest.parent, folder / "data")
    content = worlds.tables(folder / "data" / "manifest.csv")
    content |= {"train": {"epochs": 1, "batch": 16}, "method": {"name": "joint"}}
    (folder / "tiny.toml").write_text(to_toml(content), encoding="utf-8")
    return folder


def run(words: str, redirected: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`robustmm WORDS REDIRECTED`, in a shell."""
    command = ["bash", "-o", "pipefail", "-c", f"{sys.executable} -m robustmm {words} {redirected}"]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("words", "redirected", "code", "err"),
    [
        ("--help", ">&-", 3, CLOSED),
        ("--help", ">/dev/full", 3, FULL),
        ("--help", ">&- 2>&-", 3, ""),
        ("--help", ">/dev/full 2>&1", 3, ""),
        ("--help", "<&-", 0, ""),
        ("--help", "2>&-", 0, ""),
        ("--help", "2>/dev/full", 0, ""),
        ("--help", "| head -c 1", 0, ""),
        ("nonsense", "2>&-", 2, ""),
        ("nonsense", "2>/dev/full", 2, ""),
        ("nonsense", ">&-", 2, UNKNOWN),
        ("nonsense", ">&- 2>&- <&-", 2, ""),
        ("show digits", ">&-", 3, CLOSED),
        ("data recipe data", ">/dev/full", 3, FULL),
        ("predict -h", ">&-", 3, CLOSED),
    ],
)
def test_any_stream_may_be_broken(here: Path, words: str, redirected: str, code: int, err: str) -> None:
    done = run(words, redirected, here)
    assert (done.returncode, done.stderr) == (code, err)
    assert bool(done.stdout) == (code == 0), "an error is never a result"
    assert "error" not in done.stdout.split("\n")[0]


def test_a_reader_that_leaves_changes_no_exit_code(here: Path) -> None:
    whole = (here / "data" / "manifest.csv").read_text()
    lines = whole.splitlines()
    lines[1] = ",".join(f"none{cell}" if ".npy" in cell else cell for cell in lines[1].split(","))
    (here / "data" / "bad.csv").write_text("\n".join(lines))
    done = run("data check data/bad.csv", "| head -c 1", here)
    (here / "data" / "bad.csv").unlink()
    assert done.returncode == 3
    assert "cannot be read (listed above)" in done.stderr


@pytest.mark.parametrize("redirected", ["2>/dev/full", ">&- 2>&- <&-"])
def test_an_audit_with_workers_is_whole(here: Path, redirected: str) -> None:
    shutil.rmtree(here / "a", ignore_errors=True)
    if not (here / "whole").exists():
        assert run("audit --suite quick --batch 64 --workers 1 --out whole", "", here).returncode == 0
    done = run("audit --suite quick --batch 64 --workers 2 --out a", redirected, here)
    assert (done.returncode, done.stderr) == (3 if ">&- " in redirected else 0, "")
    for name in ("results.json", "records.parquet"):
        assert (here / "a" / name).read_bytes() == (here / "whole" / name).read_bytes(), "nothing was printed into it"


def test_a_training_is_whole(here: Path) -> None:
    done = run("train tiny.toml --runs t --json", "2>/dev/full", here)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("{")
    assert Run(here / "t" / "tiny-001").is_finished


def test_a_bench_is_whole(here: Path) -> None:
    words = "bench tiny.toml --methods joint --seeds 1 --workers 1 --csv numbers.csv --out b"
    assert run(words, ">&- 2>&- <&-", here).returncode == 3
    whole = (here / "numbers.csv").read_bytes()
    done = run(words, "2>/dev/full", here)
    assert (done.returncode, done.stderr) == (0, "")
    assert "joint" in done.stdout
    assert (here / "numbers.csv").read_bytes() == whole


def test_what_cannot_be_written_is_dropped_and_remembered() -> None:
    ours, theirs = os.pipe()
    raw = LastingFile(theirs, "w")
    file = TextIOWrapper(BufferedWriter(raw), encoding="utf-8", line_buffering=True)
    print("one", file=file)
    assert os.read(ours, 9) == b"one\n"
    assert raw.error is None
    os.close(ours)
    print("two", file=file)
    print("three", file=file)
    file.close()
    assert isinstance(raw.error, BrokenPipeError)


def test_a_pipe_that_is_full_is_waited_for() -> None:
    """Of a terminal or a program that made the pipe non-blocking; Python would raise BlockingIOError."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    read = bytearray()

    def drain() -> None:
        time.sleep(0.1)
        while len(read) < 1_000_000:
            read.extend(os.read(ours, 65536))

    reader = threading.Thread(target=drain)
    reader.start()
    with BufferedWriter(LastingFile(theirs, "w")) as file:
        file.write(bytes(1_000_000))
    reader.join(timeout=20)
    os.close(ours)
    assert len(read) == 1_000_000
