"""Video: uint8 (F, H, W, C). What a codec loses between frames."""

from itertools import product

import cv2
import numpy as np

from robustmm.corruptions.base import corruption
from robustmm.corruptions.signals import Array

MACROBLOCK = 16
GROUP = 12
"""Frames from one that is coded by itself to the next, as in MPEG."""
DCT = cv2.dct(np.eye(8), flags=cv2.DCT_ROWS).T


@corruption(
    "video-compression",
    kind="video",
    unit="quantiser of H.263 and MPEG-4 part 2: half the step between DCT coefficients, on the 0-255 scale",
    table=(4, 8, 14, 22, 31),
    zero=1,
    source="ours, inside the 1 to 31 of the standard",
)
def video_compression(x: Array, quantiser: float, rng: np.random.Generator) -> Array:
    """The losses of a codec between frames: 8 x 8 DCT of what motion compensation in 16 x 16 blocks leaves over,
    quantised as H.263 does; colour at half the resolution; a frame coded by itself every 12. A fourth channel stays.
    """
    frames, height, width, channels = x.shape
    below, right = -height % MACROBLOCK, -width % MACROBLOCK
    padded = np.pad(x, ((0, 0), (0, below), (0, right), (0, 0)), mode="edge")
    planes = _split_planes(padded) if channels in (3, 4) else list(np.moveaxis(padded, -1, 0).astype(np.float64))
    previous: list[Array] = []
    for t in range(frames):
        current = [plane[t] for plane in planes]
        predicted = (
            _compensate_motion(current[0], previous) if t % GROUP else [np.zeros_like(plane) for plane in current]
        )
        previous = [
            np.clip(np.rint(guess + _quantise_plane(plane - guess, round(quantiser), t % GROUP == 0)), 0, 255)
            for plane, guess in zip(current, predicted, strict=True)
        ]
        for plane, decoded in zip(planes, previous, strict=True):
            plane[t] = decoded
    if channels in (3, 4):
        x[..., :3] = _merge_planes(planes)[:, :height, :width]
        return x
    return np.stack(planes, axis=-1)[:, :height, :width]


def _split_planes(x: Array) -> list[Array]:
    """Luma, and both chromas at half the resolution, float (F, h, w)."""
    frames, height, width, _ = x.shape
    flat = np.ascontiguousarray(x[..., :3]).reshape(-1, width, 3)
    luma, *chromas = np.moveaxis(cv2.cvtColor(flat, cv2.COLOR_RGB2YCrCb).astype(np.float64), -1, 0)
    small = [c.reshape(frames, height // 2, 2, width // 2, 2).mean(axis=(2, 4)) for c in chromas]
    return [luma.reshape(frames, height, width), *small]


def _merge_planes(planes: list[Array]) -> Array:
    luma, *small = planes
    full = [luma, *(c.repeat(2, axis=1).repeat(2, axis=2) for c in small)]
    flat = np.rint(np.stack(full, axis=-1)).astype(np.uint8).reshape(-1, luma.shape[2], 3)
    colours: Array = cv2.cvtColor(flat, cv2.COLOR_YCrCb2RGB).reshape(*luma.shape, 3)
    return colours


def _compensate_motion(luma: Array, previous: list[Array]) -> list[Array]:
    """The planes before, each block moved to where the luma fits best: a three-step search, up to 7 px away."""
    blocks = _split_blocks(luma, MACROBLOCK)
    best = np.zeros((*blocks.shape[:2], 2), np.int64)
    for step in (4, 2, 1):
        tried = best + np.array([(0, 0), *product((-step, 0, step), repeat=2)]).reshape(-1, 1, 1, 2)
        errors = [np.abs(_fetch_blocks(previous[0], motion, MACROBLOCK) - blocks).sum(axis=(2, 3)) for motion in tried]
        best = np.take_along_axis(tried, np.argmin(errors, axis=0)[None, ..., None], axis=0)[0]
    sides = [MACROBLOCK * plane.shape[0] // luma.shape[0] for plane in previous]
    return [
        _fetch_blocks(plane, best * side // MACROBLOCK, side).swapaxes(1, 2).reshape(plane.shape)
        for plane, side in zip(previous, sides, strict=True)
    ]


def _fetch_blocks(plane: Array, motion: Array, side: int) -> Array:
    """The blocks of a plane from where `motion` (rows, columns, 2) points, clipped to the plane."""
    place = motion + side * np.moveaxis(np.indices(motion.shape[:2]), 0, -1)
    rows, columns = np.moveaxis(place[..., None] + np.arange(side), 2, 0)
    rows, columns = rows.clip(0, plane.shape[0] - 1), columns.clip(0, plane.shape[1] - 1)
    blocks: Array = plane[rows[..., :, None], columns[..., None, :]]
    return blocks


def _split_blocks(plane: Array, side: int) -> Array:
    return plane.reshape(plane.shape[0] // side, side, plane.shape[1] // side, side).swapaxes(1, 2)


def _quantise_plane(plane: Array, quantiser: int, intra: bool) -> Array:
    """What is left of a plane, an `intra` frame or a difference, when its DCT is rounded to whole steps."""
    # rounded, so that no tie depends on the last bits, which differ between machines
    waves = (DCT @ _split_blocks(plane, 8) @ DCT.T).round(6)
    dead = 0 if intra else quantiser / 2
    steps = np.floor((np.abs(waves) - dead).clip(0) / (2 * quantiser))
    middle = quantiser * (2 * steps + 1) - (quantiser % 2 == 0)
    kept = np.sign(waves) * np.where(steps > 0, middle, 0)
    if intra:
        kept[..., 0, 0] = 8 * np.rint(waves[..., 0, 0] / 8)
    left: Array = (DCT.T @ kept @ DCT).round(6).swapaxes(1, 2).reshape(plane.shape)
    return left
