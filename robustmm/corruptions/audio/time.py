"""Audio in time: speed, tempo, pitch, shifts, and segments repeated, reversed, late or cut.

A clip keeps its length: what is longer is cut, what is shorter has silence around it.
"""

import numpy as np

from robustmm.corruptions.base import corruption
from robustmm.corruptions.draws import draw_span_edges, draw_subset
from robustmm.corruptions.signals import FLOAT32, Array
from robustmm.modalities.audio import resample_wave

SEGMENT = 0.05
"""Seconds of what is repeated or played backwards."""
WINDOW = 0.064
"""Seconds of sound, rounded to a power of two in samples, whose phases are followed."""
HOPS = 4
"""Steps of the phase vocoder per window."""


@corruption(
    "speed",
    kind="audio",
    unit="change of the speed, %",
    table=(0.1, 5, 33, 50, 100),
    source="Speech Robust Bench: x1.5 and x2; the lower ones are ours",
)
def speed(x: Array, change: float, rng: np.random.Generator) -> Array:
    """Played faster or slower by a factor of 1 + change, pitch and all; one moment, drawn too, stays in its place."""
    still, factor = _draw_factor(len(x), 1 + change / 100, rng)
    return _resample_at(x, factor, still + (np.arange(len(x)) - still) * factor)


@corruption(
    "time-stretch",
    kind="audio",
    unit="change of the tempo, %",
    table=(2, 10, 25, 50, 100),
    source="Speech Robust Bench's speeds of x1.25, x1.5, x2; the lower ones are ours",
)
def time_stretch(x: Array, change: float, rng: np.random.Generator, *, rate: int) -> Array:
    """Faster or slower by a factor of 1 + change at the same pitch; one moment, drawn too, stays in its place."""
    still, factor = _draw_factor(len(x), 1 + change / 100, rng)
    return _vocode(x, len(x), factor, still, still, rate)


@corruption(
    "pitch",
    kind="audio",
    unit="semitones",
    table=(0.05, 3, 6, 9, 12),
    source="Speech Robust Bench: 3, 6, 9, 12 semitones; the first is ours",
)
def pitch(x: Array, semitones: float, rng: np.random.Generator, *, rate: int) -> Array:
    """Higher or lower by these semitones at the same tempo."""
    still, factor = _draw_factor(len(x), 2 ** (semitones / 12), rng)
    played = resample_wave(x, round(factor * 10**6), 10**6)
    return _vocode(played, len(x), 1 / factor, still, still / factor, rate)


@corruption("time-shift", kind="audio", unit="longest shift, ms", table=(0.5, 1, 2, 50, 100), source="ours")
def time_shift(x: Array, longest: float, rng: np.random.Generator, *, rate: int) -> Array:
    """The clip comes early or late, by up to the longest shift; silence takes what is left of its place."""
    steps = round(rng.uniform(-1, 1) * longest / 1000 * rate)
    steps = min(max(steps, -len(x)), len(x))
    silence = np.zeros(abs(steps), x.dtype)
    return np.concatenate([silence, x[: len(x) - steps]] if steps > 0 else [x[-steps:], silence])


@corruption(
    "wow-and-flutter",
    kind="audio",
    unit="highest deviation of the speed, %",
    table=(0.1, 0.3, 1, 3, 6),
    source="ours: a good tape, a poor tape, a worn one, a broken one",
)
def wow_and_flutter(x: Array, deviation: float, rng: np.random.Generator, *, rate: int) -> Array:
    """A speed that sways by two sines of equal depth: wow at 0.5 to 3 Hz and flutter at 6 to 20 Hz."""
    time = np.arange(len(x)) / rate
    moved = np.zeros(len(x))
    for sway, phase in zip((rng.uniform(0.5, 3), rng.uniform(6, 20)), 2 * np.pi * rng.random(2), strict=True):
        angular = 2 * np.pi * sway
        moved += deviation / 200 / angular * np.sin(angular * time + phase)
    return _interpolate(x, np.arange(len(x)) + moved * rate)


@corruption(
    "stutter",
    kind="audio",
    unit="fraction of the segments of 50 ms that are played twice",
    table=(0.05, 0.1, 0.2, 0.3, 0.5),
    source="ours",
)
def stutter(x: Array, fraction: float, rng: np.random.Generator, *, rate: int) -> Array:
    """A player that hangs: a segment is repeated, all that follow are late by one more, and the end is cut."""
    segment, place, size = _segment_indices(len(x), rate)
    repeated = np.append(False, draw_subset(segment[-1], fraction, rng))
    played = np.cumsum(~repeated) - 1
    return np.asarray(x[played[segment] * size + place])


@corruption(
    "reversal",
    kind="audio",
    unit="fraction of the segments of 50 ms that are played backwards",
    table=(0.1, 0.2, 0.4, 0.6, 1),
    source="ours",
)
def reversal(x: Array, fraction: float, rng: np.random.Generator, *, rate: int) -> Array:
    """Segments are played backwards in their places."""
    size = max(1, round(SEGMENT * rate))
    for segment in np.flatnonzero(draw_subset(-(-len(x) // size), fraction, rng)):
        played = x[segment * size : (segment + 1) * size]
        played[:] = played[::-1].copy()
    return x


@corruption(
    "truncation",
    kind="audio",
    unit="fraction of the duration",
    table=(0.1, 0.2, 0.3, 0.4, 0.5),
    source="AVRobustBench: muted fraction .1 to .5",
)
def truncation(x: Array, fraction: float, rng: np.random.Generator) -> Array:
    """A recording that starts late and stops early, silent in between; how much of it is late is drawn."""
    late, lost = rng.random(), fraction * len(x)
    x[: round(late * lost)] = 0
    x[len(x) - round((1 - late) * lost) :] = 0
    return x


def _draw_factor(length: int, factor: float, rng: np.random.Generator) -> tuple[float, float]:
    """The moment that stays in its place, and the factor or its inverse."""
    return rng.random() * length, factor if rng.random() < 0.5 else 1 / factor


def _segment_indices(length: int, rate: int) -> tuple[Array, Array, int]:
    """Of every sample the segment and the place in it; the samples of a segment."""
    size = max(1, round(SEGMENT * rate))
    return *np.divmod(np.arange(length), size), size


def _resample_at(x: Array, factor: float, positions: Array) -> Array:
    """`x` at positions that lie `factor` apart, without what would fold back from above the new Nyquist frequency."""
    from scipy import fft

    if factor > 1:
        size = fft.next_fast_len(2 * len(x), real=True)  # twice: the end must not ring into the beginning
        spectrum = fft.rfft(x, size)
        spectrum[fft.rfftfreq(size) > 0.5 / factor] = 0
        x = fft.irfft(spectrum, size)[: len(x)]
    return _interpolate(x, positions)


def _interpolate(x: Array, positions: Array) -> Array:
    """`x` between its samples, by cubic splines, silent outside."""
    from scipy.ndimage import map_coordinates

    return np.asarray(map_coordinates(x, positions[None], order=3, mode="grid-constant"))


def _vocode(x: Array, length: int, tempo: float, still: float, origin: float, rate: int) -> Array:
    """`x` at another tempo by a phase vocoder: its sample `origin` comes to lie at `still`, with its own phases.

    From there on, either way, every window of the result is one of `x`, turned so that it goes on where the last one
    left off; all bins around a peak of the spectrum turn alike (Laroche and Dolson's identity phase locking).
    """
    from scipy import fft  # single precision, at half the time of numpy's

    size = 2 ** max(3, round(np.log2(WINDOW * rate)))
    hop = size // HOPS
    window = np.sin(np.pi * np.arange(size, dtype=np.float32) / size) ** 2
    middle = np.arange(hop, length + size, hop) - size / 2
    first = np.rint(origin + (middle - still) * tempo - size / 2).astype(int)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(x.astype(np.float32), size + hop), size)
    here, before = (
        fft.rfft(frames[np.clip(start + size + hop, 0, len(frames) - 1)] * window) for start in (first, first - hop)
    )
    jump = here[:-1] * before[1:].conj()
    jump = np.divide(jump, level := np.abs(jump), out=np.ones_like(jump), where=level > FLOAT32.tiny)
    peaks, turn, start = _nearest_peaks(np.abs(here)), np.ones_like(here), int(np.abs(middle - still).argmin())
    for k in range(start + 1, len(turn)):
        turn[k] = (turn[k - 1] * jump[k - 1]).take(peaks[k])
    for k in range(start - 1, -1, -1):
        turn[k] = (turn[k + 1] * jump[k].conj()).take(peaks[k])
    waves = fft.irfft(here * turn, size) * window / np.float32(3 * HOPS / 8)
    out = np.zeros((len(waves) + HOPS - 1, hop))
    for part in range(HOPS):
        out[part : part + len(waves)] += waves[:, part * hop : (part + 1) * hop]
    return out.ravel()[size - hop :][:length]


def _nearest_peaks(level: Array) -> Array:
    """For every bin of every spectrum, the nearest that is higher than its neighbours."""
    bins = level.shape[1]
    peak = np.ones(level.shape, bool)
    peak[:, 1:] = level[:, 1:] >= level[:, :-1]
    peak[:, :-1] &= level[:, :-1] > level[:, 1:]
    row, place = np.divmod(np.flatnonzero(peak), bins)  # a third of the time of np.nonzero in two dimensions
    midway = np.where(row[1:] == row[:-1], (place[1:] + place[:-1] + 1) // 2, 0) + row[1:] * bins
    return np.repeat(place, np.diff(midway, prepend=0, append=level.size)).reshape(level.shape)


@corruption(
    "blank",
    kind="audio",
    unit="fraction of the duration, in spans of 5 %",
    table=(0.1, 0.2, 0.3, 0.4, 0.5),
    source="AVRobustBench: muted fraction .1 to .5; the length of the spans is ours",
)
def blank(x: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Spans of silence."""
    corrupted, edges = draw_span_edges(len(x), fraction, rng)
    for span in np.flatnonzero(corrupted):
        x[edges[span] : edges[span + 1]] = 0
    return x
