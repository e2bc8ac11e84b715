"""Small manifests with a known truth, made of real files, for tests that train, export and attack."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from signals import WORDS, clip, course, picture, sentence, voice

from robustmm.config.recipe import Recipe, build_recipe
from robustmm.data.manifest import Manifest
from robustmm.modalities import Audio, Features, Image, Modality, Series, Text, Video

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
    content["train"] = {"epochs": 3, "batch": 16, "threads": 1, **train}
    return build_recipe(content, "world", "world")


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


SIX = (
    Image(name="image", size=(24, 24, 3)),
    Video(name="video", frames=6, size=(16, 16, 3)),
    Audio(name="audio", rate=16_000, seconds=0.5),
    Text(name="text").fit_to([" ".join(WORDS)]),
    Series(name="series", steps=40, channels=3, mean=(0.0, 1.0, -1.0), std=(2.0, 1.0, 0.5)),
    Features(name="features", length=20, mean=(0.0,) * 20, std=(1.0,) * 20),
)
"""A modality of each kind."""


def everything(folder: Path, samples: int = 4) -> Manifest:
    """A manifest with a natural signal of each kind in every row."""
    columns: dict[str, list[str]] = {
        "id": [f"s{i}" for i in range(samples)],
        "split": ["test"] * samples,
        "label": [CLASSES[i % 2] for i in range(samples)],
        "text": [sentence(20, i) for i in range(samples)],
    }
    made = {
        "image": [picture((24, 24, 3), i) for i in range(samples)],
        "video": [clip(6, (16, 16, 3), i) for i in range(samples)],
        "audio": [voice(0.5, 16_000, i) for i in range(samples)],
        "series": [course(40, 3, i) for i in range(samples)],
        "features": [np.random.default_rng(i).standard_normal(20).astype(np.float32) for i in range(samples)],
    }
    for name, signals in made.items():
        np.save(folder / f"{name}.npy", np.stack(signals))
        columns[name] = [f"{name}.npy#{i}" for i in range(samples)]
    return Manifest(folder / "manifest.csv", columns, list(range(2, samples + 2)))


class MeanSession:
    """A session without a network: an embedding is the input's mean, the answer that of the present ones."""

    classes = list(CLASSES[:2])
    decodes = 16_384
    is_hardened = False
    prior = np.array([0.5, 0.5])

    def __init__(self, modalities: Sequence[Modality] = SIX) -> None:
        self.modalities = list(modalities)
        self.names = [m.name for m in modalities]

    def modality(self, name: str) -> Modality:
        return self.modalities[self.names.index(name)]

    def embed(self, name: str, x: NDArray[Any]) -> NDArray[np.float32]:
        assert x.shape[1:] == self.modality(name).shape
        return x.reshape(len(x), -1).mean(1, dtype=np.float64)[:, None].astype(np.float32)

    def embeddings(self, inputs: Mapping[str, NDArray[Any]], batch: int) -> dict[str, NDArray[np.float32]]:
        return {name: self.embed(name, x) for name, x in inputs.items()}

    def decode(self, z: Mapping[str, NDArray[np.float32]], present: NDArray[np.bool_]) -> NDArray[np.float64]:
        stacked = np.stack([z[name] for name in self.names], 1)
        score = np.where(present, np.tanh(stacked[..., 0].astype(np.float64)), 0).mean(1)
        return np.stack([1 + score, 1 - score], 1) / 2


class Nobody:
    """A watcher that looks away, and remembers the rows."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def note(self, text: str) -> None: ...

    def begin(self, title: str, epochs: int, done: int, steps: int) -> None: ...

    def step(self, count: int = 1) -> None: ...

    def epoch(self, row: object) -> None:
        self.rows.append(dict(row))  # type: ignore[call-overload]
