"""How fast corruptions are on one core: python benchmarks/corruptions.py [images|audio|text|series] prints tables.

Images: the 15 common corruptions of ImageNet-C at 224 x 224 x 3, beside imagecorruptions and albumentations. Audio:
every corruption of ours on clips of 3 s at 16 kHz, beside audiomentations. Text, 20 words, and series, 100 steps of 6
channels, have no peers. A peer runs in turn with ours, given our strengths as nearly as it takes them. Per second of
processor time, all threads counted, so that a busy machine slows both sides alike; each cell is the median of up to 15
rounds after a first, each row the mean of the five severities. Peers are no dependencies of the project. Budget: 300
images/s over the 15 x 5 cells.
"""

import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import geometric_mean, harmonic_mean, mean, median
from types import ModuleType
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", NO_ALBUMENTATIONS_UPDATE="1")

import cv2
import numpy as np

from robustmm.corruptions import corrupt, find_corruption, kinds, names

ROUNDS, ENOUGH = 15, 0.75  # seconds: a slow cell has no more rounds after so long
TURN = 0.002  # seconds: of what is quicker, a turn is several calls
FREED = 31 * 2**20  # bytes
SEVERITIES = range(1, 6)
SIZE, SECONDS, RATE = 224, 3, 16_000
STEPS, CHANNELS = 100, 6
TEXT = "Two dogs, 3 cats and an old man wait for the 7 o'clock bus in front of their small red house."
IMAGES = [
    *("gaussian", "shot-noise", "impulse-noise", "defocus-blur", "glass-blur", "motion-blur", "zoom-blur", "snow"),
    *("frost", "fog", "brightness", "contrast", "elastic-transform", "pixelate", "jpeg-compression"),
]
Array = np.ndarray[Any, Any]
Call = Callable[[int], object]
Time = float | str | None
"""Seconds of one call; why there are none; or None where there is no such peer."""


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


CHECKS = "the checks"
REASONS = {
    "brightness": "ImageNet-C adds to the value of HSV; albumentations looks a shift up in a table",
    "contrast": "ImageNet-C contracts about each channel's mean; albumentations about a constant, from a table",
    "pixelate": "cells are means of what they cover; albumentations takes the nearest pixel",
    "jpeg-compression": "one codec on both sides; ours is given its colours in their order; the checks",
    "blank": "the checks; spans are drawn, where audiomentations silences one",
    "bit-depth": CHECKS,
    "gain-loss": CHECKS,
    "time-shift": CHECKS,
    "reversal": "audiomentations returns a view of the whole clip backwards",
    "mp3": "LAME at ffmpeg's quality (5), where audiomentations takes its fastest (7)",
    "reverberation": "the room is drawn for each sample; audiomentations convolves with one that is on disk",
    "resampling": "there and back; audiomentations leaves the clip at the lower rate",
}
"""Why ours may be slower than a peer, printed where it is."""
COPIES = ("gain-loss", "bit-depth", "time-shift", "blank", "reversal")
"""Where audiomentations takes a view, a copy, or a product and no more."""


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


def take_turns(calls: Sequence[Call | None]) -> list[Time]:
    """Processor seconds of one call of each, medians over the rounds in which all took their turns."""
    found: list[Time] = [None] * len(calls)
    able: dict[int, tuple[Call, int]] = {}
    for side, call in enumerate(calls):
        if call is not None:
            try:
                call(0)
                start = time.process_time()
                call(1)
                able[side] = call, max(1, int(TURN / max(time.process_time() - start, 1e-6)))
            except Exception as problem:  # a peer may fail in any way: its row says so
                found[side] = f"{type(problem).__name__}: {' '.join(str(problem).split())}"[:60]
    times: dict[int, list[float]] = {side: [] for side in able}
    for k in range(ROUNDS):
        for side, (call, count) in able.items():
            if sum(times[side]) * count < ENOUGH:
                start = time.process_time()
                for i in range(count):
                    call(2 + k * count + i)
                times[side].append((time.process_time() - start) / count)
    return [median(times[side]) if side in able else found[side] for side in range(len(calls))]


def measure(*of: Callable[[int], Call] | None) -> list[Time]:
    """The mean of the severities for each side."""
    rows = []
    for severity in SEVERITIES:
        rows.append(take_turns([build(severity) if build else None for build in of]))
    sides = list(zip(*rows, strict=True))
    return [mean(side) if all(isinstance(t, float) for t in side) else side[0] for side in sides]


def ours(name: str, kind: str, x: Any, severity: int) -> Call:
    chosen = find_corruption(name, kind)
    facts: dict[str, Any] = {"rate": RATE} if kind == "audio" else {}
    if kind == "series":
        facts = {"mean": np.zeros(CHANNELS), "std": np.ones(CHANNELS)}
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


def show_row(name: str, found: float, *peers: Time) -> None:
    """Ours, each peer and how many times as fast ours is, and why slower where by more than the clock's scatter."""
    cells = [name, f"{1 / found:.0f}"]
    for peer in peers:
        if isinstance(peer, float):
            times = peer / found
            cells += [f"{1 / peer:.0f}", f"× {times:.{1 if times >= 0.3 else 2 if times >= 0.03 else 3}f}"]
        else:
            cells += ["fails" if peer else "–", ""]
    slower = any(isinstance(peer, float) and peer < 0.95 * found for peer in peers)
    print("|", " | ".join([*cells, REASONS.get(name, "no reason known") if slower else ""]), "|", flush=True)


def show_ratio(pairs: Sequence[tuple[float, Time]], peer: str) -> None:
    common = [(found, theirs) for found, theirs in pairs if isinstance(theirs, float)]
    if common:
        us, them = (mean(column) for column in zip(*common, strict=True))
        each = geometric_mean(theirs / found for found, theirs in common)
        print(f"{peer}: {1 / us:.0f} to its {1 / them:.0f}, × {them / us:.1f}, over {len(common)}; ", end="")
        print(f"geometric mean of their ratios × {each:.2f}")


def fits(name: str, kind: str) -> bool:
    return name in names() and kind in kinds(name)


def images() -> None:
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (14, 14, 3), dtype=np.uint8)
    x = cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    first, second = installed("imagecorruptions"), installed("albumentations")
    print("| | images/s | imagecorruptions | | albumentations | | slower, because |\n|---|--:|--:|--:|--:|--:|---|")
    cells: list[tuple[float, Time, Time]] = []
    for name in IMAGES:
        found, *peers = measure(
            partial(ours, name, "image", x),
            partial(by_imagecorruptions, first, name, x) if first else None,
            partial(by_albumentations, second, name, x) if second and name in ALBUMENTATIONS else None,
        )
        if not isinstance(found, float):
            raise SystemExit(f"{name}: {found}")
        show_row(name, found, *peers)
        cells.append((found, *peers))
    print(f"all: {1 / mean(found for found, *_ in cells):.0f} images/s over {len(cells)} corruptions x 5 severities")
    for side, peer in ((1, "imagecorruptions"), (2, "albumentations")):
        show_ratio([(cell[0], cell[side]) for cell in cells], peer)


def audio() -> None:
    random = np.random.default_rng(0)
    t = np.arange(SECONDS * RATE) / RATE
    loud = 0.5 + 0.5 * np.sin(2 * np.pi * 3 * t)
    x = (0.3 * loud * np.sin(2 * np.pi * 180 * t) + 0.01 * random.standard_normal(len(t))).astype(np.float32)
    peer = installed("audiomentations")
    print("| | clips/s | audiomentations | | slower, because |\n|---|--:|--:|--:|---|")
    common: dict[str, tuple[float, Time]] = {}
    for name in AUDIOMENTATIONS:
        found, theirs = measure(
            partial(ours, name, "audio", x), partial(by_audiomentations, peer, name, x) if peer else None
        )
        assert isinstance(found, float), found
        show_row(name, found, theirs)
        common[name] = found, theirs
    show_ratio(list(common.values()), "audiomentations")
    show_ratio([pair for name, pair in common.items() if name not in COPIES], "where it does more than copy")
    alone("audio", x, [name for name in names() if fits(name, "audio") and name not in AUDIOMENTATIONS])


def alone(kind: str, x: Any, which: Sequence[str]) -> None:
    """Corruptions that have no peer, the slowest first."""
    found = {name: measure(partial(ours, name, kind, x))[0] for name in which}
    speeds = {name: 1 / seconds for name, seconds in found.items() if isinstance(seconds, float)}
    print(f"{kind}, {len(speeds)} corruptions: {harmonic_mean(speeds.values()):.0f} a second; each:", end=" ")
    print(", ".join(f"{name} {speed:.0f}" for name, speed in sorted(speeds.items(), key=lambda item: item[1])))


def text() -> None:
    alone("text", TEXT, [name for name in names() if fits(name, "text")])


def series() -> None:
    x = np.random.default_rng(0).standard_normal((STEPS, CHANNELS)).astype(np.float32)
    alone("series", x, [name for name in names() if fits(name, "series")])


if __name__ == "__main__":
    cv2.setNumThreads(1)
    warnings.simplefilter("ignore")
    np.empty(FREED, np.uint8)  # glibc keeps freed memory from now on, as in every process that has loaded a model
    for part in (images, audio, text, series):
        if sys.argv[1:] in ([], [part.__name__]):
            part()
