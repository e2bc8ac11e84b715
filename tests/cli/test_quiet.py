"""What libraries write where nobody asked them to: nothing on stderr, nothing under the user's cache folder."""

import io
import os
import random
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import soundfile
from onnx import helper

from robustmm.runs import Run

RNG = np.random.default_rng(0)
FORMATS = ["WAV", "AIFF", "RF64", "W64", "FLAC", "OGG", "MP3"]
OURS = ("error: ", "warning: ", "data: ", "model: ")


def run(code: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python CODE` as a user starts it, without what this test run sets."""
    unset = ("ORT_", "OPENCV_", "NO_ALBUMENTATIONS")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(unset)}
    command = [sys.executable, *code]
    return subprocess.run(command, cwd=cwd, env=kept | environment, capture_output=True, text=True, timeout=120)


def damaged(content: bytes, seed: int) -> bytes:
    """The content with some bytes of its first 120 changed."""
    rng, found = random.Random(seed), bytearray(content)
    for _ in range(4):
        found[rng.randrange(8, min(120, len(found)))] = rng.choice([0, 127, 128, 255])
    return bytes(found)


def write_damaged(folder: Path) -> None:
    """A data set of damaged pictures, sounds and videos, and their manifest."""
    sounds = {}
    for kind in FORMATS:
        file = io.BytesIO()
        soundfile.write(file, 0.1 * RNG.normal(size=2000), 8000, format=kind)
        sounds[kind] = file.getvalue()
    writer = cv2.VideoWriter(str(folder / "whole.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (32, 24))
    for _ in range(4):
        writer.write(RNG.integers(0, 256, (24, 32, 3), dtype=np.uint8))
    writer.release()
    video = (folder / "whole.avi").read_bytes()
    pictures = [cv2.imencode(s, RNG.integers(0, 256, (9, 9, 3), dtype=np.uint8))[1].tobytes() for s in (".png", ".tif")]
    rows = ["id,split,label,image,audio,video"]
    for i in range(42):
        kind = FORMATS[i % len(FORMATS)]
        (folder / f"{i}.{kind.lower()}").write_bytes(damaged(sounds[kind], i))
        (folder / f"{i}.avi").write_bytes(damaged(video, i))
        (folder / f"{i}.png").write_bytes(damaged(pictures[i % 2], i))
        rows.append(f"{i},{('train', 'valid', 'test')[i % 3]},{i % 2},{i}.png,{i}.{kind.lower()},{i}.avi")
    (folder / "manifest.csv").write_text("\n".join(rows), encoding="utf-8")


def test_damaged_files_print_nothing(tmp_path: Path) -> None:
    write_damaged(tmp_path)
    reader = (
        "import sys, robustmm\nfrom pathlib import Path\nfrom robustmm.errors import DataError\n"
        "from robustmm.modalities import Audio, Image, Video\n"
        "kinds = [Image(name='i', size=(8, 8, 3)), Audio(name='a', rate=8000, seconds=0.25),"
        " Video(name='v', frames=2, size=(8, 8, 3))]\n"
        "bad = 0\n"
        "for line in Path('manifest.csv').read_text().splitlines()[1:]:\n"
        "    for kind, cell in zip(kinds, line.split(',')[3:]):\n"
        "        for read in (kind.read, kind.size_of, kind.find_faults):\n"
        "            try: read(cell, Path())\n"
        "            except DataError: bad += 1\n"
        "print(bad)\n"
    )
    face = run(["-c", reader], tmp_path)
    assert face.stderr == ""
    assert int(face.stdout) > 42, "many of them were damaged"
    check = run(["-m", "robustmm", "data", "check", "."], tmp_path)
    assert check.returncode in (0, 3)
    assert [line for line in check.stderr.splitlines() if not line.startswith(OURS)] == []


def test_a_graph_that_is_refused_prints_our_sentence_alone(tmp_path: Path) -> None:
    node = helper.make_node("Gemm", ["x", "w"], ["logits"], name="\x1b]0;owned\x07")
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", 3]) for name in ("x", "logits")]
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    onnx.save(helper.make_model(graph, ir_version=9), tmp_path / "m.onnx")
    (tmp_path / "run.py").write_text(
        "import sys\nfrom pathlib import Path\nfrom robustmm.runtime.runner import GRAPH_ERRORS, Runner\n"
        "try: Runner(Path('m.onnx'))\n"
        "except GRAPH_ERRORS: print('refused')\n"
    )
    done = run(["run.py"], tmp_path)
    assert (done.stdout, done.stderr) == ("refused\n", "")


@pytest.mark.parametrize("start", ["-c", "-m"], ids=["the Python face", "the command line"])
def test_onnxruntime_leaves_nothing_in_a_home(tmp_path: Path, world: Run, world_manifest: Path, start: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    model, data = str(world.model), str(world_manifest)
    words = [f"import robustmm as rm; rm.attack({model!r}, data={data!r}, missing={{'series': 0.5}})"]
    if start == "-m":
        words = ["robustmm", "attack", model, "--data", data, "--missing", "series=0.5"]
    done = run([start, *words], tmp_path, HOME=str(home), XDG_CACHE_HOME=str(home / "cache"))
    assert done.returncode == 0, done.stderr
    assert [path for path in home.rglob("*") if path.is_file()] == []
