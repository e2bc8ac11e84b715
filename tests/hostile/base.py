"""The undamaged inputs that every campaign starts from: data, media, recipes, a run, models, an audit; made once."""

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import soundfile
import worlds
from signals import clip, picture, sentence, voice

from hostile import fork
from hostile.fork import Ended
from robustmm.config.toml import to_toml

SAMPLES, FILMS = 48, 12
SUITE = """# hostile: six conditions
[[condition]]
name = "noise"
noise = [{name = "gaussian", on = ["series"], level = 0.5}]
[[condition]]
name = "missing"
missing = {vector = 0.5}
[[grid]]
noise = ["gaussian", "blank"]
level = [0.4, 0.8]
"""
GATES = """# hostile: gates of several kinds
[[gate]]
name = "clean"
metric = "accuracy"
condition = "clean"
min = 0.2
[[gate]]
name = "noise"
metric = "retention"
noise = "gaussian"
level = [0, 0.4]
min = 0.1
on = "point"
[[gate]]
name = "classes"
metric = "accuracy"
condition = "clean"
group = { label = "*" }
max_drop = 0.9
min_n = 2
[[gate]]
name = "leaning"
metric = "share"
of = "vector"
max = 0.99
"""
MEDIA = {
    "image": {"kind": "image", "size": [12, 12, 3], "encoder": {"name": "conv", "channels": [4, 4]}},
    "audio": {"kind": "audio", "rate": 8000, "seconds": 0.25, "encoder": {"name": "conv", "channels": [4, 4]}},
    "video": {"kind": "video", "frames": 2, "size": [8, 8, 3], "encoder": {"name": "conv", "channels": [4, 4]}},
    "text": {"kind": "text", "length": 8, "encoder": {"name": "conv", "channels": 4}},
}
RESULTS = ("log.csv", "model.safetensors")
"""What a training leaves that is the same however often it was stopped."""
ATTACK = ["attack", "model.onnx", "--data", "data", "--noise", "gaussian", "--level", "0.5", "--on", "series"]
AUDIT = ["audit", "model.onnx", "--data", "data", "--suite", "small.toml", "--out", "audit", "--workers", "1"]
DESCRIBED = ["attack", "foreign.onnx", "--describe", "foreign.toml", "--data", "data", "--missing", "vector=0.5"]


class Base:
    """A folder with all of it, and what the commands say of it undamaged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        worlds.manifest(folder / "data", samples=SAMPLES)
        tables = worlds.tables(Path("data/manifest.csv"))
        tables |= {"train": {"epochs": 2, "batch": 16}}
        (folder / "tiny.toml").write_text(to_toml(tables), encoding="utf-8")
        (folder / "small.toml").write_text(SUITE, encoding="utf-8")
        (folder / "gates.toml").write_text(GATES, encoding="utf-8")
        write_media(folder / "media")
        media = {"data": {"manifest": "media/manifest.csv"}, "modality": MEDIA, "model": {"width": 4}}
        media |= {"method": {"name": "joint"}, "train": {"epochs": 1, "batch": 4}}
        (folder / "media.toml").write_text(to_toml(media), encoding="utf-8")
        self.run("train", "media.toml", "--runs", "films")
        self.run("export", "films/media-001", "--output", "films.onnx")
        self.run("train", "tiny.toml")
        self.run("export", "--output", "model.onnx")
        stopped = fork.call(stop_after_an_epoch, folder)
        assert list((folder / "stopped").glob("*/last.safetensors")), stopped.err
        write_foreign(folder)
        self.attack = self.run(*ATTACK, "--json")
        shutil.copytree(folder / "stopped", folder / "resumed")
        self.run("train", "--resume", "resumed/tiny-001")
        self.resumed = {name: (folder / "resumed" / "tiny-001" / name).read_bytes() for name in RESULTS}
        shutil.rmtree(folder / "resumed")
        self.run(*AUDIT)
        self.audit = (folder / "audit" / "results.json").read_bytes()

    def run(self, *words: object) -> Ended:
        ended = fork.run(words, self.folder)
        assert ended.code == 0, (words, ended.out[-2000:], ended.err[-2000:])
        return ended


def stop_after_an_epoch() -> None:
    """Trains tiny.toml until its first epoch is kept, in the current folder."""
    from robustmm.config.recipe import load_recipe
    from robustmm.training.run import train

    class Leaver(worlds.Nobody):
        def note(self, text: str) -> None: ...

        def begin(self, title: str, epochs: int, done: int, steps: int) -> None:
            self.title = title

        def epoch(self, row: object) -> None:
            if self.title == "training":  # the teachers come first
                raise KeyboardInterrupt

    train(load_recipe(Path("tiny.toml")), Path("data/manifest.csv"), Path("stopped"), Leaver())


def write_media(folder: Path) -> None:
    """Real pictures, sounds, videos and sentences of two classes, in the formats that people have."""
    folder.mkdir()
    rows = [["id", "split", "label", "speaker", "image", "audio", "video", "text"]]
    for i in range(FILMS):
        image = f"i{i}.{('png', 'jpg', 'tif', 'bmp', 'webp', 'npy')[i % 6]}"
        sound = f"a{i}.{('wav', 'flac', 'ogg', 'mp3', 'aiff', 'npy')[i % 6]}"
        film = f"v{i}.avi"
        x = picture((24, 20, 3), i)
        np.save(folder / image, x) if image.endswith("npy") else cv2.imwrite(str(folder / image), x)
        wave = voice(0.5, 16_000, i)
        np.save(folder / sound, wave[::2]) if i % 6 == 5 else soundfile.write(folder / sound, wave, 16_000)
        writer = cv2.VideoWriter(str(folder / film), cv2.VideoWriter.fourcc(*"MJPG"), 10, (16, 16))
        for frame in clip(4, (16, 16, 3), i):
            writer.write(frame)
        writer.release()
        split = ("train", "train", "valid", "test")[i // 3]
        rows.append([f"m{i}", split, ("cat", "dog")[i % 2], f"p{i % 3}", image, sound, film, sentence(6, i)])
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def write_foreign(folder: Path) -> None:
    """A linear model over both inputs, as another tool would have written it, and its description."""
    import onnx
    from onnx import TensorProto, helper

    inputs = [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["N", 5])]
    inputs += [helper.make_tensor_value_info("series", TensorProto.FLOAT, ["N", 12, 2])]
    rng = np.random.default_rng(0)
    weights = {"wv": rng.normal(size=(5, 3)), "ws": rng.normal(size=(24, 3)), "b": rng.normal(size=3)}
    constants = [onnx.numpy_helper.from_array(w.astype(np.float32), n) for n, w in weights.items()]
    nodes = [
        helper.make_node("MatMul", ["vector", "wv"], ["hv"]),
        helper.make_node("Flatten", ["series"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "ws", "b"], ["hs"]),
        helper.make_node("Add", ["hv", "hs"], ["logits"]),
    ]
    output = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])]
    graph = helper.make_graph(nodes, "foreign", inputs, output, constants)
    onnx.save(
        helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)]), folder / "foreign.onnx"
    )
    (folder / "foreign.toml").write_text(
        f"classes = {json.dumps(list(worlds.CLASSES))}\n[output]\nname = 'logits'\n"
        "[modality.vector]\nkind = 'features'\nlength = 5\n"
        "[modality.series]\nkind = 'series'\nsteps = 12\nchannels = 2\n",
        encoding="utf-8",
    )
