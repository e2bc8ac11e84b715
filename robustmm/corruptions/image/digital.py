"""Image processing: levels, compression, resampling and warping."""

from collections.abc import Iterable
from functools import reduce
from typing import Any

import cv2
import numpy as np

from robustmm.corruptions.base import corruption
from robustmm.corruptions.draws import draw_words
from robustmm.corruptions.signals import Array, round_pixels

ELASTIC = 244 / 224
"""ImageNet-C's lengths are fractions of 244 px, on pictures of 224."""


@corruption(
    "brightness",
    kind="image",
    unit="added to the value of HSV, of full scale",
    table=(0.1, 0.2, 0.3, 0.4, 0.5),
    small=(0.05, 0.1, 0.15, 0.2, 0.3),
    source="ImageNet-C brightness",
)
def brightness(x: Array, added: float, rng: np.random.Generator) -> Array:
    """Light added to the value of HSV, hue and saturation kept; black turns grey. Transparency stays."""
    planes = split_colours(x)
    value = reduce(cv2.max, planes)
    shades = np.arange(256, dtype=np.float32)
    gain = cv2.LUT(value, np.minimum(shades + np.float32(255 * added), 255) / np.maximum(shades, 1))
    black = (value == 0).view(np.uint8)  # counts as the darkest grey, which a gain can lift
    return merge_colours(x, (cv2.multiply(cv2.max(plane, black), gain, dtype=cv2.CV_8U) for plane in planes))


@corruption(
    "contrast",
    kind="image",
    unit="factor on the distance to the mean",
    table=(0.4, 0.3, 0.2, 0.1, 0.05),
    small=(0.75, 0.5, 0.4, 0.3, 0.15),
    zero=1,
    source="ImageNet-C contrast",
)
def contrast(x: Array, factor: float, rng: np.random.Generator) -> Array:
    """Every channel drawn towards its own mean over the picture."""
    columns = cv2.reduce(x.reshape(len(x), -1), 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S)
    mean = columns.reshape(x.shape[1:]).sum(axis=0, dtype=np.int64) / (x.shape[0] * x.shape[1])
    shades = np.rint((np.arange(256)[:, None] - mean) * factor + mean).astype(np.uint8)
    return cv2.LUT(x, shades[None]).reshape(x.shape)


@corruption(
    "saturate",
    kind="image",
    unit=("factor on the saturation of HSV", "added to the saturation"),
    table=((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
    small=((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
    zero=(1, 0),
    monotone=False,
    source="ImageNet-C saturate: severities 1 and 2 take colour away, 3 to 5 add it",
)
def saturate(x: Array, strength: tuple[float, float], rng: np.random.Generator) -> Array:
    """Saturation multiplied and added to in HSV, hue and value kept; the hue of a grey counts as red, as HSV has it.

    Transparency stays, and so does a picture of one channel, which has no colour.
    """
    factor, added = strength
    red, *others = planes = split_colours(x)
    if not others:
        return x
    value, lowest = reduce(np.maximum, planes), reduce(np.minimum, planes)
    coloured = value > lowest
    saturation = (value - lowest) / np.maximum(value, np.float32(1))
    gain = np.clip(np.float32(factor) * saturation + np.float32(added), 0, 1) / np.where(coloured, saturation, 1)
    lacks = (value - plane for plane in (red, *(plane * coloured for plane in others)))
    return merge_colours(x, (value - lack * gain for lack in lacks))


@corruption(
    "pixelate",
    kind="image",
    unit="factor on the resolution",
    table=(0.6, 0.5, 0.4, 0.3, 0.25),
    small=(0.95, 0.9, 0.85, 0.75, 0.65),
    zero=1,
    source="ImageNet-C pixelate",
)
def pixelate(x: Array, scale: float, rng: np.random.Generator) -> Array:
    """The picture reduced to a coarser grid, each cell the mean of what it covers, and enlarged without smoothing."""
    height, width = x.shape[:2]
    coarse = max(1, round(width * scale)), max(1, round(height * scale))
    parts = [x] if x.shape[2] <= 4 else cv2.split(x)  # OpenCV resizes up to four channels at once
    means = [cv2.resize(part.astype(np.float32), coarse, interpolation=cv2.INTER_AREA) for part in parts]
    cells = [round_pixels(part) for part in means]
    parts = [cv2.resize(part, (width, height), interpolation=cv2.INTER_NEAREST_EXACT) for part in cells]
    return np.dstack(parts).reshape(x.shape) if len(parts) > 1 else parts[0].reshape(x.shape)


@corruption(
    "jpeg-compression",
    kind="image",
    unit="JPEG quality, 1 to 100",
    table=(25, 18, 15, 10, 7),
    small=(80, 65, 58, 50, 40),
    zero=100,
    source="ImageNet-C jpeg_compression",
)
def jpeg_compression(x: Array, quality: float, rng: np.random.Generator) -> Array:
    """Written and read as baseline JPEG, colour at half the resolution (4:2:0); transparency coded by itself."""
    count = 3 if x.shape[-1] >= 3 else 1
    parts = [x[..., :count], *(x[..., c : c + 1] for c in range(count, x.shape[-1]))]
    coded = [_apply_jpeg(part, round(quality)) for part in parts]
    return coded[0] if len(coded) == 1 else np.concatenate(coded, axis=-1)


@corruption(
    "elastic-transform",
    kind="image",
    unit=("gain on the smoothed displacement", "width of the smoothing", "jitter of three corners"),
    table=tuple(
        tuple(round(ELASTIC * number, 6) for number in row)
        for row in ((2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02))
    ),
    small=((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
    zero=(0, 0.01, 0),
    monotone=False,
    source="ImageNet-C elastic_transform, here in fractions of the longer side",
)
def elastic_transform(x: Array, strength: tuple[float, float, float], rng: np.random.Generator) -> Array:
    """Each pixel fetched, between pixels linearly, from where an affine map of three corners, each moved by up to
    the jitter, and white noise in ±1, smoothed and multiplied by the gain, send it. The picture is mirrored outside."""
    height, width = x.shape[:2]
    gain, smoothing, jitter = (max(height, width) * number for number in strength)
    corners = jitter * rng.uniform(-1, 1, (3, 2))  # how far right and down: south-east, north-east, north-west
    noise = draw_words(2 * height * width, rng).reshape(2, height, width).astype(np.float32)
    noise *= np.float32(gain / 2**15)
    noise -= np.float32(gain)
    side = 2 * max(1.0, min(height, width) / 3)
    across, along = (corners[1] - corners[2]) / side, (corners[0] - corners[1]) / side
    right, down = np.arange(width) - (width - 1) / 2, np.arange(height)[:, None] - (height - 1) / 2
    middle = (corners[0] + corners[2]) / 2
    column, row = (smooth_field(plane, smoothing) for plane in noise)
    column += (np.arange(width) + middle[0] + right * across[0]).astype(np.float32)
    column += (down * along[0]).astype(np.float32)
    row += (np.arange(height)[:, None] + middle[1] + down * along[1]).astype(np.float32)
    row += (right * across[1]).astype(np.float32)
    return cv2.remap(x, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101).reshape(x.shape)


def split_colours(x: Array) -> list[Array]:
    """Red, green and blue, or the one plane of a grey picture; what follows is transparency."""
    return list(cv2.split(x)[: 3 if x.shape[-1] >= 3 else 1])


def merge_colours(x: Array, planes: Iterable[Array]) -> Array:
    """`x` with these colours, rounded one by one: planes of floats in plenty cost more time than the arithmetic."""
    painted = [round_pixels(plane) for plane in planes]
    others = cv2.split(x)[len(painted) :] if len(painted) < x.shape[-1] else ()
    return cv2.merge([*painted, *others]).reshape(x.shape)


def smooth_field(field: Array, sigma: float) -> Array:
    """Gaussian smoothing that mirrors the field at its edges; a wide one is done on means over blocks."""
    height, width = field.shape[:2]
    block = max(1, int(sigma / 4))
    coarse = -(-width // block), -(-height // block)
    reduced = cv2.resize(field, coarse, interpolation=cv2.INTER_AREA) if block > 1 else field
    reach = 2 * int(3 * sigma / block + 0.5) + 1
    blurred = cv2.GaussianBlur(reduced, (reach, reach), sigma / block, borderType=cv2.BORDER_REFLECT)
    return (cv2.resize(blurred, (width, height)) if block > 1 else blurred).reshape(field.shape)


def magnify_field(field: Array, zoom: float) -> Array:
    """The middle of a field, enlarged to its size, the corners of the middle on the corners of the field."""
    (rows, top), (columns, left) = ((n := int(np.ceil(side / zoom)), (side - n) // 2) for side in field.shape)
    height, width = field.shape
    places = [[(columns - 1) / max(1, width - 1), 0, left], [0, (rows - 1) / max(1, height - 1), top]]
    options = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(field, np.array(places), (width, height), flags=options, borderMode=cv2.BORDER_REPLICATE)


def streak_field(field: Array, length: int, spread: float, degrees: float) -> Array:
    """Each point drawn out to one side with the fading of half a Gaussian, then all turned about the middle."""
    height, width = field.shape
    fading = np.exp(-0.5 * (np.arange(2 * length + 1, dtype=np.float32) / spread) ** 2)
    kernel = (fading / fading.sum())[None]
    drawn = cv2.filter2D(field, -1, kernel, anchor=(0, 0), borderType=cv2.BORDER_REFLECT_101)
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1)
    return cv2.warpAffine(drawn, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101).reshape(field.shape)


def _apply_jpeg(x: Array, quality: int) -> Array:
    """One or three channels through JPEG."""
    halved = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    ordered = cv2.cvtColor(x, cv2.COLOR_RGB2BGR) if x.shape[-1] == 3 else x
    _, coded = cv2.imencode(".jpg", ordered, [cv2.IMWRITE_JPEG_QUALITY, quality, *halved])
    decoded: Any = cv2.imdecode(coded, cv2.IMREAD_UNCHANGED)
    return np.reshape(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB) if x.shape[-1] == 3 else decoded, x.shape)
