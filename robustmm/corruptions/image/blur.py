"""Image blur: what lenses and movement take away. Beyond the border an image goes on as its mirror image; in
motion-blur, as in ImageNet-C, as its outermost pixels."""

import math

import cv2
import numpy as np

from robustmm.corruptions.base import corruption
from robustmm.corruptions.signals import Array

MOST_BYTES = (2**16 - 1) // 255
"""How many bytes a sum in 16 bits holds, whatever they are."""


@corruption(
    "defocus-blur",
    kind="image",
    unit=("radius of the disk, px", "standard deviation of the Gaussian that softens the disk's edge, px"),
    table=((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    small=((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    zero=(0, 0.1),
    source="ImageNet-C defocus_blur",
)
def defocus_blur(x: Array, value: tuple[float, float], rng: np.random.Generator) -> Array:
    """A lens out of focus: every point becomes a disk, the same over the whole image."""
    radius, softness = value
    reach, (height, width, channels) = int(radius), x.shape
    wide = cv2.copyMakeBorder(x, reach, reach, reach, reach, cv2.BORDER_REFLECT_101).astype(np.uint16)
    wide = wide.reshape(height + 2 * reach, -1)  # a step to the side is so many channels on
    middle, wide_row = reach * channels, width * channels
    halves = np.sqrt(radius**2 - np.arange(-reach, reach + 1) ** 2).astype(int)  # of each row of the disk
    full, held, pixels = np.zeros(1, np.float32), np.zeros((height, wide_row), np.uint16), 0
    sums = wide[:, middle : middle + wide_row].copy()
    for half in range(reach + 1):  # each sum of so many neighbours in a row is made of the shorter one before
        for start in (middle - half * channels, middle + half * channels) if half else ():
            cv2.add(sums, wide[:, start : start + wide_row], dst=sums)
        for row in np.flatnonzero(halves == half):
            if pixels + 2 * half + 1 > MOST_BYTES:
                full = full + held.astype(np.float32)
                held[:], pixels = 0, 0
            cv2.add(held, sums[row : row + height], dst=held)
            pixels += 2 * half + 1
    total = held.astype(np.float32)
    total += full
    side = 3 if radius <= 8 else 5
    total /= (2 * halves + 1).sum()
    return cv2.GaussianBlur(total.reshape(x.shape), (side, side), softness).reshape(x.shape)


@corruption(
    "gaussian-blur",
    kind="image",
    unit="standard deviation, px",
    table=(1, 2, 3, 4, 6),
    small=(0.4, 0.6, 0.7, 0.8, 1),
    source="ImageNet-C gaussian_blur",
)
def gaussian_blur(x: Array, sigma: float, rng: np.random.Generator) -> Array:
    """A Gaussian blur, the same over the whole image."""
    return _smooth_image(x, sigma)


@corruption(
    "glass-blur",
    kind="image",
    unit=("standard deviation of the blur before and after, px", "reach of a swap, px", "swaps begun by each pixel"),
    table=((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
    small=((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    zero=(0, 1, 0),
    source="ImageNet-C glass_blur; there the pixels begin their swaps row by row, here in a random order",
    monotone=False,  # in ImageNet-C's table for small images the blur of severities 3 and 5 evens the swaps out
)
def glass_blur(x: Array, value: tuple[float, float, float], rng: np.random.Generator) -> Array:
    """Frosted glass: a blur, swaps of each pixel with one from `reach` before to `reach` - 1 after it, another blur."""
    sigma, reach, passes = value
    height, width, channels = x.shape
    source = _draw_swaps(height, width, max(1, round(reach)), passes, rng)
    soft = _smooth_image(x, sigma).reshape(-1, channels)
    return _smooth_image(soft.take(source, axis=0), sigma)


@corruption(
    "motion-blur",
    kind="image",
    unit=("radius of the kernel, half the length of the trail, px", "standard deviation of its weights, px"),
    table=((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    small=((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
    zero=(0, 1),
    source="ImageNet-C motion_blur; there each point of the trail is rounded to a pixel, here shared between two",
)
def motion_blur(x: Array, value: tuple[float, float], rng: np.random.Generator) -> Array:
    """A moving camera: a trail to one side, weighted by half a Gaussian, at a random angle of at most 45 degrees."""
    radius, sigma = value
    slope = math.tan(math.radians(rng.uniform(-45, 45)))
    length = round(2 * radius)
    columns = np.arange(int(length * math.cos(math.atan(slope))) + 1)
    along = np.hypot(columns, columns * slope)
    rows = np.floor(columns * slope).astype(int)
    below = columns * slope - rows  # how far a point of the line is on its way to the next row
    weights = np.exp(-0.5 * (along / sigma) ** 2) * (1 - below, below)
    rows, columns = np.stack((rows, rows + 1)).ravel(), np.tile(columns, 2)
    up, down, right = -min(rows.min(), 0), max(rows.max(), 0), columns.max()
    wide = cv2.copyMakeBorder(x, up, down, 0, right, cv2.BORDER_REPLICATE)
    height, width, _ = x.shape
    blurred = wide[up : up + height, :width].astype(np.float32)
    shares = weights.ravel() / weights.cumsum()  # of each point in the mean so far
    seen = weights.ravel() > 1e-4 * weights.sum()  # the others together make less than a tenth of a grey step
    for row, column, share in zip((rows + up)[seen], columns[seen], shares[seen], strict=True):
        cv2.accumulateWeighted(wide[row : row + height, column : column + width], blurred, share)
    return blurred.reshape(x.shape)


@corruption(
    "zoom-blur",
    kind="image",
    unit=("largest magnification", "step from one magnification to the next"),
    table=((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
    small=((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
    zero=(1, 0.01),
    source="ImageNet-C zoom_blur",
)
def zoom_blur(x: Array, value: tuple[float, float], rng: np.random.Generator) -> Array:
    """A camera that zooms in or drives ahead: the mean of the image and copies of it, magnified about the centre."""
    factors = np.arange(1, *value)
    image = x.astype(np.float32)
    total = (image.squeeze(axis=2) if x.shape[2] == 1 else image).copy()
    for factor in factors:
        cv2.accumulate(_magnify_image(image, factor), total)
    total /= len(factors) + 1
    return total.reshape(x.shape)


def _smooth_image(x: Array, sigma: float) -> Array:
    """In float32, where cv2 is faster than on bytes and cuts the Gaussian off at 4 standard deviations, not at 3."""
    sigma = max(sigma, 0.01)  # cv2 refuses what it takes for 0; below 0.06 nothing happens
    return cv2.GaussianBlur(x.astype(np.float32, copy=False), (0, 0), sigma).reshape(x.shape)


def _draw_swaps(height: int, width: int, reach: int, passes: float, rng: np.random.Generator) -> Array:
    """Where each place of a (height, width) grid takes its pixel from, after swaps with neighbours.

    In one round the pixels on a lattice swap whose neighbourhoods do not overlap; over the rounds of a pass the
    lattice is at every offset once, in random order. A last pass that is not whole stops on its way. Pixels whose
    neighbourhood leaves the image begin no swap.
    """
    side = 2 * reach
    jumps = np.add.outer(np.arange(-reach, reach, dtype=np.int32) * width, np.arange(-reach, reach, dtype=np.int32))
    jumps = np.resize(jumps, 256)
    places = np.arange(height * width).reshape(height, width)
    source = places.copy()
    flat = source.ravel()
    rounds = round(passes * side**2)
    for start in range(0, rounds, side**2):
        partner = places + cv2.LUT(rng.integers(side**2, size=places.shape, dtype=np.uint8), jumps)
        for offset in rng.permutation(side**2)[: rounds - start]:
            row, column = divmod(int(offset), side)
            lattice = np.s_[reach + row : height - reach + 1 : side, reach + column : width - reach + 1 : side]
            moved = flat[partner[lattice]]
            flat[partner[lattice]] = source[lattice]
            source[lattice] = moved
    return source


def _magnify_image(x: Array, factor: float) -> Array:
    """The middle of an image at `factor` times its size, as large as the image."""
    height, width = x.shape[:2]
    rows, columns = math.ceil(height / factor), math.ceil(width / factor)
    top, left = (height - rows) // 2, (width - columns) // 2
    size = round(columns * factor), round(rows * factor)
    large: Array = cv2.resize(x[top : top + rows, left : left + columns], size)
    top, left = (size[1] - height + 1) // 2, (size[0] - width + 1) // 2  # up: rounding down twice would drift
    return large[top : top + height, left : left + width]
