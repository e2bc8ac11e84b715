"""Augmentations of text."""

import numpy as np

from robustmm.augmentations.base import Share, augmentation
from robustmm.corruptions.text.pieces import leave_out, nonspace_indices, split_words


@augmentation("token-dropout", "text")
def drop_tokens(x: str, rng: np.random.Generator, *, share: Share = 0.1) -> str:
    """Each word is left out with probability `share`, but one stays.

    The random deletion of Wei and Zou (2019). They are words, since a tokenizer makes its tokens of what is left.
    """
    parts = split_words(x)
    places = np.array(nonspace_indices(parts), int)
    lost = rng.random(len(places)) < share
    if lost.all() and len(places):
        lost[rng.integers(len(places))] = False
    return leave_out(parts, places[lost].tolist())
