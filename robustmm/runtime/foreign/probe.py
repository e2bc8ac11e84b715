"""Trial signals for a graph, and the check that its answer to a row does not depend on the rows beside it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustmm.modalities import Modality, Text
from robustmm.modalities.text import load_tokenizer
from robustmm.runtime.runner import Runner

TOLERANCE = 1e-4
"""How far two answers to the same row may differ, in units of the largest answer: other kernels round otherwise."""

Feed = Mapping[str, NDArray[Any]]


def draw_signals(modality: Modality, rows: int, seed: int) -> NDArray[Any]:
    """Random signals (rows, *shape) such as the modality may have; the same for the same seed."""
    rng = np.random.default_rng([seed, *modality.name.encode()])
    if isinstance(modality, Text):
        words = sorted(load_tokenizer(modality.tokenizer_json, modality.length).get_vocab())
        return np.stack([modality.feed(" ".join(rng.choice(words, 1 + row))) for row in range(rows)])
    if modality.dtype.kind == "u":
        return rng.integers(0, 256, (rows, *modality.shape), dtype=np.uint8)
    drawn = rng.normal(size=(rows, *modality.shape))
    mean, std = (getattr(modality, key, ()) or default for key, default in (("mean", 0.0), ("std", 1.0)))
    found = 0.1 * drawn if modality.kind == "audio" else np.add(mean, np.multiply(std, drawn))
    return np.asarray(found, modality.dtype)


def is_close(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether two answers are the same but for rounding, NaN for NaN."""
    size = max(1.0, float(np.nanmax(np.abs(b), initial=0.0)))
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=0, atol=TOLERANCE * size, equal_nan=True))


def find_row_dependence(runner: Runner, feed: Feed) -> str:
    """How the answer to the first of three rows changes with what stands beside it; empty where it does not.

    Rows of a batch are not independent where BatchNorm or dropout were left in training mode, or where every row is
    compared with every other (CLIP's images x texts)."""

    def ask(*rows: int) -> NDArray[Any]:
        return np.asarray(runner.run({name: x[list(rows)] for name, x in feed.items()})[0], np.float64)

    pair = ask(0, 1)
    if ask(0, 1, 2).shape[1:] != pair.shape[1:]:
        return "grows wider with the number of rows: it compares every row with every other, as CLIP does"
    if not is_close(ask(0, 1)[0], pair[0]):
        return "changes when the same rows are asked again: dropout or other draws were left in the graph"
    if not is_close(ask(0, 2)[0], pair[0]):
        return "to a row changes with the row beside it: was BatchNorm left in training mode?"
    if not runner.batch:
        one = np.asarray(runner.run_exactly({name: x[:1] for name, x in feed.items()})[0], np.float64)
        if one.shape[:1] != (1,) or not is_close(one[0], pair[0]):
            return "to a row changes when the row is asked alone: do rows share statistics?"
    return ""
