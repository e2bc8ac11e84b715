"""Small manifests with a known truth, made of real files, for tests that train, export and attack."""

import csv
from pathlib import Path

import numpy as np

from robustmm.recipe import Recipe, build

CLASSES = ("ant", "bee", "cat")


def manifest(folder: Path, *, samples: int = 96, seed: int = 0, missing: float = 0.0) -> Path:
    """Three classes told by a vector (weakly) and a series (strongly); splits 4 : 1 : 3 of train, valid and test."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    target = np.arange(samples) % len(CLASSES)
    vector = rng.normal(size=(samples, 5)) + 1.2 * np.eye(5)[target]
    series = rng.normal(size=(samples, 12, 2))
    series[:, :, 0] += 1.5 * np.sin(np.arange(12) * (1 + target[:, None]))
    np.save(folder / "vector.npy", vector.astype(np.float32))
    np.save(folder / "series.npy", series.astype(np.float32))
    splits = np.array(["train"] * 4 + ["valid"] + ["test"] * 3)[np.arange(samples) // len(CLASSES) % 8]
    gone = rng.random((samples, 2)) < missing
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "split", "label", "site", "vector", "series"])
        for i in range(samples):
            cells = [f"vector.npy#{i}", f"series.npy#{i}"]
            cells = ["" if lost else cell for cell, lost in zip(cells, gone[i], strict=True)]
            writer.writerow([f"s{i:03d}", splits[i], CLASSES[target[i]], "north" if i % 2 else "south", *cells])
    return folder / "manifest.csv"


def recipe(path: Path, **train: object) -> Recipe:
    """A recipe for `manifest`, small enough to train in a second."""
    content = tables(path)
    content["train"] = {"epochs": 3, "batch": 16, **train}
    return build(content, "world", "world")


def tables(path: Path) -> dict[str, object]:
    return {
        "data": {"manifest": str(path)},
        "modality": {
            "vector": {"kind": "features", "length": 5, "encoder": {"name": "mlp", "layers": [16]}},
            "series": {"kind": "series", "steps": 12, "channels": 2, "encoder": {"name": "conv", "channels": [8, 8]}},
        },
        "model": {"width": 8},
        "method": {"name": "cal+mce", "mce": {"hidden": 16}},
    }


class Nobody:
    """A watcher that looks away, and remembers the rows."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def begin(self, title: str, epochs: int, done: int, steps: int) -> None: ...

    def step(self, count: int = 1) -> None: ...

    def epoch(self, row: object) -> None:
        self.rows.append(dict(row))  # type: ignore[call-overload]
