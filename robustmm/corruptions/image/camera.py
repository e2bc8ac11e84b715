"""Cameras that are set wrongly or worn: exposure, gain, colour, dead pixels.

Light is linear: exposure, colour of the light and noise act on it before sRGB encodes it, as in a sensor.
"""

import cv2
import numpy as np

from robustmm.corruptions.base import corruption
from robustmm.corruptions.draws import draw_subset
from robustmm.corruptions.signals import Array

WELL = 10_000  # electrons of a white pixel at ISO 100, 1.5 µm wide
READ_NOISE = 3.0  # standard deviation of the electrons that reading a pixel adds
NIGHT_ISO = 1600
DAYLIGHT = 6500  # K
WAVELENGTHS = (610e-9, 550e-9, 465e-9)  # where red, green and blue pixels see most, m
RADIATION = 0.014388  # the second radiation constant of Planck's law, m K


@corruption(
    "over-exposure",
    kind="image",
    unit="stops (EV) too much light",
    table=(0.5, 1, 1.5, 2, 3),
    source="ours: half a stop is what cameras correct by, three what backlight does to a metered face",
)
def over_exposure(x: Array, stops: float, rng: np.random.Generator) -> Array:
    """Twice the light for every stop; what exceeds white is clipped. Draws nothing."""
    return _scale_exposure(x, 2**stops)


@corruption(
    "under-exposure",
    kind="image",
    unit="stops (EV) too little light",
    table=(1, 2, 3, 4, 5),
    source="ours: up to the five stops between a lit room and a street at night",
)
def under_exposure(x: Array, stops: float, rng: np.random.Generator) -> Array:
    """Half the light for every stop, without the noise of low-light. Draws nothing."""
    return _scale_exposure(x, 2**-stops)


@corruption(
    "iso-noise",
    kind="image",
    unit="ISO sensitivity",
    table=(1600, 3200, 6400, 12800, 25600),
    zero=100,
    source="ours: photon and read noise of pixels that hold 10 000 electrons at ISO 100",
)
def iso_noise(x: Array, iso: float, rng: np.random.Generator) -> Array:
    """The noise of few photons and of reading them out, amplified to a right exposure."""
    # albumentations' iso_noise only brightens, by the spread of the picture instead of its light, and needs RGB
    return _add_sensor_noise(LIGHT[x], iso, rng)


@corruption(
    "low-light",
    kind="image",
    unit="stops (EV) too little light",
    table=(1, 2, 3, 4, 5),
    source="ours: as under-exposure, at ISO 1600",
)
def low_light(x: Array, stops: float, rng: np.random.Generator) -> Array:
    """A dark picture with the photon and read noise that come with it, at ISO 1600."""
    return _add_sensor_noise(LIGHT[x] * np.float32(2**-stops), NIGHT_ISO, rng)


@corruption(
    "white-balance",
    kind="image",
    unit="colour temperature of the light, K, on a camera set for 6500 K",
    table=(5500, 4800, 4100, 3400, 2800),
    zero=DAYLIGHT,
    source="ours: from daylight to a light bulb; Wien's law at 610, 550 and 465 nm, green kept",
)
def white_balance(x: Array, kelvin: float, rng: np.random.Generator) -> Array:
    """Red gains and blue loses, by Wien's law; grey pictures stay. Draws nothing."""
    if x.shape[-1] < len(WAVELENGTHS):
        return x
    warmth = RADIATION * (1 / kelvin - 1 / DAYLIGHT)
    for channel in (0, 2):
        gain = np.exp(warmth * (1 / WAVELENGTHS[1] - 1 / WAVELENGTHS[channel]))
        x[..., channel] = _scale_exposure(x[..., channel], gain)
    return x


@corruption(
    "vignetting",
    kind="image",
    unit="stops (EV) of light lost in the corners",
    table=(0.5, 1, 2, 3, 4),
    source="ours: one stop is usual for a wide lens fully open, four a lens hood out of place",
)
def vignetting(x: Array, stops: float, rng: np.random.Generator) -> Array:
    """Corners darken with the fourth power of the cosine of the angle to the optical axis. Draws nothing."""
    height, width = x.shape[:2]
    down, across = np.ogrid[1 - height : height : 2, 1 - width : width : 2]  # from the centre, in half pixels
    from_centre = (down**2 + across**2) / (height**2 + width**2)  # squared; 1 in the corners
    return scale_light(x, 1 / (1 + from_centre * (2 ** (stops / 2) - 1)) ** 2)


@corruption(
    "chromatic-aberration",
    kind="image",
    unit="displacement of red outwards and blue inwards, fraction of the distance from the centre",
    table=(0.005, 0.01, 0.02, 0.03, 0.05),
    source="ours: 0.5 % is a poor lens, 5 % a loupe",
)
def chromatic_aberration(x: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Red is magnified more than green and blue less; grey pictures stay. Draws nothing."""
    height, width = x.shape[:2]
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    for channel, scale in ((0, 1 + fraction), (2, 1 - fraction)):
        if x.shape[-1] > 2:
            turn = np.column_stack([scale * np.eye(2), middle * (1 - scale)])
            plane = np.ascontiguousarray(x[..., channel])
            x[..., channel] = cv2.warpAffine(plane, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return x


@corruption(
    "posterize",
    kind="image",
    unit="bits per channel",
    table=(5, 4, 3, 2, 1),
    zero=8,
    source="ours: displays and links that keep few bits, down to black and white",
)
def posterize(x: Array, bits: float, rng: np.random.Generator) -> Array:
    """The nearest of 2^bits evenly spaced values, black and white among them. Draws nothing."""
    steps = round(2**bits) - 1
    return np.rint(np.arange(256) / 255 * steps)[x] * (255 / steps)


@corruption(
    "defective-pixels",
    kind="image",
    unit="fraction of the photosites, each of one channel",
    table=(0.001, 0.002, 0.005, 0.01, 0.02),
    source="ours: new sensors ship below 0.0001, those in radiation reach 0.02",
)
def defective_pixels(x: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Photosites that show black, white or a value of their own, a third each."""
    corrupted = rng.random(x.shape, dtype=np.float32) < fraction
    return np.where(corrupted, _draw_stuck_values(x.shape, rng), x)


@corruption(
    "defective-rows",
    kind="image",
    unit="fraction of the rows, or of the columns",
    table=(0.02, 0.05, 0.1, 0.15, 0.2),
    source="ours: broken lines of a sensor or its cable",
)
def defective_rows(x: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Whole rows, or in half of the pictures columns, that show black, white or a value of their own."""
    lines = x if rng.random() < 0.5 else x.swapaxes(0, 1)
    corrupted = draw_subset(len(lines), fraction, rng)
    lines[corrupted] = _draw_stuck_values((len(lines), 1, 1), rng)[corrupted]
    return x


def encode_srgb(light: Array) -> Array:
    """Pixels of sRGB for this light, LIGHT backwards; what exceeds 1 is white."""
    pixels: Array = _PIXELS[(np.clip(light, 0, 1) * _FINE + 0.5).astype(np.uint16)]
    return pixels


def scale_light(x: Array, gain: Array) -> Array:
    """The picture with its light multiplied by a gain (H, W), or (H, 1)."""
    return encode_srgb(LIGHT[x] * gain[..., None].astype(np.float32))


def _scale_exposure(x: Array, gain: float) -> Array:
    return encode_srgb(LIGHT * gain)[x]


def _add_sensor_noise(light: Array, iso: float, rng: np.random.Generator) -> Array:
    white = np.float32(WELL * 100 / iso)
    noise = rng.standard_normal(light.shape, dtype=np.float32)
    noise *= np.sqrt(light / white + (np.float32(READ_NOISE) / white) ** 2)
    return encode_srgb(light + noise)


def _draw_stuck_values(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    own, kind = (rng.integers(count, size=shape, dtype=np.uint8) for count in (256, 3))
    return np.where(kind == 2, own, kind * np.uint8(255))


_FINE = 2**16 - 1  # steps of light: they lie 0.05 of a pixel's value apart, or less
_CODE = np.arange(256) / 255
_STEPS = np.arange(_FINE + 1) / _FINE
LIGHT = np.where(_CODE <= 0.04045, _CODE / 12.92, ((_CODE + 0.055) / 1.055) ** 2.4).astype(np.float32)
"""The light, 0 to 1, behind each of the 256 values of a pixel of sRGB."""
_PIXELS = np.rint(255 * np.where(_STEPS <= 0.0031308, 12.92 * _STEPS, 1.055 * _STEPS ** (1 / 2.4) - 0.055)).astype("u1")
