"""What a guard adds to a model of two ResNet-18 encoders, in time and in bytes: python benchmarks/guard_cost.py

Two pictures of 224 x 224 a sample, random weights after one step, onnxruntime on one thread. Plain and hardened file
run in turn, at one row and at eight; the ratio is that of the medians of both.
"""

import csv
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime
from numpy.typing import NDArray

import robustmm as rm

ROUNDS = 15
SAMPLES = {"train": 32, "valid": 12}
RESNET_18 = '{ model_type = "resnet", depths = [2, 2, 2, 2], hidden_sizes = [64, 128, 256, 512], layer_type = "basic" }'
RECIPE = f"""
[modality.front]
kind = "image"
size = [224, 224, 3]
encoder = {{ name = "transformers", pretrained = false, config = {RESNET_18} }}

[modality.rear]
kind = "image"
size = [224, 224, 3]
encoder = {{ name = "transformers", pretrained = false, config = {RESNET_18} }}

[method]
name = "joint"

[train]
epochs = 1
batch = 16
"""


def write_data(folder: Path) -> Path:
    """Smooth pictures, brighter in the second class."""
    import cv2

    rng, total = np.random.default_rng(0), sum(SAMPLES.values())
    for name in ("front", "rear"):
        coarse = (
            rng.integers(0, 200, (total, 14, 14, 3), dtype=np.uint8) + 50 * (np.arange(total) % 2)[:, None, None, None]
        )
        np.save(folder / f"{name}.npy", np.stack([cv2.resize(x.astype(np.uint8), (224, 224)) for x in coarse]))
    splits = [split for split, n in SAMPLES.items() for _ in range(n)]
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "split", "label", "front", "rear"])
        writer.writerows([f"s{i}", s, "ab"[i % 2], f"front.npy#{i}", f"rear.npy#{i}"] for i, s in enumerate(splits))
    return folder / "manifest.csv"


def open_file(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def measure(files: dict[str, Path], rows: int) -> dict[str, float]:
    """The median of the seconds of a run, by file; the files take turns."""
    rng = np.random.default_rng(0)
    feed: dict[str, NDArray[np.generic]] = {
        name: rng.integers(0, 256, (rows, 224, 224, 3), dtype=np.uint8) for name in ("front", "rear")
    }
    feed["present"] = np.ones((rows, 2), bool)
    sessions, seconds = {name: open_file(path) for name, path in files.items()}, {name: list[float]() for name in files}
    for turn in range(ROUNDS + 2):
        for name, session in sessions.items():
            began = time.perf_counter()
            session.run(["logits"], feed)
            if turn > 1:
                seconds[name].append(time.perf_counter() - began)
    return {name: median(each) for name, each in seconds.items()}


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "two.toml").write_text(RECIPE)
        manifest = write_data(folder)
        run = rm.train(folder / "two.toml", data=manifest, runs=folder / "runs")
        plain = rm.export(run).path
        began = time.perf_counter()
        hardened = rm.harden(plain, data=manifest).path
        print(f"harden: {time.perf_counter() - began:.0f} s")
        files = {"plain": plain, "hardened": hardened}
        for rows in (1, 8):
            found = measure(files, rows)
            added = found["hardened"] / found["plain"] - 1
            print(
                f"{rows} rows: {1000 * found['plain']:.1f} -> {1000 * found['hardened']:.1f} ms, {100 * added:+.1f} %"
            )
        sizes = [path.stat().st_size for path in files.values()]
        print(f"size: {sizes[0] / 1e6:.2f} -> {sizes[1] / 1e6:.2f} MB, {100 * (sizes[1] / sizes[0] - 1):+.1f} %")


if __name__ == "__main__":
    main()
