"""How fast corruptions are on one core, beside peers in the same run: python benchmarks/corruptions.py [images|audio]

Images: the 15 common corruptions of ImageNet-C at 224 x 224 x 3, beside imagecorruptions and albumentations. Audio:
every corruption of ours on clips of 3 s at 16 kHz, beside audiomentations. A peer is given our strengths as nearly as
it takes them. Per second of processor time, all threads counted, so that a busy machine slows both sides alike; each
cell is the median of up to 15 calls after a first, each row the mean of the five severities. Peers are no dependencies
of the project. Budget: 300 images/s over the 15 x 5 cells.
"""

import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import mean, median
from types import ModuleType
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", NO_ALBUMENTATIONS_UPDATE="1")

import cv2
import numpy as np

from robustmm.corruptions import corrupt, find_corruption, kinds, names

CALLS, ENOUGH = 15, 0.75  # seconds: a slow cell is not measured again after so long
SEVERITIES = range(1, 6)
SIZE, SECONDS, RATE = 224, 3, 16_000
IMAGES = [
    *("gaussian", "shot-noise", "impulse-noise", "defocus-blur", "glass-blur", "motion-blur", "zoom-blur", "snow"),
    *("frost", "fog", "brightness", "contrast", "elastic-transform", "pixelate", "jpeg-compression"),
]
Array = np.ndarray[Any, Any]
Call = Callable[[int], object]


def both(value: float) -> tuple[float, float]:
    """A peer's range that holds one value."""
    return value, value


# our name -> the peer's class and its arguments, from (our strength, severity)
ALBUMENTATIONS: dict[str, tuple[str, Callable[[Any, int], dict[str, Any]]]] = {
    "gaussian": ("GaussNoise", lambda v, s: {"std_range": both(v / 255)}),
    "shot-noise": ("ShotNoise", lambda v, s: {"scale_range": both(1 / v)}),
    "impulse-noise": ("SaltAndPepper", lambda v, s: {"amount": both(v), "salt_vs_pepper": both(0.5)}),
    "defocus-blur": ("Defocus", lambda v, s: {"radius": both(v[0]), "alias_blur": both(v[1])}),
    "glass-blur": ("GlassBlur", lambda v, s: {"sigma": v[0], "max_delta": v[1], "iterations": v[2]}),
    "motion-blur": ("MotionBlur", lambda v, s: {"blur_limit": both(2 * v[0] + 1), "angle_range": (0, 45)}),
    "zoom-blur": ("ZoomBlur", lambda v, s: {"max_factor": both(v[0]), "step_factor": both(v[1])}),
    "snow": ("RandomSnow", lambda v, s: {"snow_point_range": both(0.2 * s), "method": "texture"}),
    "fog": ("RandomFog", lambda v, s: {"fog_coef_range": both(0.2 * s)}),
    "brightness": ("RandomBrightnessContrast", lambda v, s: {"brightness_limit": both(v), "contrast_limit": both(0)}),
    "contrast": ("RandomBrightnessContrast", lambda v, s: {"contrast_limit": both(v - 1), "brightness_limit": both(0)}),
    "elastic-transform": ("ElasticTransform", lambda v, s: {"alpha": v[0] * SIZE, "sigma": v[1] * SIZE}),
    "pixelate": ("Downscale", lambda v, s: {"scale_range": both(v)}),
    "jpeg-compression": ("ImageCompression", lambda v, s: {"quality_range": both(v)}),
}


REASONS = {
    "gaussian": "the noise is drawn from a generator of the sample's own (Philox), which any machine repeats",
    "brightness": "ImageNet-C adds to the value of HSV; albumentations looks a shift up in a table",
    "contrast": "ImageNet-C contracts about each channel's mean; albumentations about a constant, from a table",
    "pixelate": "cells are means of what they cover; albumentations takes the nearest pixel",
    "jpeg-compression": "albumentations at its default subsampling; ours states 4:2:0 and keeps transparency",
    "blank": "the checks that every corruption pays, here about 0.3 ms: finite, clipped, shape and dtype",
    "band-pass": "zero-phase, its magnitude exact (FFT); audiomentations filters causally",
    "high-pass": "zero-phase, its magnitude exact (FFT); audiomentations filters causally",
    "low-pass": "zero-phase, its magnitude exact (FFT); audiomentations filters causally",
    "pitch": "a phase-locked vocoder in numpy; audiomentations has a compiled one",
    "bit-depth": "the checks that every corruption pays",
    "gain-loss": "the checks that every corruption pays",
    "reversal": "segments of 50 ms are drawn and turned in their places; audiomentations returns a view, backwards",
    "time-shift": "the checks that every corruption pays",
    "reverberation": "the room is drawn for each sample; audiomentations convolves with one that is on disk",
    "mp3": "through the libsndfile that is installed anyway; audiomentations has a compiled codec of its own",
    "resampling": "scipy's polyphase filter there and back; audiomentations goes through soxr",
}
"""Why ours may be slower than a peer, printed where it is."""


def least_and_most(what: str, value: float) -> dict[str, float]:
    return {f"min_{what}": value, f"max_{what}": value}


def noise(decay: float) -> tuple[str, Callable[[Any, int], dict[str, Any]]]:
    return "AddColorNoise", lambda v, s: least_and_most("snr_db", v) | least_and_most("f_decay", decay)


def band(high: float, low: float) -> dict[str, float]:
    centre = (high + low) / 2
    return least_and_most("center_freq", centre) | least_and_most("bandwidth_fraction", (high - low) / centre)


AUDIOMENTATIONS: dict[str, tuple[str, Callable[[Any, int], dict[str, Any]]]] = {
    "gaussian": ("AddGaussianSNR", lambda v, s: least_and_most("snr_db", v)),
    "pink-noise": noise(-3.01),
    "brown-noise": noise(-6.02),
    "blue-noise": noise(3.01),
    "low-pass": ("LowPassFilter", lambda v, s: least_and_most("cutoff_freq", v)),
    "high-pass": ("HighPassFilter", lambda v, s: least_and_most("cutoff_freq", v)),
    "band-pass": ("BandPassFilter", lambda v, s: band(*v)),
    "clipping": ("ClippingDistortion", lambda v, s: least_and_most("percentile_threshold", 8 * s)),
    "overdrive": ("TanhDistortion", lambda v, s: least_and_most("distortion", 0.2 * s)),
    "equaliser": ("SevenBandParametricEQ", lambda v, s: {"min_gain_db": -v, "max_gain_db": v}),
    "gain-loss": ("Gain", lambda v, s: least_and_most("gain_db", -v)),
    "mp3": ("Mp3Compression", lambda v, s: least_and_most("bitrate", v)),
    "pitch": ("PitchShift", lambda v, s: least_and_most("semitones", v)),
    "time-stretch": ("TimeStretch", lambda v, s: least_and_most("rate", 1 + v / 100)),
    "reverberation": ("ApplyImpulseResponse", lambda v, s: {"ir_path": room(v)}),
    "resampling": ("Resample", lambda v, s: least_and_most("sample_rate", int(v))),
    "bit-depth": ("BitCrush", lambda v, s: least_and_most("bit_depth", v)),
    "time-shift": ("Shift", lambda v, s: least_and_most("shift", v / 1000) | {"shift_unit": "seconds"}),
    "blank": ("TimeMask", lambda v, s: least_and_most("band_part", v)),
    "reversal": ("Reverse", lambda v, s: {}),
}


def room(reverberation: float) -> str:
    """The file of an impulse response that falls by 60 dB in so many seconds."""
    import soundfile

    time_axis = np.arange(round(reverberation * RATE)) / RATE
    response = np.random.default_rng(0).standard_normal(len(time_axis)) * 10 ** (-3 * time_axis / reverberation)
    path = Path(tempfile.mkdtemp()) / "room.wav"
    soundfile.write(path, response / np.abs(response).max(), RATE)
    return str(path)


def seconds(call: Call) -> float:
    """Processor time of one call."""
    call(0)
    times: list[float] = []
    while len(times) < CALLS and sum(times) < ENOUGH:
        start = time.process_time()
        call(1 + len(times))
        times.append(time.process_time() - start)
    return median(times)


def attempt(of: Callable[[int], Call]) -> float | str:
    """Mean seconds over the severities, or why there is none."""
    try:
        return mean(seconds(of(severity)) for severity in SEVERITIES)
    except Exception as problem:  # a peer may fail in any way: its row says so
        return f"{type(problem).__name__}: {' '.join(str(problem).split())}"[:60]


def ours(name: str, kind: str, x: Array, severity: int) -> Call:
    chosen = find_corruption(name, kind)
    facts = {"rate": RATE} if kind == "audio" else {}
    return lambda i: corrupt(x, chosen, severity / 5, seed=0, sample_id=str(i), modality="m", **facts)


def by_imagecorruptions(peer: ModuleType, name: str, x: Array, severity: int) -> Call:
    theirs = {"gaussian": "gaussian_noise"}.get(name, name.replace("-", "_"))
    return lambda i: peer.corrupt(x, corruption_name=theirs, severity=severity)


def by_albumentations(peer: ModuleType, name: str, x: Array, severity: int) -> Call:
    theirs, arguments = ALBUMENTATIONS[name]
    strength = find_corruption(name, "image").table[severity - 1]
    transform = getattr(peer, theirs)(**arguments(strength, severity), p=1)
    return lambda i: transform(image=x)


def by_audiomentations(peer: ModuleType, name: str, x: Array, severity: int) -> Call:
    theirs, arguments = AUDIOMENTATIONS[name]
    strength = find_corruption(name, "audio").table[severity - 1]
    transform = getattr(peer, theirs)(**arguments(strength, severity), p=1)
    return lambda i: transform(x, sample_rate=RATE)


def installed(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except ImportError as problem:
        print(f"{name}: not installed ({problem})")
        return None


def against(found: float, peer: float | str | None, title: str) -> str:
    if not isinstance(peer, float):
        return f"  {peer or '-'}"
    return f"  {1 / peer:8.0f}  x{peer / found:<7.1f}{title}"


def explained(name: str, found: float, *peers: float | str | None) -> None:
    """Why ours is slower, where it is by more than the clock's own scatter."""
    if any(isinstance(peer, float) and peer < 0.9 * found for peer in peers):
        print(f"{'':20}   slower: {REASONS.get(name, 'no reason known')}")


def images() -> None:
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (14, 14, 3), dtype=np.uint8)
    x = cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    imagecorruptions, albumentations = installed("imagecorruptions"), installed("albumentations")
    print(f"{'images/s':20} {'ours':>8}  {'imagecorruptions':40}  albumentations")
    cells: list[tuple[float, float | str | None]] = []
    for name in IMAGES:
        if name not in names() or "image" not in kinds(name):
            print(f"{name:20} not registered")
            continue
        found = attempt(partial(ours, name, "image", x))
        if isinstance(found, str):
            raise SystemExit(f"{name}: {found}")
        first = attempt(partial(by_imagecorruptions, imagecorruptions, name, x)) if imagecorruptions else None
        second = None
        if albumentations and name in ALBUMENTATIONS:
            second = attempt(partial(by_albumentations, albumentations, name, x))
        title = ALBUMENTATIONS[name][0] if name in ALBUMENTATIONS else ""
        print(f"{name:20} {1 / found:8.0f}{against(found, first, ''):62}{against(found, second, title)}", flush=True)
        cells.append((found, first))
        explained(name, found, first, second)
    print(f"{'all':20} {1 / mean(found for found, _ in cells):8.0f}  over {len(cells)} corruptions x 5 severities")
    common = [(found, peer) for found, peer in cells if isinstance(peer, float)]
    if common:
        us, them = (mean(column) for column in zip(*common, strict=True))
        print(f"{'where both run':20} {1 / us:8.0f}  {1 / them:8.0f}  x{them / us:.1f}  over {len(common)} corruptions")


def audio() -> None:
    random = np.random.default_rng(0)
    t = np.arange(SECONDS * RATE) / RATE
    loud = 0.5 + 0.5 * np.sin(2 * np.pi * 3 * t)
    x = (0.3 * loud * np.sin(2 * np.pi * 180 * t) + 0.01 * random.standard_normal(len(t))).astype(np.float32)
    peer = installed("audiomentations")
    print(f"{'clips/s':20} {'ours':>8}  audiomentations")
    common: list[tuple[float, float]] = []
    for name in names():
        if "audio" not in kinds(name):
            continue
        found = attempt(partial(ours, name, "audio", x))
        if isinstance(found, str):
            print(f"{name:20} {found}")
            continue
        theirs = attempt(partial(by_audiomentations, peer, name, x)) if peer and name in AUDIOMENTATIONS else None
        title = AUDIOMENTATIONS[name][0] if name in AUDIOMENTATIONS else ""
        print(f"{name:20} {1 / found:8.0f}{against(found, theirs, title)}", flush=True)
        explained(name, found, theirs)
        if isinstance(theirs, float):
            common.append((found, theirs))
    if common:
        us, them = (mean(column) for column in zip(*common, strict=True))
        print(f"{'where both run':20} {1 / us:8.0f}  {1 / them:8.0f}  x{them / us:.1f}  over {len(common)} corruptions")


if __name__ == "__main__":
    cv2.setNumThreads(1)
    warnings.simplefilter("ignore")
    for part in (images, audio):
        if sys.argv[1:] in ([], [part.__name__]):
            part()
