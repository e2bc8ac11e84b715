"""Video: uint8 (F, H, W, C). Every corruption of images, frame by frame, with a decision on what the frames share.

What sits on the lens, in the camera or in the scene is STILL: every frame meets the same random draws, so that no
other frame can fill in what one has lost. What is noise or falls is MOVING: drawn anew in every frame.
"""

from functools import wraps
from typing import Any

import numpy as np

from robustmm.corruptions.base import Corruption, Physics, corruption, find_corruption, kinds, names
from robustmm.corruptions.signals import Array

MOVING = frozenset(
    {
        "gaussian",
        "impulse-noise",
        "iso-noise",
        "light-flicker",
        "low-light",
        "qmf-gaussian",
        "rain",
        "salt-pepper",
        "shot-noise",
        "snow",
        "speckle-noise",
    }
)
"""Drawn anew in every frame; every other corruption of images is STILL."""


def register_video(image: Corruption) -> Corruption:
    """The corruption of images `image`, filed for video with its own table, unit, options and words."""
    moving = image.name in MOVING
    shared = "Drawn anew in every frame." if moving else "The same in every frame."
    return corruption(
        image.name,
        kind="video",
        unit=image.units,
        table=image.table,
        zero=image.zero,
        source=image.source,
        doc=f"{image.doc.strip()} {shared}",
        monotone=image.monotone,
        small=image.small,
    )(_build_video_physics(image.function, moving))


def _build_video_physics(function: Physics, moving: bool) -> Physics:
    @wraps(function)  # the options of the image's physics stay visible in the signature
    def physics(x: Array, value: Any, rng: np.random.Generator, **options: Any) -> Array:
        keys = rng.integers(2**64, size=(len(x) if moving else 1, 2), dtype=np.uint64)
        draws = (np.random.Generator(np.random.Philox(key=key)) for key in np.broadcast_to(keys, (len(x), 2)))
        return np.stack([function(frame, value, draw, **options) for frame, draw in zip(x, draws, strict=True)])

    return physics


for _name in names():
    if "image" in kinds(_name) and "video" not in kinds(_name):
        register_video(find_corruption(_name, "image"))
