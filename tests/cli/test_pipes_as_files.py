"""A pipe, a device or a link to one where a file is expected: one sentence, before it is opened.

Every call has ten seconds: whoever opens a pipe that nobody writes to waits for ever.
"""

import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from robustmm.errors import DataError, RobustmmError, check_regular
from robustmm.runs import Run

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
KINDS = ["pipe", "device", "link to a device"]
CELLS = ["a.npy", "a.npy#0", "a.wav", "a.png", "a.mp4", "a.csv"]
PLACES = ["run.json", "log.csv", "last.safetensors"]


@pytest.fixture(autouse=True)
def ten_seconds() -> Iterator[None]:
    def end(number: int, frame: object) -> None:
        raise TimeoutError("it was opened, and waited for")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def put(path: Path, kind: str) -> str:
    """Puts one there; what it is called."""
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
        return "a pipe"
    path.symlink_to("/dev/zero")
    if kind == "link to a device":
        path.rename(path.with_name("other"))
        path.symlink_to("other")
    return "a device"


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_named(tmp_path: Path, kind: str) -> None:
    found = put(tmp_path / "a", kind)
    with pytest.raises(DataError, match=f"a should be a file, found {found}"):
        check_regular(tmp_path / "a")


def test_a_socket_is_named_and_files_are_let_through(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path, tmp_path / "gone", tmp_path / "\0", tmp_path / ("x" * 5000)):
        check_regular(path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        with pytest.raises(DataError, match="found a socket"):
            check_regular(tmp_path / "s")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cell", CELLS)
def test_cells(tmp_path: Path, cell: str, kind: str) -> None:
    from robustmm.modalities import KINDS as MODALITIES

    table: dict[str, tuple[str, dict[str, object]]] = {
        ".npy": ("features", {"length": 3}), ".wav": ("audio", {"rate": 8000, "seconds": 1}),
        ".png": ("image", {"size": (4, 4, 3)}), ".mp4": ("video", {"size": (4, 4, 3), "frames": 2}),
        ".csv": ("series", {"steps": 4, "channels": 2}),
    }  # fmt: skip
    name, facts = table["." + cell.partition("#")[0].rpartition(".")[2]]
    modality = MODALITIES[name].model_validate({"name": "m", "kind": name, **facts})
    found = put(tmp_path / cell.partition("#")[0], kind)
    for read in (modality.read, modality.size_of):
        with pytest.raises(DataError, match=f"should be a file, found {found}"):
            read(cell, tmp_path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("data", "check", "it.csv"), "it.csv"),
        (("data", "check", "."), "manifest.jsonl"),
        (("attack", "m.onnx", "--data", "data", "--missing", "it.csv"), "it.csv"),
        (("attack", "m.onnx", "--data", "data", "--expect", "it.csv", "--missing", "series=0.5"), "it.csv"),
        (("attack", "it.onnx", "--data", "data", "--missing", "series=0.5"), "it.onnx"),
        (("attack", "m.onnx", "--data", "data", "--describe", "it.toml", "--missing", "series=0.5"), "it.toml"),
        (("audit", "it.onnx", "--data", "data", "--suite", "quick", "--out", "o"), "it.onnx"),
        (("audit", "m.onnx", "--data", "it.csv", "--suite", "quick", "--out", "o"), "it.csv"),
        (("check", "m.onnx", "--data", "data", "--expect", "it.csv"), "it.csv"),
        (("describe", "it.onnx"), "it.onnx"),
        (("describe", "m.onnx"), "config.json"),
        (("train", "it.toml"), "it.toml"),
        (("show", "it.toml"), "it.toml"),
        (("audit", "m.onnx", "--data", "data", "--suite", "it.toml", "--out", "o"), "it.toml"),
        (("audit", "m.onnx", "--data", "data", "--suite", "quick", "--reference", "it.json", "--out", "o"), "it.json"),
        (("audit", "m.onnx", "--data", "data", "--suite", "quick", "--gates", "it.toml", "--out", "o"), "it.toml"),
        (("gates", "m.onnx", "--data", "data", "--suite", "it.toml"), "it.toml"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:1]),
)
def test_options(
    tmp_path: Path, world: Run, world_manifest: Path, robustmm: Callable, words: tuple, name: str, kind: str
) -> None:
    shutil.copy(world.model, tmp_path / "m.onnx")
    (tmp_path / "data").symlink_to(world_manifest.parent)
    found = put(tmp_path / name, kind)
    done = robustmm(*words, cwd=tmp_path)
    assert done.code in (2, 3)
    assert f"{name} should be a file, found {found}\n" in done.err


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PLACES)
def test_files_of_a_run(tmp_path: Path, world: Run, kind: str, name: str) -> None:
    from robustmm.training.checkpoint import load_tensors

    shutil.copy(world.folder / "run.json", tmp_path / "run.json")
    found, run = put(tmp_path / name, kind), Run(tmp_path)
    read = {"run.json": run.read_facts, "log.csv": run.log, "last.safetensors": lambda: load_tensors(run.checkpoint)}
    with pytest.raises(RobustmmError, match=f"{name} should be a file, found {found}"):
        read[name]()
