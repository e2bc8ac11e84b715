"""The proof of a guard, on the file as it is deployed: where it drops nothing the answers are those of the plain file
bit for bit; where it drops something they are the plain file's from what is left; NaN never reaches an answer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustmm.errors import ParityError
from robustmm.guard.result import HardenProof
from robustmm.runtime.runner import Runner

BATCHES = (1, 2, 7)
ROWS = 42
"""Samples of each pattern: a multiple of each batch size."""
TOLERANCES = {"fp32": 1e-4, "fp16": 5e-2, "int8": 0.5}
"""Largest difference of a probability where something is dropped: subsets are decoded together there, and 8 bits are
shared by all that is decoded at once."""

Inputs = Mapping[str, NDArray[Any]]


def list_patterns(names: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Presence masks (modality,) by what they lack."""
    M = len(names)
    found = {"complete": np.ones(M, bool)}
    for m, name in enumerate(names):
        found[f"without {name}"] = np.arange(M) != m
        found[f"only {name}"] = np.arange(M) == m
    return found | {"nothing": np.zeros(M, bool)}


def prove(plain: Path, hardened: Path, inputs: Inputs, present: NDArray[np.bool_], precision: str) -> HardenProof:
    """Holds a hardened file against the plain one on some samples, at every batch size and with every modality missing,
    and with NaN in each. Raises ParityError where the proof fails."""
    names, rows = list(inputs), len(present)
    before = Runner(plain, outputs=["logits", "probabilities"])
    after = Runner(hardened, outputs=["logits", "probabilities", "used"])
    silent = dropped = 0
    worst = 0.0
    for title, mask in list_patterns(names).items():
        for batch in BATCHES:
            for start in range(0, rows, batch):
                part = slice(start, start + batch)
                feed = {name: x[part] for name, x in inputs.items()} | {"present": present[part] & mask}
                found, expected = after.run_exactly(feed), before.run_exactly(feed)
                used = found[2]
                if (used & ~feed["present"]).any():
                    raise ParityError(f"{title}: the guard used a modality that is not present; no file is left")
                same = (used == feed["present"]).all(1)
                for what, ours, theirs in zip(("logits", "probabilities"), found, expected, strict=False):
                    if not np.array_equal(ours[same], theirs[same]):
                        raise ParityError(
                            f"{title} at batch {batch}: {what} should be those of the plain file bit for bit where "
                            "nothing is dropped, found others; no file is left"
                        )
                if not same.all():
                    left = before.run_exactly({**feed, "present": used})[1]
                    worst = max(worst, float(np.abs(left - found[1])[~same].max()))
                silent, dropped = silent + int(same.sum()), dropped + int((~same).sum())
    if not worst <= TOLERANCES[precision]:
        raise ParityError(
            f"where a modality is dropped, probabilities should differ by at most {TOLERANCES[precision]:g} from the "
            f"plain file's without it, found {worst:.2g}; no file is left"
        )
    check_not_numbers(after, inputs, present)
    return HardenProof(
        samples=rows, silent=silent, dropped=dropped, largest_silent=0.0, largest_dropped=worst,
        patterns=len(list_patterns(names)), batches=list(BATCHES),
    )  # fmt: skip


def check_not_numbers(after: Runner, inputs: Inputs, present: NDArray[np.bool_]) -> None:
    """Raises ParityError where NaN in a modality is used, or reaches an answer."""
    for m, (name, x) in enumerate(inputs.items()):
        if x.dtype.kind == "f":
            spoilt = {**inputs, name: np.full_like(x, np.nan), "present": present}
            logits, _, used = after.run_exactly(spoilt)
            if used[:, m].any() or not np.isfinite(logits).all():
                raise ParityError(f"NaN in {name} should be dropped, and reached the answer; no file is left")
