"""Augmentations of pictures (..., H, W, C): a video's frames are all changed by the same draw."""

from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from robustmm.augmentations.base import Share, augmentation
from robustmm.corruptions.image.albumentations import adjust_colours
from robustmm.corruptions.signals import Array
from robustmm.modalities.fitting import scale_picture


def check_order(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        raise PydanticCustomError("order", "should be two numbers, the lower one first")
    return ends


Part = Annotated[float, Field(gt=0, le=1)]
Stretch = Annotated[float, Field(ge=0.1, le=10)]
Parts = Annotated[tuple[Part, Part], AfterValidator(check_order)]
Stretches = Annotated[tuple[Stretch, Stretch], AfterValidator(check_order)]


@augmentation("horizontal-flip", "image", "video")
def flip_horizontally(x: Array, rng: np.random.Generator) -> Array:
    """Left and right change places; not for digits, letters and what else has a direction."""
    return x[..., ::-1, :]


@augmentation("vertical-flip", "image", "video")
def flip_vertically(x: Array, rng: np.random.Generator) -> Array:
    """Top and bottom change places: for pictures from above, and slides under a microscope."""
    return x[..., ::-1, :, :]


@augmentation("crop", "image", "video")
def crop(x: Array, rng: np.random.Generator, *, scale: Parts = (0.5, 1.0), ratio: Stretches = (3 / 4, 4 / 3)) -> Array:
    """A part of the picture, anywhere in it, scaled to its size.

    Its area is within `scale` of the picture's, its width over its height within `ratio` times the picture's: the
    random resized crop of Szegedy et al. (2015), which takes parts down to 0.08.
    """
    height, width = x.shape[-3:-1]
    area, stretch = rng.uniform(*scale), np.exp(rng.uniform(*np.log(ratio)))
    tall = min(max(round(height * np.sqrt(area / stretch)), 1), height)
    wide = min(max(round(width * np.sqrt(area * stretch)), 1), width)
    top, left = rng.integers(height - tall + 1), rng.integers(width - wide + 1)
    part = x[..., top : top + tall, left : left + wide, :]
    frames = part.reshape(-1, *part.shape[-3:])
    return np.stack([scale_picture(frame, height, width, "area") for frame in frames]).reshape(x.shape)


@augmentation("padded-crop", "image", "video")
def crop_padded(x: Array, rng: np.random.Generator, *, padding: Share = 0.125) -> Array:
    """The picture moved by whole pixels, black where it was.

    At most by `padding` of each side's length either way: the crop of CIFAR-10 in He et al. (2016), 4 of 32 pixels.
    """
    height, width = x.shape[-3:-1]
    down, right = (int(rng.integers(-most, most + 1)) for most in (round(padding * height), round(padding * width)))
    moved = np.zeros_like(x)
    rows, columns = (slice(max(by, 0), size + min(by, 0)) for by, size in ((down, height), (right, width)))
    from_rows, from_columns = (slice(max(-by, 0), size + min(-by, 0)) for by, size in ((down, height), (right, width)))
    moved[..., rows, columns, :] = x[..., from_rows, from_columns, :]
    return moved


@augmentation("colour", "image", "video")
def change_colour(
    x: Array,
    rng: np.random.Generator,
    *,
    brightness: Share = 0.4,
    contrast: Share = 0.4,
    saturation: Share = 0.4,
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.1,
) -> Array:
    """Brightness, contrast, saturation and hue, in this order.

    The first three times factors within 1 ± the option, the hue turned by at most `hue` of the circle: the colour
    jitter of torchvision, by albumentations. Grey pictures have the first two only.
    """
    lighter, harder, richer = (rng.uniform(1 - most, 1 + most) for most in (brightness, contrast, saturation))
    turned = rng.uniform(-hue, hue)
    tall = x.reshape(-1, *x.shape[-2:])  # frames beneath each other: the contrast is about the mean of all
    return adjust_colours(tall, lighter, harder, richer, turned).reshape(x.shape)
