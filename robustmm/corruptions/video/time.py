"""Video faults in time: frames that are lost, late, repeated, torn or shaken.

A clip often has few frames, so strengths are fractions of the frames or durations in frames. A clip of one frame has
nothing to mix up: only black-frames, packet-loss, flicker and camera-shake touch it.
"""

import cv2
import numpy as np

from robustmm.corruptions.base import corruption
from robustmm.corruptions.draws import draw_subset
from robustmm.corruptions.signals import Array

GREY = 128
SLICES = 8
"""Horizontal bands that a frame is sent in."""
SMOOTH = 0.7
"""Correlation of a hand's position from one frame to the next."""


@corruption(
    "frame-drop",
    kind="video",
    unit="fraction of the frames that are lost",
    table=(0.1, 0.2, 0.3, 0.4, 0.5),
    source="ours",
)
def frame_drop(x: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Lost frames, in whose place the last one that came is held; before any came, the first that will.

    Where none is left the clip is shown as it is: one frame stays.
    """
    came = ~draw_subset(len(x), fraction, rng)
    return x[np.maximum(_last_arrival(came), came.argmax())]


@corruption(
    "black-frames",
    kind="video",
    unit="fraction of the frames that are black",
    table=(0.1, 0.2, 0.3, 0.4, 0.5),
    source="ours",
)
def black_frames(x: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Lost frames, shown black. A clip of one frame is black with this probability."""
    x[draw_subset(len(x), fraction, rng)] = 0
    return x


@corruption(
    "freeze",
    kind="video",
    unit="fraction of the clip, its end, that shows one frame",
    table=(0.2, 0.35, 0.5, 0.7, 0.9),
    source="ours",
)
def freeze(x: Array, fraction: float, rng: np.random.Generator) -> Array:
    """The stream hangs: the last frame that came, at least the first, is held to the end."""
    came = max(1, len(x) - round(len(x) * fraction))
    x[came:] = x[came - 1]
    return x


@corruption(
    "repeated-frames",
    kind="video",
    unit="fraction of the frames that only repeat the one before",
    table=(0.1, 0.2, 0.3, 0.4, 0.5),
    source="ours",
)
def repeated_frames(x: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Stutter: a frame is shown again, all that follow are late by one more, and the end is cut."""
    repeats = np.append(False, draw_subset(len(x), fraction, rng)[1:])
    stuttered: Array = x[np.cumsum(~repeats) - 1]
    return stuttered


@corruption(
    "frame-rate-loss",
    kind="video",
    unit="fraction of the frame rate that is left",
    table=(0.75, 0.5, 0.375, 0.25, 0.125),
    zero=1,
    source="ours: 30 frames per second become 22.5, 15, 11.25, 7.5 and 3.75",
)
def frame_rate_loss(x: Array, left: float, rng: np.random.Generator) -> Array:
    """Frames at a lower, even rate from the first one on, each held until the next."""
    tick = np.floor(np.arange(len(x)) * left + 1e-9)
    held: Array = x[np.ceil(tick / left - 1e-9).astype(np.int64)]
    return held


@corruption(
    "frame-jitter",
    kind="video",
    unit="longest delay of a frame, frames",
    table=(2, 3, 4, 6, 8),
    source="ours",
)
def frame_jitter(x: Array, longest: float, rng: np.random.Generator) -> Array:
    """Frames in the order of their arrival: each is late by its own time, uniform between 0 and the longest."""
    arrival = np.arange(len(x)) + longest * rng.random(len(x))
    return x[np.argsort(arrival, kind="stable")]


@corruption(
    "tearing",
    kind="video",
    unit="fraction of the frames after the first that are torn",
    table=(0.2, 0.4, 0.6, 0.8, 1),
    source="ours",
)
def tearing(x: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Frames shown before they were complete: from a row drawn for each downwards, the frame before."""
    torn = np.append(False, draw_subset(len(x) - 1, fraction, rng))
    row = np.floor(rng.random(len(x)) * x.shape[1])
    old = torn[:, None] & (np.arange(x.shape[1]) >= row[:, None])
    shown: Array = x[np.arange(len(x))[:, None] - old, np.arange(x.shape[1])]
    return shown


@corruption(
    "packet-loss",
    kind="video",
    unit="fraction of the slices that are lost, 8 to a frame",
    table=(0.05, 0.1, 0.2, 0.3, 0.5),
    source="ours",
)
def packet_loss(x: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Lost horizontal slices, in whose place the last one that came is held; before any came, mid-grey."""
    came = ~draw_subset(len(x) * SLICES, fraction, rng).reshape(len(x), SLICES)
    rows = np.arange(x.shape[1])
    latest = _last_arrival(came)[:, rows * SLICES // len(rows)]
    shown = x[latest, rows]
    shown[latest < 0] = GREY
    return shown


@corruption("long-exposure", kind="video", unit="exposure, frames", table=(2, 3, 4, 6, 8), zero=1, source="ours")
def long_exposure(x: Array, exposure: float, rng: np.random.Generator) -> Array:
    """Each frame is the mean over the frames of the exposure that ends with it; the clip began with a still."""
    whole = int(exposure)
    total = np.zeros(x.shape)
    for age in range(whole + 1):
        weight = 1 if age < whole else exposure - whole
        total += weight * x[np.maximum(np.arange(len(x)) - age, 0)]
    return total / exposure


@corruption(
    "flicker",
    kind="video",
    unit="amplitude of the brightness, fraction of its mean",
    table=(0.1, 0.2, 0.3, 0.45, 0.6),
    source="ours",
)
def flicker(x: Array, amplitude: float, rng: np.random.Generator) -> Array:
    """Lamps that beat with the shutter: brightness is a sine over the frames, at 0.1 to 0.5 periods a frame."""
    phase, periods = rng.random(), rng.uniform(0.1, 0.5)
    gain = 1 + amplitude * np.sin(2 * np.pi * (phase + periods * np.arange(len(x))))
    lit: Array = gain[:, None, None, None] * x
    return lit


@corruption(
    "camera-shake",
    kind="video",
    unit=("root mean square displacement, % of the width", "root mean square rotation, degrees"),
    table=((1, 0.5), (2, 1), (3, 1.5), (5, 2.5), (8, 4)),
    zero=(0, 0),
    source="ours",
)
def camera_shake(x: Array, amount: tuple[float, float], rng: np.random.Generator) -> Array:
    """Frames moved and turned about their centre along a smooth random path; what comes into view repeats the edge."""
    height, width = x.shape[1:3]
    path = rng.standard_normal((len(x), 3))
    for t in range(1, len(x)):
        path[t] = SMOOTH * path[t - 1] + np.sqrt(1 - SMOOTH**2) * path[t]
    moved = path[:, :2] * amount[0] / 100 * width / np.sqrt(np.mean(np.sum(path[:, :2] ** 2, axis=1)))
    turned = path[:, 2] * amount[1] / np.sqrt(np.mean(path[:, 2] ** 2))
    for frame, offset, angle in zip(x, moved, turned, strict=True):
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1)
        matrix[:, 2] += offset
        seen = cv2.warpAffine(frame, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        frame[...] = seen.reshape(frame.shape)
    return x


def _last_arrival(came: Array) -> Array:
    """At every time (the first axis), the last time at which something came; -1 before any did."""
    return np.maximum.accumulate(np.where(came, np.arange(len(came)).reshape(-1, *[1] * (came.ndim - 1)), -1), axis=0)
