"""Methods under imbalanced missing rates in training: joint, mce and cal+mce over five seeds.

    python benchmarks/missing_rates.py handwritten MANIFEST pixels=0.8,fourier=0.3,profile=0.7 train.epochs=12

The rates drop a fixed share of the training samples' modalities. Each line is one run on the whole test split: accuracy
with everything present, and its mean over every non-empty subset of the modalities. Then mean and standard deviation
over seeds, and the paired difference to joint with its 95 % t interval.
"""

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy.stats import t as student

from robustmm import contribution, export, recipe, shelf, training
from robustmm.manifest import read
from robustmm.parity import by_torch
from robustmm.reading import loaded

METHODS = ("joint", "mce", "cal+mce")
SEEDS = 5


class Nobody:
    """A watcher that looks away."""

    def begin(self, title: str, epochs: int, done: int, steps: int) -> None: ...

    def step(self, count: int = 1) -> None: ...

    def epoch(self, row: Mapping[str, float]) -> None: ...


def accuracies(name: str, manifest: Path, settings: list[str], runs: Path) -> tuple[float, float]:
    """(everything present, mean over subsets) on the test split."""
    run = training.train(recipe.load(shelf.find("models", name), settings), manifest, runs, Nobody())
    model, modalities = export.trained(run)
    test, _ = loaded(read(manifest).split("test"), modalities, run.facts()["classes"])
    right = [
        (by_torch(model, test.inputs, test.present & mask).argmax(1) == test.target).mean()
        for mask in contribution.subsets(len(modalities))[1:]
    ]
    return float(right[-1]), float(np.mean(right))


def main(name: str, manifest: Path, rates: list[str], settings: list[str]) -> None:
    found: dict[str, list[tuple[float, float]]] = {method: [] for method in METHODS}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(SEEDS):
            for method in METHODS:
                laid = [*settings, *(f"data.missing.{rate}" for rate in rates)]
                laid += [f"method.name={method}", f"train.seed={seed}"]
                found[method].append(accuracies(name, manifest, laid, Path(folder)))
                print(seed, method, *(f"{100 * x:.1f}" for x in found[method][-1]), flush=True)
    for method in METHODS:
        for column, what in enumerate(("everything present", "mean over subsets")):
            values, base = (100 * np.array(found[m])[:, column] for m in (method, "joint"))
            d = values - base
            half = student.ppf(0.975, SEEDS - 1) * d.std(ddof=1) / SEEDS**0.5
            print(f"{method:8} {what:18} {values.mean():.1f} ± {values.std(ddof=1):.1f}", end="")
            print("" if method == "joint" else f"  {d.mean():+.1f} [{d.mean() - half:+.1f}, {d.mean() + half:+.1f}]")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3].split(","), sys.argv[4:])
