"""Presence patterns. A missing modality is not a corruption: nothing of it reaches the model."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from robustmm.errors import UsageError, known


def rates(options: Sequence[str], modalities: Sequence[str]) -> dict[str, float]:
    """Rates by modality from options like `audio=0.3`; every modality for a bare `0.3`."""
    found: dict[str, float] = {}
    for option in options:
        name, separator, value = option.rpartition("=")
        try:
            rate = float(value)
        except ValueError:
            rate = float("nan")
        if not 0 <= rate <= 1:
            raise UsageError(f'a missing rate is MODALITY=RATE with a rate in [0, 1], found "{option}"')
        for modality in [name] if separator else modalities:
            if modality not in modalities:
                raise UsageError(f'--missing {option}: there is no modality "{modality}"{known(modality, modalities)}')
            found[modality] = rate
    return found


def table(ids: Sequence[str], modalities: Sequence[str], rates: Mapping[str, float], seed: int) -> NDArray[np.bool_]:
    """A fixed presence table (samples, modality): exactly int(N * rate) samples lose each modality, independently
    of each other (the protocol of MCE and RedCore; a sample may lose everything).

    Who loses what depends on (seed, id, modality) alone, so tables are nested in the rate and ignore row order.
    """
    present = np.ones((len(ids), len(modalities)), dtype=bool)
    for column, modality in enumerate(modalities):
        count = int(len(ids) * rates.get(modality, 0.0) + 1e-9)
        order = sorted(range(len(ids)), key=lambda row: _draw(seed, ids[row], modality))
        present[order[:count], column] = False
    return present


def _draw(seed: int, sample: str, modality: str) -> bytes:
    key = b"\0".join(part.encode() for part in ("missing", str(seed), modality, sample))
    return hashlib.blake2b(key, digest_size=16).digest()
