"""Pictures, recordings, sentences and measurements of three kinds of animal, as files with a manifest."""

import csv
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import soundfile
from numpy.typing import NDArray

CLASSES = ("bee", "cat", "dog")
TRAIN, TEST = 240, 150
SIDE, RATE, SAMPLES = 16, 2000, 1000
WORDS = {
    "bee": ("buzz", "sting", "honey", "wing"), "cat": ("purr", "claw", "milk", "roof"),
    "dog": ("bark", "bone", "leash", "fetch"),
}  # fmt: skip
FILLERS = ("the", "small", "one", "was", "here", "today", "and", "then")
COLOURS = {"bee": (150, 130, 90), "cat": (120, 120, 130), "dog": (130, 105, 95)}

Array = NDArray[Any]


class Samples(NamedTuple):
    """The rows of a manifest as their owner holds them: pictures (n, 16, 16, 3) RGB, waves of different lengths,
    sentences, measurements (n, 4)."""

    label: Array
    photo: Array
    wave: list[Array]
    text: list[str]
    vitals: Array

    def part(self, rows: slice) -> "Samples":
        return Samples(self.label[rows], self.photo[rows], self.wave[rows], self.text[rows], self.vitals[rows])


def draw_samples(seed: int = 0) -> Samples:
    """`TRAIN` and then `TEST` samples; no modality tells the class for certain."""
    rng = np.random.default_rng(seed)
    n = TRAIN + TEST
    label = rng.integers(3, size=n)
    names = [CLASSES[k] for k in label]
    base = np.array([COLOURS[name] for name in names])[:, None, None]
    photo = np.clip(base + rng.normal(0, 25, (n, 1, 1, 3)) + rng.normal(0, 30, (n, SIDE, SIDE, 3)), 0, 255)
    wave = []
    for name in names:
        time = np.arange(rng.integers(SAMPLES // 2, SAMPLES)) / RATE
        pitch = {"bee": 230, "cat": 160, "dog": 100}[name] + rng.normal(0, 30)
        sound = 0.3 * np.sin(2 * np.pi * pitch * time + rng.uniform(0, 6)) + rng.normal(0, 0.15, len(time))
        wave.append(np.rint(np.clip(sound, -1, 1) * 32767).astype(np.int16))
    text = []
    for name in names:
        true = [w for w in rng.choice(WORDS[name], 2) if rng.random() < 0.6]
        other = list(rng.choice(WORDS[CLASSES[rng.integers(3)]], 1))
        text.append(" ".join(rng.permutation([*true, *other, *rng.choice(FILLERS, rng.integers(3, 6))])))
    vitals = np.array([[4, 30, 900, 0.2], [5, 60, 1000, 0.3], [7, 80, 1100, 0.1]])[label]
    vitals = vitals + rng.normal(size=(n, 4)) * [3, 40, 150, 0.2]
    return Samples(label, photo.round().astype(np.uint8), wave, text, vitals.astype(np.float32))


def write_manifest(folder: Path, samples: Samples, columns: dict[str, str]) -> Path:
    """The samples as files, with a column for each of `columns`: the manifest's name of photo, wave, text or vitals."""
    np.save(folder / "vitals.npy", samples.vitals)
    for kind in ("photo", "wave"):
        if kind in columns:
            (folder / kind).mkdir(exist_ok=True)
    rows = []
    for i in range(len(samples.label)):
        cells = {"vitals": f"vitals.npy#{i}", "text": samples.text[i]}
        if "photo" in columns:
            cells["photo"] = f"photo/{i}.png"
            cv2.imwrite(str(folder / cells["photo"]), samples.photo[i][..., ::-1])
        if "wave" in columns:
            cells["wave"] = f"wave/{i}.wav"
            soundfile.write(folder / cells["wave"], samples.wave[i], RATE)
        split = "train" if i < TRAIN else "test"
        rows.append([f"a{i}", split, CLASSES[samples.label[i]], *(cells[kind] for kind in columns)])
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "split", "label", *columns.values()], *rows])
    return folder / "manifest.csv"
