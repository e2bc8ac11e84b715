"""What it costs to train on data that are not held in memory: python benchmarks/loading.py [PART ...]

Photographs (JPEG, 224 x 224) and recordings (WAV, 10 s at 16 kHz) are made on disk. Parts, all of them unless some are
named; each prints a table in Markdown:

- `speed`: samples a second of batches in random order, from memory, the cache, and decoded anew, by readers;
- `wait`: the share of a training's time in which a step waits for data, two ResNet-18 encoders, one thread;
- `frozen`: epochs of a frozen ResNet-18 that runs once, against one that runs in every step, and against none;
- `memory`: the peak of `robustmm train` at 1,000 and at 100,000 samples, whose decoded data are 0.8 GB.

Budgets: waits below 5 %, memory flat. A first training of the cache is slower by what `speed` says of making it.
"""

import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import soundfile
import torch

from robustmm.config.recipe import Train, build_recipe
from robustmm.data.manifest import Manifest, read_manifest
from robustmm.data.storage import cache
from robustmm.data.storage.split import Mode, Split, Storage, read_split
from robustmm.methods import Batch, Turn, build_method
from robustmm.modalities import Audio, Image, Modality
from robustmm.model.encoders import build_encoder
from robustmm.model.fusion import FUSIONS
from robustmm.model.fusion_model import FusionModel
from robustmm.progress import Silence
from robustmm.training.data import TrainingSplit
from robustmm.training.loop import fit
from robustmm.training.run import train
from robustmm.training.steps import features

ROWS, BATCH = 512, 32
IMAGE = Image(name="image", size=(224, 224, 3))
AUDIO = Audio(name="audio", rate=16_000, seconds=10.0)
KINDS: list[tuple[str, list[Modality]]] = [
    ("image, 224 px JPEG", [IMAGE]), ("audio, 10 s WAV", [AUDIO]), ("both", [IMAGE, AUDIO])
]  # fmt: skip
MODES: list[tuple[Mode, int]] = [("memory", 0), ("cache", 1), ("cache", 2), ("decode", 1), ("decode", 2)]
RESNET_18 = {"model_type": "resnet", "depths": [2] * 4, "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"}
STEPS, STEP = 6, 16
SMALL = """
[modality.wide]
kind = "features"
length = 2000
encoder = { name = "mlp", layers = [8] }

[modality.narrow]
kind = "features"
length = 8
encoder = { name = "mlp", layers = [8] }

[model]
width = 8

[method]
name = "joint"

[train]
epochs = 1
batch = 250
threads = 1
"""


def write_media(folder: Path) -> Manifest:
    """Pictures with the detail of photographs, coloured noise as sound, vectors as long as features; two classes."""
    rng = np.random.default_rng(0)
    np.save(folder / "vector.npy", rng.normal(size=(ROWS, 512)).astype(np.float32))
    lines = [["id", "split", "label", "image", "audio", "vector"]]
    for row in range(ROWS):
        drawn = rng.integers(0, 256, (28, 28, 3), dtype=np.uint8)
        coarse = cv2.resize(drawn, (224, 224), interpolation=cv2.INTER_CUBIC)
        grain = rng.normal(0, 8, coarse.shape)
        picture = np.clip(coarse + grain, 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{row}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
        sound = np.cumsum(rng.normal(0, 0.01, 160_000)) % 1 - 0.5
        soundfile.write(folder / f"{row}.wav", sound.astype(np.float32), 16_000, subtype="PCM_16")
        split = "valid" if row % 8 == 7 else "train"
        lines.append([f"s{row}", split, "ab"[row % 2], f"{row}.jpg", f"{row}.wav", f"vector.npy#{row}"])
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    return read_manifest(folder / "manifest.csv")


def open_data(manifest: Manifest, modalities: Sequence[Modality], mode: Mode, readers: int) -> Split:
    return read_split(manifest, modalities, ["a", "b"], storage=Storage(mode, readers))[0]


def read_epoch(data: TrainingSplit) -> tuple[float, float]:
    """Samples of an epoch in random order, by second on the clock and by second of processor time, of all threads."""
    turns = [Turn(rows) for rows in torch.randperm(len(data)).split(BATCH)]
    clock, worked = time.perf_counter(), time.process_time()
    for _ in data.batches(turns, 0.0, 0):
        pass
    return len(data) / (time.perf_counter() - clock), len(data) / (time.process_time() - worked)


def measure_speed(manifest: Manifest) -> None:
    """Three epochs of each storage in turn, the median; and what making the cache takes. In brackets by second of
    processor time, which a busy machine does not change."""
    print(
        "| samples/s (by core) | making the cache | "
        + " | ".join(f"{m}, {r} readers" if r else m for m, r in MODES)
        + " |"
    )
    print("|---|" + "--:|" * (1 + len(MODES)))
    for name, modalities in KINDS:
        cache.clear_cache()
        clock, worked = time.perf_counter(), time.process_time()
        open_data(manifest, modalities, "cache", 2)
        made = ROWS / (time.perf_counter() - clock), ROWS / (time.process_time() - worked)
        splits = [TrainingSplit(open_data(manifest, modalities, *mode), 2, torch.device("cpu")) for mode in MODES]
        rounds = [[read_epoch(split) for split in splits] for _ in range(3)]
        found = [made, *np.median(rounds, 0)]
        print(f"| {name} | " + " | ".join(f"{speed:,.0f} ({core:,.0f})" for speed, core in found) + " |", flush=True)


class WaitingSplit(TrainingSplit):
    """Counts the seconds in which the loop waits for a batch."""

    waited = 0.0

    def batches(self, turns: Sequence[Turn], dropout: float, epoch: int) -> Iterator[Batch]:
        made = super().batches(turns, dropout, epoch)
        for _ in turns:
            began = time.perf_counter()
            batch = next(made)
            self.waited += time.perf_counter() - began
            yield batch


def measure_waits(manifest: Manifest) -> None:
    """An epoch of `joint` with two ResNet-18 encoders, batches of 16."""
    torch.set_num_threads(1)
    some = manifest.take(list(range(STEPS * STEP)))
    print("| data from | seconds a step | waiting for data |")
    print("|---|--:|--:|")
    for mode, readers in MODES:
        data = WaitingSplit(open_data(some, [IMAGE, AUDIO], mode, readers), 2, torch.device("cpu"))
        valid = data.without_changes()
        valid.inputs = {name: x[:2] for name, x in data.inputs.items()}
        valid.present, valid.target, valid.workers = data.present[:2], data.target[:2], 0
        torch.manual_seed(0)
        resnet: dict[str, Any] = {"pretrained": False, "config": RESNET_18}
        encoders = {m.name: build_encoder(m, "transformers", **resnet) for m in (IMAGE, AUDIO)}
        model = FusionModel(encoders, FUSIONS["concat"](2, 64, 2), 64)
        method = build_method("joint", {})
        method.setup(model, data)
        began = time.perf_counter()
        fit(model, method, data, valid, Train(epochs=1, batch=STEP, optimiser="sgd"), Silence())
        spent = time.perf_counter() - began
        name = f"{mode}, {readers} reader{'s' * (readers > 1)}" if readers else mode
        print(f"| {name} | {spent / STEPS:.2f} | {100 * data.waited / spent:.1f} % |", flush=True)


class Clock(Silence):
    """When each part of a training began, and each epoch ended."""

    def __init__(self) -> None:
        self.began: list[float] = []
        self.ended: list[float] = []

    def begin(self, title: str, epochs: int, done: int, steps: int) -> None:
        self.began.append(time.perf_counter())

    def epoch(self, row: Mapping[str, float]) -> None:
        self.ended.append(time.perf_counter())


def measure_frozen(folder: Path, manifest: Manifest) -> None:
    """Epochs with a frozen ResNet-18 that runs in every step, with its features, and with vectors in their place."""
    from transformers import AutoConfig, AutoModel

    settings = {key: value for key, value in RESNET_18.items() if key != "model_type"}
    AutoModel.from_config(AutoConfig.for_model("resnet", **settings)).save_pretrained(folder / "resnet")
    frozen = {"name": "transformers", "model": str(folder / "resnet"), "freeze": True}
    image = {"image": {"kind": "image", "size": [224, 224, 3], "encoder": frozen}}
    vector = {"vector": {"kind": "features", "length": 512, "encoder": {"name": "mlp", "layers": [64]}}}
    print("| a frozen ResNet-18, image 224 px | seconds an epoch | before the first one |")
    print("|---|--:|--:|")
    once, rows = features.list_constant, (
        ("runs in every step", image, False), ("runs once", image, True), ("vectors in its place", vector, True)
    )  # fmt: skip
    for name, modality, chosen in rows:
        features.list_constant = once if chosen else lambda *_: []
        content = {"data": {"manifest": "-"}, "modality": modality, "method": {"name": "joint"},
                   "train": {"epochs": 3, "batch": 16, "threads": 1}}  # fmt: skip
        clock = Clock()
        train(build_recipe(content, "frozen", "frozen"), manifest.path, folder / "runs", clock)
        epochs = np.diff([clock.began[-1], *clock.ended])
        before = clock.began[-1] - clock.began[1] if len(clock.began) > 2 else 0.0
        print(f"| {name} | {np.median(epochs):.3f} | {before:.1f} |", flush=True)


def write_rows(folder: Path, rows: int) -> Path:
    """A manifest of so many rows, nine tenths of them for training, over arrays of a thousand."""
    rng = np.random.default_rng(0)
    np.save(folder / "wide.npy", rng.normal(size=(1000, 2000)).astype(np.float32))
    np.save(folder / "narrow.npy", rng.normal(size=(1000, 8)).astype(np.float32))
    with (folder / f"{rows}.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "split", "label", "wide", "narrow"])
        for row in range(rows):
            split = "valid" if row % 10 == 9 else "train"
            at = (row * 7919 + row // 1000) % 1000  # no two shards have the same cells
            writer.writerow([f"sample-{row:06d}", split, "ab"[row % 2], f"wide.npy#{at}", f"narrow.npy#{at}"])
    return folder / f"{rows}.csv"


RUN = """
import sys
from robustmm.cli import main
try:
    main()
finally:
    lines = open("/proc/self/status").read().splitlines()
    print(next(int(x.split()[1]) for x in lines if x.startswith("VmHWM")) / 1024, file=sys.stderr)
"""


def train_rows(folder: Path, rows: int, mode: str) -> tuple[float, float]:
    """The peak of resident memory, MiB, of a training of one epoch, and its seconds."""
    (folder / "small.toml").write_text(SMALL)
    words = ["train", "small.toml", "--data", str(write_rows(folder, rows)), "--storage", mode, "--readers", "2"]
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", RUN, *words], cwd=folder, capture_output=True, text=True, check=True)
    return float(done.stderr.split()[-1]), time.perf_counter() - began


def measure_memory(folder: Path) -> None:
    print("| data from | 1,000 samples | 100,000 samples | bytes a sample more |")
    print("|---|--:|--:|--:|")
    for mode in ("cache", "decode", "memory"):
        few, many = (train_rows(folder, rows, mode)[0] for rows in (1000, 100_000))
        grown = (many - few) * 2**20 / 99_000
        print(f"| {mode} | {few:.0f} MiB | {many:.0f} MiB (× {many / few:.2f}) | {grown:,.0f} |", flush=True)


def main(parts: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")  # of this process, and of those that it begins
        if "memory" in parts:  # first, before this process has grown
            measure_memory(folder)
        if {"speed", "wait", "frozen"} & {*parts}:
            manifest = write_media(folder)
            if "speed" in parts:
                measure_speed(manifest)
            if "wait" in parts:
                measure_waits(manifest)
            if "frozen" in parts:
                measure_frozen(folder, manifest)


if __name__ == "__main__":
    main(sys.argv[1:] or ["memory", "speed", "wait", "frozen"])
