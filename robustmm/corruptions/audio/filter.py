"""Audio channels: filters, rooms, and what codecs leave."""

from typing import Annotated

import numpy as np
from pydantic import Field

from robustmm.corruptions.audio.signal import apply_mp3, apply_ogg, filter_spectrum, nearest_rate, rms, sine
from robustmm.corruptions.base import RATE, corruption
from robustmm.corruptions.draws import draw_normals
from robustmm.corruptions.signals import Array
from robustmm.modalities.audio import resample_wave

Positive = Annotated[float, Field(gt=0, lt=np.inf)]
ORDER = 4
"""Of the Butterworth gains: 24 dB per octave beyond the cut-off."""
CRITICAL = 0.057**2 * 100
"""The RT60 in s at which what a room of 100 m³ returns is as strong as the direct sound 1 m away: the critical distance
is 0.057 √(V / RT60) metres."""
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
OPUS_RATES = (8000, 12000, 16000, 24000, 48000)


@corruption(
    "resampling",
    kind="audio",
    unit="rate, Hz",
    table=(12_000, 8000, 6000, 4000, 2000),
    zero=16_000,
    source="Speech Robust Bench: 3/4 to 1/8 of 16 kHz",
)
def resample(x: Array, lower: float, rng: np.random.Generator, *, rate: int) -> Array:
    """Down to a lower rate, rounded to 100 Hz, and back, by soxr; its own rate or more does nothing."""
    lower = 100 * round(lower / 100)
    return x if lower >= rate else resample_wave(resample_wave(x, rate, lower), lower, rate)[: len(x)]


@corruption(
    "low-pass",
    kind="audio",
    unit="cut-off (-3 dB), Hz",
    table=(4000, 3000, 2000, 1000, 500),
    zero=8000,
    source="Speech Robust Bench: 4000 to 500 Hz; its steps are ours",
)
def low_pass(x: Array, cutoff: float, rng: np.random.Generator, *, rate: int) -> Array:
    """The gain of a Butterworth filter of order 4, no delay; at half the clip's rate or above it does nothing."""
    return x if cutoff >= rate / 2 else filter_spectrum(x, rate, _low_gain, cutoff)


@corruption(
    "high-pass",
    kind="audio",
    unit="cut-off (-3 dB), Hz",
    table=(100, 200, 500, 1000, 3000),
    zero=20,
    source="Speech Robust Bench: 500 to 3000 Hz from severity 3; the milder ones are ours",
)
def high_pass(x: Array, cutoff: float, rng: np.random.Generator, *, rate: int) -> Array:
    """The gain of a Butterworth filter of order 4, no delay."""
    return filter_spectrum(x, rate, _high_gain, cutoff)


@corruption(
    "band-pass",
    kind="audio",
    unit=("upper cut-off (-3 dB), Hz", "lower cut-off (-3 dB), Hz"),
    table=((7000, 50), (5000, 150), (3400, 300), (2500, 500), (2000, 800)),
    zero=(8000, 20),
    source="severity 1 is the wideband of ITU-T G.722, severity 3 the telephone's of G.712; the others are ours",
)
def band_pass(x: Array, band: tuple[float, float], rng: np.random.Generator, *, rate: int) -> Array:
    """The telephone's band and others: the gain of Butterworth filters of order 4 at both edges, no delay."""
    upper, lower = band
    return filter_spectrum(x, rate, *((_high_gain, lower) if upper >= rate / 2 else (_band_gain, upper, lower)))


@corruption(
    "tilt",
    kind="audio",
    unit="fall towards high frequencies, dB per octave",
    table=(1.5, 3, 4.5, 6, 9),
    source="ours; the treble gain of Speech Robust Bench as a slope",
)
def tilt(x: Array, slope: float, rng: np.random.Generator, *, rate: int) -> Array:
    """A dull sound: a spectrum tilted about 1 kHz between 100 Hz and 10 kHz, no delay, as loud as before."""
    return _match_loudness(filter_spectrum(x, rate, _tilt_gain, slope), x)


@corruption(
    "equaliser",
    kind="audio",
    unit="standard deviation of the gains of nine octave bands, dB",
    table=(3, 6, 9, 12, 15),
    source="ours; the bass and treble gains of Speech Robust Bench, 10 to 40 dB, drawn at random",
)
def equaliser(x: Array, spread: float, rng: np.random.Generator, *, rate: int) -> Array:
    """Some microphone's or loudspeaker's response: random gains from 62.5 Hz to 16 kHz, no delay, as loud as before."""
    gains = rng.standard_normal(9)
    gains *= spread / np.std(gains)
    return _match_loudness(filter_spectrum(x, rate, _band_gains, *gains), x)


@corruption(
    "tremolo",
    kind="audio",
    unit="depth, fraction of the amplitude",
    table=(0.2, 0.4, 0.6, 0.8, 1),
    source="Speech Robust Bench: depth .5 to 1; the milder ones are ours",
)
def tremolo(x: Array, depth: float, rng: np.random.Generator, *, rate: int = RATE, frequency: Positive = 5.0) -> Array:
    """Loudness that falls by `depth` and rises again `frequency` times a second, from a random phase on."""
    swing = sine((rng.random() + np.arange(len(x)) * (frequency / rate)) / 2)
    x *= 1 - np.float32(depth) * swing**2
    return x


@corruption(
    "reverberation",
    kind="audio",
    unit="reverberation time RT60, s",
    table=(0.2, 0.4, 0.8, 1.6, 3.2),
    source="ours; Speech Robust Bench orders measured rooms by their RT60",
)
def reverberation(x: Array, seconds: float, rng: np.random.Generator, *, rate: int) -> Array:
    """A talker 1 m away in a room of 100 m³: the direct sound, then decaying noise that is stronger where it lasts.

    The response has unit energy, so that the loudness stays.
    """
    from scipy import fft

    late = min(len(x), int(max(seconds * rate, 1)))
    decay = -3 * np.log(10) / max(seconds * rate, 1)  # of the amplitude's logarithm in one sample: 60 dB over `seconds`
    energy = seconds / CRITICAL
    response = np.empty(late + 1, np.float32)
    response[0] = 1
    response[1:] = draw_normals(len(x), rng)[:late]  # the same noise for every room
    response[1:] *= np.exp(np.float32(decay) * np.arange(1, late + 1, dtype=np.float32))
    response[1:] *= np.float32(np.sqrt(energy * np.expm1(-2 * decay)))  # by the sum of exp(2 decay n), n = 1, 2, ...
    size = fft.next_fast_len(len(x) + late, real=True)
    spectrum = fft.rfft(x, size)
    spectrum *= fft.rfft(response, size)
    y = fft.irfft(spectrum, size, overwrite_x=True)[: len(x)]
    y *= np.float32(1 / np.sqrt(1 + energy))
    return np.asarray(y)


@corruption(
    "echo",
    kind="audio",
    unit="level of the echo beside the direct sound, dB",
    table=(-18, -12, -9, -6, -3),
    zero=-40,
    source="ours; Speech Robust Bench delays by 125 to 1000 ms",
)
def echo(x: Array, level: float, rng: np.random.Generator, *, rate: int = RATE, delay: Positive = 200.0) -> Array:
    """One echo after `delay` milliseconds; where the clip is shorter, it has none."""
    late = max(1, round(delay * rate / 1000))
    y = x.copy()
    y[late:] += x[:-late] * np.float32(10 ** (level / 20))
    return y


@corruption(
    "mp3",
    kind="audio",
    unit="constant bit rate, kbit/s",
    table=(64, 32, 24, 16, 8),
    zero=128,
    source="audiomentations: 64 to 8 kbit/s; its steps are ours",
)
def mp3(x: Array, speed: float, rng: np.random.Generator, *, rate: int) -> Array:
    """LAME's MP3 at the nearest bit rate there is; below 40 kbit/s at no more than 24 kHz, as LAME itself would do."""
    taken = nearest_rate(rate, MP3_RATES if speed >= 40 else MP3_RATES[:6])
    return apply_mp3(x, rate, taken, speed)


@corruption(
    "vorbis",
    kind="audio",
    unit="quality, 10 the best",
    table=(8, 6, 4, 2, 0),
    zero=10,
    source="ours: the encoder's own scale",
)
def vorbis(x: Array, quality: float, rng: np.random.Generator, *, rate: int) -> Array:
    """Ogg Vorbis at the clip's own rate."""
    return apply_ogg(x, rate, rate, "VORBIS", 1 - quality / 10)


@corruption(
    "opus",
    kind="audio",
    unit="bit rate, kbit/s",
    table=(32, 24, 16, 12, 6),
    zero=64,
    source="ours: from what RFC 6716 advises for music in mono down to its least",
)
def opus(x: Array, speed: float, rng: np.random.Generator, *, rate: int) -> Array:
    """Opus at a variable bit rate that aims at this average."""
    return apply_ogg(x, rate, nearest_rate(rate, OPUS_RATES), "OPUS", (256 - speed) / 250)


def _octaves(frequency: Array, middle: float) -> Array:
    """How many octaves above `middle`."""
    return np.asarray(np.log2(np.maximum(frequency, 1) / middle))


def _match_loudness(y: Array, x: Array) -> Array:
    y *= np.float32(rms(x) / (rms(y) or 1))
    return y


def _low_gain(f: Array, cutoff: float) -> Array:
    """Butterworth's: half the power at the cut-off."""
    return np.asarray(1 / np.hypot(1, (f / cutoff) ** ORDER))


def _high_gain(f: Array, cutoff: float) -> Array:
    return (f / cutoff) ** ORDER * _low_gain(f, cutoff)


def _band_gain(f: Array, upper: float, lower: float) -> Array:
    return _low_gain(f, upper) * _high_gain(f, lower)


def _tilt_gain(f: Array, slope: float) -> Array:
    return np.asarray(10 ** (-slope / 20 * _octaves(np.clip(f, 100, 10_000), 1000)))


def _band_gains(f: Array, *gains: float) -> Array:
    """Gains in dB an octave apart from 62.5 Hz up, and straight lines between them."""
    octave = np.clip(_octaves(f, 62.5), 0, len(gains) - 1)
    below = np.minimum(octave.astype(np.intp), len(gains) - 2)  # np.interp searches for it: four times as slow
    decibels = np.array(gains, np.float32)
    line = decibels[below] + (octave - below).astype(np.float32) * np.diff(decibels)[below]
    return np.asarray(np.exp(line * np.float32(np.log(10) / 20)))
