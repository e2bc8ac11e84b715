"""Recorders and links that fail: levels, gaps, lost packets, hum, clicks."""

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from robustmm.corruptions.audio.signal import mix_noise, sine
from robustmm.corruptions.base import RATE, corruption
from robustmm.corruptions.draws import draw_normals
from robustmm.corruptions.signals import Array

GAP = (0.01, 0.05)
"""Shortest and longest drop-out, seconds."""
SLOT = 0.06
"""Seconds in which at most one drop-out lies; their last 5 ms keep their sound."""
PACKET = 0.02
"""Seconds of sound in a packet."""
OPEN = 0.01
"""Seconds that a loose contact stays open on average."""
DECAY = 0.0005
"""Time constant of a click, seconds."""
CRACKLE = 200
"""Clicks per second of a crackle."""
HARMONICS = np.arange(1, 7)
GAIN_TIME = 0.1
"""Time constant of an automatic gain, seconds."""
SNR = "signal-to-noise ratio over the whole clip, dB"
RATIOS = (30, 20, 10, 5, 0)
Positive = Annotated[float, Field(gt=0)]
FromOne = Annotated[float, Field(ge=1)]


@corruption(
    "bit-depth",
    kind="audio",
    unit="bits per sample",
    table=(8, 6, 5, 4, 3),
    zero=16,
    source="ours; 8 bits are the least that files have",
)
def bit_depth(x: Array, bits: float, rng: np.random.Generator) -> Array:
    """Samples rounded to a whole number of bits over [-1, 1], without dither: silence stays."""
    step = np.float32(2.0 ** (1 - round(bits)))  # a power of two, so that dividing by it and back loses nothing
    x *= 1 / step
    np.rint(x, out=x)
    x *= step
    return x


@corruption("gain-loss", kind="audio", unit="loss of level, dB", table=(6, 12, 20, 30, 40), source="ours")
def gain_loss(x: Array, loss: float, rng: np.random.Generator) -> Array:
    """A recording that is too quiet, in floating point: the steps of a 16-bit file play no part."""
    x *= np.float32(10 ** (-loss / 20))
    return x


@corruption(
    "overdrive",
    kind="audio",
    unit="gain, dB",
    table=(5, 10, 20, 30, 40),
    source="Speech Robust Bench: 10, 20, 30, 40 dB; the first is ours",
)
def overdrive(x: Array, gain: float, rng: np.random.Generator) -> Array:
    """A recording that is too loud: what passes full scale is cut. A quiet clip takes more of it than a loud one."""
    x *= np.float32(10 ** (gain / 20))
    return x  # the wrapper cuts


@corruption("clipping", kind="audio", unit="peak above the limit, dB", table=(3, 6, 12, 18, 24), source="ours")
def clipping(x: Array, excess: float, rng: np.random.Generator) -> Array:
    """What passes a limit, this far below the peak of the clip, is cut, however loud the clip."""
    limit = np.abs(x).max() * np.float32(10 ** (-excess / 20))
    return np.asarray(np.clip(x, -limit, limit))


@corruption(
    "dc-offset", kind="audio", unit="offset, fraction of full scale", table=(0.02, 0.05, 0.1, 0.2, 0.4), source="ours"
)
def dc_offset(x: Array, offset: float, rng: np.random.Generator) -> Array:
    """A constant is added, to silence too; what it pushes past full scale is cut."""
    x += np.float32(offset)
    return x


@corruption(
    "pumping",
    kind="audio",
    unit="fraction of the differences in level, in dB, that is evened out",
    table=(0.2, 0.4, 0.6, 0.8, 1),
    source="ours",
)
def pumping(x: Array, evened: float, rng: np.random.Generator, *, rate: int) -> Array:
    """An automatic gain draws the level of the last 100 ms towards the clip's own: pauses hiss, onsets jump.

    It evens out differences of up to 60 dB; silence stays.
    """
    from scipy.signal import lfilter

    power = np.square(x, dtype=np.float64)
    kept, mean = np.exp(-1 / (GAIN_TIME * rate)), power.mean()
    level, _ = lfilter([1 - kept], [1, -kept], power, zi=[kept * mean])
    gain = mean / np.maximum(level, max(mean * 1e-6, np.finfo(np.float64).tiny))
    return np.asarray(x * gain ** (evened / 2))


@corruption(
    "drop-outs",
    kind="audio",
    unit="fraction of the duration, in gaps of 10 to 50 ms",
    table=(0.02, 0.05, 0.1, 0.2, 0.3),
    source="ours",
)
def drop_outs(x: Array, fraction: float, rng: np.random.Generator, *, rate: int) -> Array:
    """Gaps of silence that never touch; whether the one that would pass the fraction comes too is chance."""
    slots = np.arange(np.ceil(len(x) / (SLOT * rate)))
    gap = rng.uniform(*GAP, len(slots))
    first = np.rint((slots * SLOT + rng.random(len(slots)) * (SLOT - 0.005 - gap)) * rate).astype(int)
    ends = np.minimum(np.array([first, first + np.maximum(1, np.rint(gap * rate).astype(int))]), len(x))
    order, chance = rng.permutation(len(slots)), rng.random()
    lost = np.diff(ends[:, order], axis=0)[0]
    corrupted = order[np.cumsum(lost) - lost * chance < fraction * len(x)]
    edges = np.zeros(len(x) + 1, int)
    np.add.at(edges, ends[0, corrupted], 1)
    np.add.at(edges, ends[1, corrupted], -1)
    x[np.cumsum(edges[:-1]) > 0] = 0
    return x


@corruption(
    "packet-loss",
    kind="audio",
    unit="fraction of the packets of 20 ms",
    table=(0.02, 0.05, 0.1, 0.2, 0.3),
    source="ours; the bursts are Gilbert's",
)
def packet_loss(
    x: Array,
    fraction: float,
    rng: np.random.Generator,
    *,
    rate: int = RATE,
    burst: FromOne = 2,
    concealment: Literal["silence", "repeat"] = "silence",
) -> Array:
    """Packets are lost in bursts of this many on average, and silent; or the last that came is repeated for them."""
    size = max(1, round(PACKET * rate))
    packets = np.pad(x, (0, -len(x) % size)).reshape(-1, size)
    lost = _draw_bursts(len(packets), fraction, burst, rng)
    latest = np.maximum.accumulate(np.where(lost, -1, np.arange(len(packets))))
    source = latest if concealment == "repeat" else np.where(lost, -1, latest)
    return np.where(source[:, None] < 0, 0, packets[source]).ravel()[: len(x)]


@corruption(
    "loose-contact",
    kind="audio",
    unit="fraction of the duration that the contact is open",
    table=(0.05, 0.1, 0.2, 0.35, 0.5),
    source="ours",
)
def loose_contact(x: Array, fraction: float, rng: np.random.Generator, *, rate: int) -> Array:
    """Silence while a contact is open: for 10 ms on average (longer only past half of the time), at any instant."""
    x[_draw_bursts(len(x), fraction, OPEN * rate, rng)] = 0
    return x


@corruption("hum", kind="audio", unit=SNR, table=RATIOS, zero=50, source="ours: the ratios of gaussian")
def hum(x: Array, snr: float, rng: np.random.Generator, *, rate: int = RATE, frequency: Positive = 50) -> Array:
    """The mains: a frequency in Hz and five harmonics, the k-th at 1/k of its amplitude; silence stays."""
    below = HARMONICS * frequency < rate / 2
    turns = np.arange(len(x)) * (frequency / rate)
    waves = (sine(phase + k * turns) / k for k, phase in zip(HARMONICS, rng.random(len(HARMONICS)), strict=True))
    heard = [wave for wave, audible in zip(waves, below, strict=True) if audible]
    return mix_noise(x, sum(heard, np.zeros(len(x), np.float32)), snr)


@corruption("clicks", kind="audio", unit="clicks per second", table=(1, 3, 10, 30, 100), source="ours")
def clicks(x: Array, per_second: float, rng: np.random.Generator, *, rate: int) -> Array:
    """Clicks as high as the peak of the clip, up or down, that decay in half a millisecond; silence stays."""
    return np.asarray(x + np.abs(x).max() * _draw_clicks(len(x), per_second, rate, np.sign, rng))


@corruption("crackle", kind="audio", unit=SNR, table=RATIOS, zero=50, source="ours: the ratios of gaussian")
def crackle(x: Array, snr: float, rng: np.random.Generator, *, rate: int) -> Array:
    """A worn record: 200 clicks per second of all heights, few high and many low; silence stays."""
    return mix_noise(x, _draw_clicks(len(x), CRACKLE, rate, lambda height: height * height * height, rng), snr)


def _draw_bursts(steps: int, fraction: float, mean: float, rng: np.random.Generator) -> Array:
    """Gilbert's channel: `fraction` of the steps are bad, in bursts of `mean` steps, or of what chance alone makes.

    With the same draws the bad steps of a lower fraction are among those of a higher one.
    """
    stays = max(1 - 1 / max(1, mean), fraction)
    turns = fraction * (1 - stays) / (1 - fraction)  # a good step, into a bad one; never above `stays`
    draw = rng.random(steps)
    decided = (draw < turns) | (draw >= stays)  # whatever the step before was
    bad = draw < turns
    bad[0] = draw[0] < fraction
    return bad[np.maximum.accumulate(np.where(decided, np.arange(steps), 0))]


def _draw_clicks(
    length: int, per_second: float, rate: int, shape: Callable[[Array], Array], rng: np.random.Generator
) -> Array:
    """Decaying clicks at random instants, their heights `shape` of a normal draw."""
    from scipy.signal import lfilter

    height, draw = draw_normals(length, rng), rng.random(length)
    struck = np.flatnonzero(draw < per_second / rate)
    impulses = np.zeros(length, np.float32)
    impulses[struck] = shape(height[struck])
    return np.asarray(lfilter([1], np.array([1, -np.exp(-1 / (DECAY * rate))], np.float32), impulses))
