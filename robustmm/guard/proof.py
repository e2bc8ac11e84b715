"""The proof of a guard, on the file as it is deployed: where it drops nothing the answers are those of the plain file
bit for bit; where it drops something they are the plain file's from what is left; NaN never reaches an answer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustmm.errors import ParityError
from robustmm.guard.result import HardenProof
from robustmm.guard.subjects.subject import Masks, Subject
from robustmm.runtime.runner import Runner

BATCHES = (1, 2, 7)
ROWS = 42
"""Samples of each pattern: a multiple of each batch size."""
TOLERANCES = {"fp32": 1e-4, "fp16": 5e-2, "int8": 0.5}
"""Largest difference of an answer where something is dropped: subsets are decoded together there, and 8 bits are shared
by all that is decoded at once."""

Inputs = Mapping[str, NDArray[Any]]


def list_patterns(names: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Presence masks (modality,) by what they lack."""
    M = len(names)
    found = {"complete": np.ones(M, bool)}
    for m, name in enumerate(names):
        found[f"without {name}"] = np.arange(M) != m
        found[f"only {name}"] = np.arange(M) == m
    return found | {"nothing": np.zeros(M, bool)}


def prove(subject: Subject, hardened: Path, inputs: Inputs, present: Masks) -> HardenProof:
    """Holds a hardened file against the plain one on some samples, at every batch size and with every modality missing,
    and with NaN in each. Raises ParityError where the proof fails."""
    rows = len(present)
    before, after = subject.open_plain(), subject.open_hardened(hardened)
    silent = dropped = 0
    worst = 0.0
    for title, mask in list_patterns(list(inputs)).items():
        for batch in BATCHES:
            for start in range(0, rows, batch):
                part = slice(start, start + batch)
                some, here = {name: x[part] for name, x in inputs.items()}, present[part] & mask
                *found, used = after.run_exactly(subject.feed_hardened(some, here))
                expected = before.run_exactly(subject.feed_plain(some, here))
                if (used & ~here).any():
                    raise ParityError(f"{title}: the guard used a modality that is not present; no file is left")
                same = (used == here).all(1) & (here.all(1) | subject.exact)
                for what, ours, theirs in zip(subject.answers, found, expected, strict=True):
                    if not np.array_equal(ours[same], theirs[same]):
                        raise ParityError(
                            f"{title} at batch {batch}: {what} should be those of the plain file bit for bit where "
                            "nothing is dropped, found others; no file is left"
                        )
                if not same.all():
                    left = subject.to_probabilities(before.run_exactly(subject.feed_plain(some, used)))
                    worst = max(worst, float(np.abs(left - subject.to_probabilities(found))[~same].max()))
                silent, dropped = silent + int(same.sum()), dropped + int((~same).sum())
    tolerance = TOLERANCES[subject.precision]
    if not worst <= tolerance:
        raise ParityError(
            f"where a modality is dropped, probabilities should differ by at most {tolerance:g} from the "
            f"plain file's without it, found {worst:.2g}; no file is left"
        )
    check_not_numbers(subject, after, inputs, present)
    return HardenProof(
        samples=rows, silent=silent, dropped=dropped, largest_silent=0.0, largest_dropped=worst,
        patterns=len(list_patterns(list(inputs))), batches=list(BATCHES),
    )  # fmt: skip


def check_not_numbers(subject: Subject, after: Runner, inputs: Inputs, present: Masks) -> None:
    """Raises ParityError where NaN in a modality is used, or reaches an answer."""
    for m, (name, x) in enumerate(inputs.items()):
        if subject.given[name].dtype.kind == "f" and x.dtype.kind == "f":
            *found, used = after.run_exactly(subject.feed_hardened({**inputs, name: np.full_like(x, np.nan)}, present))
            if used[:, m].any() or not np.isfinite(subject.to_probabilities(found)).all():
                raise ParityError(f"NaN in {name} should be dropped, and reached the answer; no file is left")
