"""A model whose worst case is known: softmax of a sum of linear scores, one by modality.

Within |x' - x| <= eps s (s the training standard deviations) class y beats class k on every x' exactly where the margin
(w_y - w_k) . x > eps |(w_y - w_k) s|_1, summed over the modalities: the l1 norm is dual to the l-infinity norm.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustmm.corruptions import Corruption
from robustmm.data.manifest import Manifest
from robustmm.modalities import Features, Modality
from robustmm.runtime.session import softmax

Weights = Mapping[str, NDArray[np.float64]]


class LinearSession:
    """`weights` by modality, (entries, classes); features unless `modalities` say otherwise."""

    decodes = 4096
    is_hardened = False

    def __init__(self, weights: Weights, modalities: Sequence[Modality] = (), std: float = 1.0) -> None:
        self.weights = dict(weights)
        self.modalities: list[Modality] = list(modalities) or [
            Features(name=name, length=len(w), mean=(0.0,) * len(w), std=(std,) * len(w)) for name, w in weights.items()
        ]
        self.names = [m.name for m in self.modalities]
        self.classes = [f"c{k}" for k in range(next(iter(weights.values())).shape[1])]
        self.prior = np.full(len(self.classes), 1 / len(self.classes))
        self.embedded: list[tuple[str, int]] = []  # every call's modality and rows
        self.decoded: list[int] = []

    def modality(self, name: str) -> Modality:
        return self.modalities[self.names.index(name)]

    def embed(self, name: str, x: NDArray[Any]) -> NDArray[np.float64]:
        modality = self.modality(name)
        assert x.shape[1:] == modality.shape
        assert x.dtype == modality.dtype
        self.embedded.append((name, len(x)))
        flat = x.reshape(len(x), -1).astype(np.float64)
        return np.stack([(flat * w).sum(1) for w in self.weights[name].T], 1)  # no matmul: it rounds by batch size

    def embeddings(self, inputs: Mapping[str, NDArray[Any]], batch: int) -> dict[str, NDArray[np.float64]]:
        return {name: self.embed(name, inputs[name]) for name in self.names}

    def decode(self, z: Mapping[str, NDArray[np.float64]], present: NDArray[np.bool_]) -> NDArray[np.float64]:
        self.decoded.append(len(present))
        return softmax(sum(np.where(present[:, [m]], z[name], 0.0) for m, name in enumerate(self.names)))


def manifest(
    folder: Path, inputs: Mapping[str, NDArray[Any]], target: NDArray[Any], gone: Sequence[tuple[int, str]] = ()
) -> Manifest:
    """Rows s0, s1, ... whose cells name these arrays; those of `gone` are empty."""
    columns: dict[str, list[str]] = {
        "id": [f"s{i}" for i in range(len(target))],
        "split": ["test"] * len(target),
        "label": [f"c{k}" for k in target],
    }
    for name, x in inputs.items():
        np.save(folder / f"{name}.npy", x)
        columns[name] = ["" if (i, name) in gone else f"{name}.npy#{i}" for i in range(len(target))]
    return Manifest(folder / "manifest.csv", columns, list(range(2, len(target) + 2)))


def drawn(seed: int, samples: int, classes: int, **lengths: int) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64]]:
    """Standard normal features of these lengths, and classes that do not depend on them."""
    rng = np.random.default_rng(seed)
    inputs = {name: rng.normal(size=(samples, n)).astype(np.float32) for name, n in lengths.items()}
    return inputs, rng.integers(classes, size=samples)


def scores(weights: Weights, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Logits (sample, class)."""
    return np.asarray(sum(inputs[name].astype(np.float64) @ w for name, w in weights.items()))


def robust(
    weights: Weights,
    inputs: Mapping[str, NDArray[Any]],
    target: NDArray[np.int64],
    eps: Mapping[str, float],
    std: float,
) -> NDArray[np.bool_]:
    """(sample,): whether no change within `eps` by modality changes the right answer."""
    logits = scores(weights, inputs)
    holds = np.ones(len(target), bool)
    for i, y in enumerate(target):
        for k in set(range(logits.shape[1])) - {int(y)}:
            reach = sum(e * std * np.abs(weights[name][:, y] - weights[name][:, k]).sum() for name, e in eps.items())
            holds[i] &= logits[i, y] - logits[i, k] > reach
    return holds


def faded(x: NDArray[Any], strength: float, rng: np.random.Generator) -> NDArray[Any]:
    return (1 - strength) * x


def steady(x: NDArray[Any], strength: float, rng: np.random.Generator) -> NDArray[Any]:
    return x


TABLE = (0.4, 0.8, 1.2, 1.6, 2.0)
fade = Corruption("fade", "features", ("share taken away",), TABLE, 0.0, "a test", faded)
"""At level l the signal times 1 - 2 l: nothing at 0.5, its negative at 1."""
weak = Corruption("weak", "features", ("share taken away",), tuple(x / 4 for x in TABLE), 0.0, "a test", faded)
"""At level l the signal times 1 - l / 2: no sign turns."""
idle = Corruption("idle", "features", ("nothing",), TABLE, 0.0, "a test", steady)
"""No damage at any level."""
