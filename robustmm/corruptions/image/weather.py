"""Image weather: snow, frost, fog and spatter."""

from collections.abc import Iterator
from statistics import NormalDist
from typing import Any

import cv2
import numpy as np

from robustmm.corruptions.base import corruption
from robustmm.corruptions.draws import draw_normals
from robustmm.corruptions.image.digital import magnify_field, merge_colours, smooth_field, split_colours, streak_field
from robustmm.corruptions.signals import Array

MIST = 256
"""Side of the largest map of fog; larger pictures have it enlarged."""
PANE = 112
"""Side of the iced pane, which is brought to the picture's size."""
CRYSTALS = 12
ICE, WATER, MUD = (225, 240, 255), (175, 238, 238), (63, 42, 20)


@corruption(
    "snow",
    kind="image",
    unit=(
        "share of the picture that turns pale",
        "mean of the noise that flakes are cut from, of white",
        "its standard deviation, of white",
        "enlargement of the flakes",
        "level above which the noise is a flake, of white",
        "length of the streaks, half, px",
        "standard deviation along the streaks, px",
    ),
    table=(
        (0.2, 0.1, 0.3, 3, 0.5, 10, 4),
        (0.3, 0.2, 0.3, 2, 0.5, 12, 4),
        (0.3, 0.55, 0.3, 4, 0.9, 12, 8),
        (0.35, 0.55, 0.3, 4.5, 0.85, 12, 8),
        (0.45, 0.55, 0.3, 2.5, 0.85, 12, 12),
    ),
    small=(
        (0.05, 0.1, 0.2, 1, 0.6, 8, 3),
        (0.1, 0.1, 0.2, 1, 0.5, 10, 4),
        (0.1, 0.15, 0.3, 1.75, 0.55, 10, 4),
        (0.15, 0.25, 0.3, 2.25, 0.6, 12, 6),
        (0.2, 0.3, 0.3, 1.25, 0.65, 14, 12),
    ),
    zero=(0, 0, 0, 1, 0.5, 10, 4),
    monotone=False,
    source="ImageNet-C snow; the first number is 1 less its weight of the picture",
)
def snow(x: Array, strength: tuple[float, ...], rng: np.random.Generator) -> Array:
    """Streaks of snow, within 45 degrees of the vertical, over a picture that turns pale. Transparency stays."""
    pallor, mean, deviation, zoom, threshold, length, spread = strength
    noise = draw_normals(x.shape[:2], rng)
    flakes = magnify_field(noise, zoom)
    flakes *= np.float32(255 * deviation)
    flakes += np.float32(255 * mean)
    flakes = np.minimum(flakes, 255, out=flakes)
    flakes *= flakes >= max(255 * threshold, 0)
    fallen = streak_field(flakes, round(length), spread, rng.uniform(45, 135))
    fallen += cv2.flip(fallen, -1).reshape(fallen.shape)
    grey = cv2.cvtColor(x[..., :3], cv2.COLOR_RGB2GRAY) if x.shape[-1] >= 3 else x[..., 0]
    pale = grey * np.float32(1.5) + np.float32(127.5)
    painted = []
    for bytes_of_plane in split_colours(x):  # plane + pallor * (pale - plane, where that is more) + fallen
        plane = bytes_of_plane.astype(np.float32)  # at once: arithmetic of bytes with floats takes three times as long
        snowy = pale - plane
        np.maximum(snowy, 0, out=snowy)
        snowy *= np.float32(pallor)
        snowy += plane
        snowy += fallen
        painted.append(snowy)
    return merge_colours(x, painted)


@corruption(
    "frost",
    kind="image",
    unit=("weight of the ice", "weight of the picture"),
    table=((0.4, 1), (0.6, 0.8), (0.7, 0.7), (0.7, 0.65), (0.75, 0.6)),
    small=((0.2, 1), (0.3, 1), (0.4, 0.9), (0.4, 0.85), (0.45, 0.75)),
    zero=(0, 1),
    source="ImageNet-C frost; its six photographs of ice are replaced by synthesised ice",
)
def frost(x: Array, strength: tuple[float, float], rng: np.random.Generator) -> Array:
    """Ice on the lens, added to the picture: crystals of six barbed arms, drawn anew for every sample where ImageNet-C
    takes one of six photographs. Transparency stays."""
    ice, picture = strength
    height, width = x.shape[:2]
    side = max(height, width)
    pane = cv2.resize(_draw_ice(rng), (side, side), interpolation=cv2.INTER_AREA if side < PANE else cv2.INTER_LINEAR)
    frozen = np.ascontiguousarray(pane[:height, :width])
    iced = (cv2.addWeighted(p, picture, frozen, ice * shade, 0, dtype=cv2.CV_8U) for p, shade in _plane_shades(x, ICE))
    return merge_colours(x, iced)


@corruption(
    "fog",
    kind="image",
    unit=("amount of fog, of full scale", "decay of its detail from one octave to the next"),
    table=((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
    small=((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    zero=(0, 2),
    source="ImageNet-C fog",
)
def fog(x: Array, strength: tuple[float, float], rng: np.random.Generator) -> Array:
    """A plasma fractal added, and the whole scaled back to its own maximum. Black pictures and transparency stay."""
    amount, decay = strength
    height, width = x.shape[:2]
    planes = split_colours(x)
    brightest = max(float(plane.max()) for plane in planes)
    if brightest == 0:
        return x
    back = brightest / (brightest + 255 * amount)
    mist = 255 * amount * back * _draw_plasma(max(height, width), decay, rng)[:height, :width]
    return merge_colours(x, (cv2.addWeighted(plane, back, mist, 1, 0, dtype=cv2.CV_8U) for plane in planes))


@corruption(
    "spatter",
    kind="image",
    unit=(
        "share of the lens under liquid",
        "standard deviation of the smoothing that shapes the drops, px",
        "brightness of water, of white; for mud the smoothing of its edges, px",
        "0 for water, 1 for mud",
    ),
    table=((0.029, 4, 0.6, 0), (0.144, 3, 0.6, 0), (0.239, 2, 0.5, 0), (0.5, 1, 1.5, 1), (0.57, 1, 1.5, 1)),
    small=((0.025, 0.7, 0.5, 0), (0.079, 0.8, 0.5, 0), (0.318, 1, 0.5, 0), (0.164, 0.7, 0.6, 1), (0.32, 0.5, 0.6, 1)),
    zero=(0, 4, 0.6, 0),
    source="ImageNet-C spatter, whose mean, deviation, smoothing and threshold of noise leave this share",
)
def spatter(x: Array, strength: tuple[float, ...], rng: np.random.Generator) -> Array:
    """Drops of water on the lens that glint in the light, or of mud that dries back from its edges. Transparency
    stays."""
    share, smoothing, extent, mud = strength
    noise = draw_normals(x.shape[:2], rng)
    waves = cv2.getGaussianKernel(2 * round(4 * smoothing) + 1, smoothing)
    depth = smooth_field(noise, smoothing) / float((waves**2).sum()) - NormalDist().inv_cdf(1 - max(share, 1e-9))
    wet = (depth > 0).astype(np.uint8)
    if mud < 0.5:
        light = np.float32(extent) * _drop_highlights(depth * wet, wet)
        return merge_colours(x, (p + light * shade for p, shade in _plane_shades(x, WATER)))
    cover = smooth_field(wet.astype(np.float32), extent)
    cover *= cover >= 0.8
    return merge_colours(x, (p + (shade - p) * cover for p, shade in _plane_shades(x, MUD)))


def _plane_shades(x: Array, colour: tuple[int, int, int]) -> Iterator[tuple[Array, Any]]:
    """The planes of `x`, each with its part of this colour; a grey picture with the colour's mean."""
    planes = split_colours(x)
    shades = np.array(colour if len(planes) == 3 else [np.mean(colour)], np.float32)
    return zip(planes, shades, strict=True)


def _drop_highlights(depth: Array, wet: Array) -> Array:
    """Light in the drops, 1/8 to 1: where they are deep and where the distance to their edge slopes to the light."""
    height = np.minimum(cv2.distanceTransform(wet, cv2.DIST_L2, 3), 20)
    relief = np.array([[-2, -1, 0], [-1, 0, 1], [0, 1, 2]], np.float32)  # the light comes from the north-west
    glint = depth * cv2.filter2D(height, -1, relief).clip(0)
    light: Array = wet * (0.125 + 0.875 * glint / max(float(glint.max()), 1e-9))
    return light


def _draw_ice(rng: np.random.Generator) -> Array:
    """A pane of ice, 0 to 1, black where the glass is clear. A crystal is the cell nearest to its seed: six arms,
    turned its own way, with barbs on both sides that fade away from the arm."""
    y, x = rng.integers(0, PANE, (2, CRYSTALS))
    turn = rng.random(CRYSTALS, dtype=np.float32) * np.float32(np.pi / 3)
    free = np.ones((PANE, PANE), np.uint8)
    free[y, x] = 0
    _, label = cv2.distanceTransformWithLabels(free, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    owner = np.zeros(label.max() + 1, np.intp)
    owner[label[y, x]] = np.arange(CRYSTALS)
    nearest = owner[label]
    right, down = np.arange(PANE) - x[nearest], np.arange(PANE)[:, None] - y[nearest]
    distance, angle = cv2.cartToPolar(right.astype(np.float32), down.astype(np.float32))
    sixths = (angle + turn[nearest]) * np.float32(3 / np.pi)
    folded = np.abs(sixths - np.floor(sixths) - np.float32(0.5)) * np.float32(np.pi / 3)
    along, aside = distance * np.cos(folded), distance * np.sin(folded)
    arms = 1.3 * np.exp(-((aside / 0.7) ** 2))
    barbs = (3 * np.sin(0.7 * along - 1.2 * aside) - 1.8) * np.exp(-aside / 2)
    light: Array = np.clip(np.maximum(arms, barbs), 0, 1)
    return light


def _draw_plasma(side: int, decay: float, rng: np.random.Generator) -> Array:
    """A diamond-square fractal on a torus, 0 to 1, `side` long or more: every octave halves the grid and divides the
    spread of what is added by the decay squared, for ImageNet-C applies its decay twice."""
    size = 1 << (min(side, MIST) - 1).bit_length()
    field = rng.random((size, size), dtype=np.float32)  # each point holds its noise until its octave comes
    field -= np.float32(0.5)
    field[0, 0] = 0
    step, spread = size, np.float32(1)
    while step > 1:
        half = step // 2
        corners, middles = field[::step, ::step], field[half::step, half::step]
        middles *= spread
        middles += (_add_neighbours(_add_neighbours(corners, 0, -1), 1, -1)) / 4
        for axis, places in ((0, field[half::step, ::step]), (1, field[::step, half::step])):
            places *= spread
            places += (_add_neighbours(corners, axis, -1) + _add_neighbours(middles, 1 - axis, 1)) / 4
        step, spread = half, spread / np.float32(decay**2)
    field -= field.min()
    field /= max(float(field.max()), 1e-9)
    return cv2.resize(field, (side, side)) if side > size else field


def _add_neighbours(field: Array, axis: int, shift: int) -> Array:
    """Each point and its neighbour on the torus, one before (-1) or after it (1), added; `np.roll` takes five times as
    long."""
    own, out = np.moveaxis(field, axis, 0), field.copy()
    added = np.moveaxis(out, axis, 0)
    if shift > 0:
        added[1:] += own[:-1]
        added[0] += own[-1]
    else:
        added[:-1] += own[1:]
        added[-1] += own[0]
    return out
