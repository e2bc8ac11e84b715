"""Audio noise at a signal-to-noise ratio: coloured, synthetic scenes, and recordings of the user's."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from robustmm.config.options import Positive
from robustmm.corruptions.audio.signal import draw_noise, mix_noise, read_excerpt, rms, sine
from robustmm.corruptions.base import RATE, Corruption, corruption
from robustmm.corruptions.draws import draw_normals
from robustmm.corruptions.signals import Array

LOWEST = 20.0
"""Hz: coloured noise has no power below, where nobody hears it but where most of a steep slope's power would be."""
PERIOD = 2048
"""Samples in the stored period of a pitched sound, a power of two."""

noise_corruption: Callable[..., Callable[..., Corruption]] = partial(
    corruption,
    kind="audio",
    unit="signal-to-noise ratio over the whole clip, dB",
    table=(30, 20, 10, 5, 0),
    zero=50,
    source="ours, inside the 40 to 0 dB of Speech Robust Bench and AVRobustBench; the sound is synthetic",
)


@corruption(
    "gaussian",
    kind="audio",
    unit="signal-to-noise ratio over the whole clip, dB",
    table=(30, 20, 10, 5, 0),
    zero=50,
    source="ours, inside the 40 to 0 dB of Speech Robust Bench and AVRobustBench",
)
def gaussian(x: Array, snr: float, rng: np.random.Generator) -> Array:
    """White Gaussian noise at this ratio exactly, before clipping to [-1, 1]; silence has no ratio and stays."""
    return mix_noise(x, draw_normals(x.shape, rng), snr)


@noise_corruption("pink-noise")
def pink_noise(x: Array, snr: float, rng: np.random.Generator, *, rate: int) -> Array:
    """Noise that falls by 3 dB per octave from 20 Hz up, at this ratio exactly; silence stays."""
    return mix_noise(x, _draw_coloured_noise(len(x), rate, -1, rng), snr)


@noise_corruption("brown-noise")
def brown_noise(x: Array, snr: float, rng: np.random.Generator, *, rate: int) -> Array:
    """Noise that falls by 6 dB per octave from 20 Hz up, a rumble, at this ratio exactly; silence stays."""
    return mix_noise(x, _draw_coloured_noise(len(x), rate, -2, rng), snr)


@noise_corruption("blue-noise")
def blue_noise(x: Array, snr: float, rng: np.random.Generator, *, rate: int) -> Array:
    """Noise that rises by 3 dB per octave, a hiss, at this ratio exactly; silence stays."""
    return mix_noise(x, _draw_coloured_noise(len(x), rate, 1, rng), snr)


@noise_corruption("babble")
def babble(x: Array, snr: float, rng: np.random.Generator, *, rate: int = RATE, voices: Positive = 8) -> Array:
    """People talking: `voices` synthetic ones with gliding pitch, 3 to 6 syllables a second, each of a vowel of its
    own, and hiss between them (like speech, but no language), at this ratio; silence stays."""
    return mix_noise(x, _draw_babble(len(x), rate, voices, rng), snr)


@noise_corruption("wind")
def wind(x: Array, snr: float, rng: np.random.Generator, *, rate: int) -> Array:
    """Wind in the microphone: noise that falls by 6 dB per octave, in gusts, at this ratio; silence stays."""
    return mix_noise(x, _draw_wind(len(x), rate, rng), snr)


@noise_corruption("traffic")
def traffic(x: Array, snr: float, rng: np.random.Generator, *, rate: int) -> Array:
    """A road: noise of tyres around 1 kHz that swells by up to 26 dB as vehicles pass, at this ratio; silence stays."""
    return mix_noise(x, _draw_traffic(len(x), rate, rng), snr)


@noise_corruption("engine")
def engine(x: Array, snr: float, rng: np.random.Generator, *, rate: int) -> Array:
    """A motor: harmonics of an unsteady firing rate of 30 to 120 Hz, at this ratio; silence stays."""
    fired = np.exp(rng.uniform(np.log(30), np.log(120)))
    pitch = fired * (1 + 0.03 * _draw_modulation(len(x), rate, 3, rng))
    order = np.arange(1, 1 + min(20, int(0.45 * rate / fired)))
    strengths = rng.uniform(0.2, 1, (1, len(order))) / np.sqrt(order)
    return mix_noise(
        x, _synthesise_sound(pitch, _draw_periods(strengths, rng), np.zeros(len(x), np.intp), rate, rng), snr
    )


@noise_corruption("tone")
def tone(x: Array, snr: float, rng: np.random.Generator, *, rate: int) -> Array:
    """Interference: one steady sine between 200 and 3000 Hz, at this ratio; silence stays."""
    pitch = np.exp(rng.uniform(np.log(200), np.log(3000)))
    return mix_noise(x, sine(rng.random() + pitch / rate * np.arange(len(x))), snr)


@noise_corruption("siren")
def siren(x: Array, snr: float, rng: np.random.Generator, *, rate: int) -> Array:
    """A siren that glides between 500 and 1500 Hz in 0.4 to 3 s, at this ratio; silence stays."""
    swing = sine(rng.random() + np.arange(len(x)) / (rate * rng.uniform(0.4, 3)))
    phase = rng.random() + np.cumsum(1000 + 500 * swing, dtype=np.float64) / rate
    return mix_noise(x, sine(2 * phase) * np.float32(0.3) + sine(phase), snr)


@noise_corruption(
    "background",
    source="ours, inside the 40 to 0 dB of Speech Robust Bench and AVRobustBench; recordings of the user's, else ours",
)
def background(x: Array, snr: float, rng: np.random.Generator, *, rate: int = RATE, folder: str | None = None) -> Array:
    """A cut of a recording in `folder` (any format that soundfile reads, sub-folders too; looped where short), at this
    ratio; without a folder, a street made here: voices, traffic and wind. Silence stays."""
    which, place = rng.random(2)
    if folder is None:
        parts = _draw_babble(len(x), rate, 4, rng), _draw_traffic(len(x), rate, rng), _draw_wind(len(x), rate, rng)
        return mix_noise(x, sum((part / np.float32(rms(part) or 1) for part in parts), np.zeros_like(x)), snr)
    return mix_noise(x, read_excerpt(Path(folder), len(x), rate, which, place), snr)


def _draw_coloured_noise(length: int, rate: int, slope: float, rng: np.random.Generator) -> Array:
    """Noise whose power is proportional to the frequency to the power of `slope`."""
    return draw_noise(length, rate, rng, _colour_gain, slope)


def _colour_gain(f: Array, slope: float) -> Array:
    return np.where(f < LOWEST, 0, np.maximum(f, LOWEST) ** np.float32(slope / 2))


def _tyre_gain(f: Array) -> Array:
    return np.asarray(1 / (1 + np.log2(np.maximum(f, LOWEST) / 1000) ** 2))


def _draw_wind(length: int, rate: int, rng: np.random.Generator) -> Array:
    """Lulls and gusts that differ by up to 17 dB."""
    noise = _draw_coloured_noise(length, rate, -2, rng)
    noise *= np.exp(_draw_modulation(length, rate, 1.5, rng))
    return noise


def _draw_traffic(length: int, rate: int, rng: np.random.Generator) -> Array:
    tyres = draw_noise(length, rate, rng, _tyre_gain)
    tyres *= np.exp(np.float32(1.5) * _draw_modulation(length, rate, 1, rng))
    return tyres


def _draw_modulation(length: int, rate: int, turns: float, rng: np.random.Generator) -> Array:
    """A random course between -1 and 1 of straight lines, `turns` a second."""
    at = np.arange(length) * (turns / rate)
    points = rng.uniform(-1, 1, int(at[-1]) + 2)
    return np.asarray(np.interp(at, np.arange(len(points)), points), np.float32)


def _draw_babble(length: int, rate: int, voices: int, rng: np.random.Generator) -> Array:
    """Voices, and the hiss of their consonants between the syllables."""
    total, hiss = np.zeros((2, length), np.float32)
    for _ in range(voices):
        loud, opened, vowels = _draw_voice(length, rate, rng)
        opened *= loud
        hiss += loud - opened
        vowels *= opened
        total += vowels
    return np.asarray(total + np.float32(0.03) * hiss * draw_normals(length, rng))


def _draw_voice(length: int, rate: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """How loud each syllable is, how far the mouth is opened, and harmonics of a gliding pitch under three formants
    that are drawn anew for every syllable."""
    pitch = np.exp(rng.uniform(np.log(85), np.log(255)))
    place = rng.random() + np.arange(length) * (rng.uniform(3, 6) / rate)
    syllable = place.astype(np.intp)
    formants = rng.uniform((300, 900, 2300), (800, 2200, 3200), (syllable[-1] + 1, 3))
    loud = rng.uniform(0.05, 1, len(formants)).astype(np.float32)[syllable]
    order = np.arange(1, 1 + max(1, int(min(4000, 0.45 * rate) / pitch)))
    strengths = np.sum(1 / (1 + ((pitch * order - formants[..., None]) / 100) ** 2), axis=1) / order
    glide = np.float32(pitch) * (1 + np.float32(0.1) * _draw_modulation(length, rate, 3, rng))
    opened = np.square(np.sin(np.float32(np.pi) * (place - syllable).astype(np.float32)))
    return loud, opened, _synthesise_sound(glide, _draw_periods(strengths, rng), syllable, rate, rng)


def _draw_periods(strengths: Array, rng: np.random.Generator) -> Array:
    """One period of each sound (S, PERIOD), from the strengths (S, K) of its harmonics, at unit power."""
    spectrum = np.zeros((len(strengths), PERIOD // 2 + 1), np.complex128)
    spectrum[:, 1 : 1 + strengths.shape[1]] = strengths * np.exp(2j * np.pi * rng.random(strengths.shape))
    period = np.fft.irfft(spectrum)
    return np.asarray(period / np.sqrt(np.mean(period**2, axis=1, keepdims=True)), np.float32)


def _synthesise_sound(pitch: Array, periods: Array, which: Array, rate: int, rng: np.random.Generator) -> Array:
    """At every sample the sound `which` of `periods`, at the phase of a pitch in Hz."""
    steps = rng.integers(PERIOD) + np.cumsum(pitch * np.float32(PERIOD / rate), dtype=np.float64).astype(np.intp)
    return np.asarray(periods.ravel().take(which * PERIOD + (steps & (PERIOD - 1))))
