"""`handcrafted`: simple features without a weight to learn, one set a kind. A linear model on them is the line to beat.

They are computed in the graph, as everything that an encoder does, and brought to one scale by what `fit` learns from
training features: a mean and a deviation each, or the words' rarity.
"""

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustmm.config.options import Positive
from robustmm.modalities import Audio, Features, Image, Series, Text, Video
from robustmm.model.encoders.base import Encoder, Standardise, normalise_pixels
from robustmm.model.encoders.spectrogram import LogMel

PARTS = 8
"""Equal parts of time whose means are features."""
FREQUENCIES = 16
"""The lowest frequencies of a series whose magnitudes are features."""
QUIET = 5.0
"""Nepers of power (22 dB) below the loudest moment where a recording counts half as spoken."""
SIDE, CLIP_SIDE = 28, 16
"""The most pixels a side of a picture, and of the pictures that are made of a video."""
SMALLEST = 1e-4
"""The least deviation of a feature that varies, as a share of 1 or of its mean: less overflows in half precision."""
NOTHING = 1e-3
"""The power, in squared deviations, that is added to each frequency's: below it there is nothing to hear."""
PRIMES = (7_368_787, 15_485_863)
"""Multipliers of the two words of a pair; with ids below 2^31 no product leaves int64."""


class Handcrafted(Encoder):
    """(batch, width) features, standardised by what `fit` has seen; as they are before."""

    mean: Tensor
    scale: Tensor
    sparse = False
    """Whether few features of a sample are other than 0."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def measure(self, x: Tensor) -> Tensor:
        """(batch, width): the features as they are."""
        raise NotImplementedError

    def finish(self, measured: Tensor) -> Tensor:
        """Measured features (batch, width) on one scale; what is not finite becomes 0, the mean."""
        x = (measured - self.mean) * self.scale
        return torch.where(x.isfinite(), x, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.finish(self.measure(x))

    def fit(self, measured: Any) -> None:
        """Learns the scale from features of training samples (samples, width); one that does not vary is 0 for all."""
        found = np.nan_to_num(measured.astype(np.float64), posinf=0, neginf=0)
        mean, std = found.mean(0), found.std(0)
        scale = np.divide(1, std, out=np.zeros_like(std), where=std > SMALLEST * np.maximum(1, np.abs(mean)))
        self.mean.copy_(torch.from_numpy(mean))
        self.scale.copy_(torch.from_numpy(scale))


class Numbers(Handcrafted):
    """Features as they are."""

    def __init__(self, modality: Features) -> None:
        super().__init__(modality.length)
        self.standardise = Standardise(modality.mean, modality.std)

    def measure(self, x: Tensor) -> Tensor:
        standardised: Tensor = self.standardise(x)
        return standardised


class Pixels(Handcrafted):
    """The picture, its sides averaged down to at most 28 pixels."""

    def __init__(self, modality: Image) -> None:
        height, width, colours = modality.size
        super().__init__(colours * min(height, SIDE) * min(width, SIDE))
        self.shrink = Shrink(height, width, SIDE)

    def measure(self, x: Tensor) -> Tensor:
        shrunk: Tensor = self.shrink(normalise_pixels(x))
        return shrunk.flatten(1)


class Motion(Handcrafted):
    """Of a video's frames at 16 x 16 pixels: their mean, their deviation, and how much changes from one to the next in
    each third of the time."""

    def __init__(self, modality: Video) -> None:
        height, width, colours = modality.size
        self.thirds = min(3, max(1, modality.frames - 1))
        super().__init__((2 + self.thirds) * colours * min(height, CLIP_SIDE) * min(width, CLIP_SIDE))
        self.shrink = Shrink(height, width, CLIP_SIDE)
        self.parts = Parts(max(1, modality.frames - 1), self.thirds)

    def measure(self, x: Tensor) -> Tensor:
        frames = self.shrink(normalise_pixels(x)).flatten(2).transpose(1, 2)  # (batch, pixel, frame)
        moved = changes(frames).abs()
        return torch.cat([frames.mean(2), deviation(frames), self.parts(moved).flatten(1)], 1)


class Spectrum(Handcrafted):
    """Of a log-mel spectrogram in a few bands, each less its mean where somebody speaks, so that neither loudness nor
    the microphone counts: deviation, the deviation of its changes, and the means of eight parts of what is
    spoken, wherever in the recording that stands."""

    def __init__(self, modality: Audio, *, mels: Positive = 12) -> None:
        super().__init__(mels * (2 + PARTS))
        self.spectrogram = LogMel(modality.rate, mels)

    def measure(self, x: Tensor) -> Tensor:
        bands = self.spectrogram(x)  # (batch, mel, frame)
        loudness = bands.logsumexp(1, keepdim=True)
        spoken = torch.sigmoid(2 * (loudness - loudness.amax(2, keepdim=True) + QUIET))  # (batch, 1, frame)
        share = spoken / spoken.sum(2, keepdim=True)
        bands = (bands - (bands * share).sum(2, keepdim=True)) * spoken
        place = PARTS * share.cumsum(2).transpose(1, 2) - torch.arange(PARTS, device=x.device) - 0.5
        weights = (1 - place.abs()).clamp(min=0) * spoken.transpose(1, 2)  # (batch, frame, part)
        parts = bands @ weights / (weights.sum(1, keepdim=True) + 1e-3)
        return torch.cat([deviation(bands), deviation(changes(bands)), parts.flatten(1)], 1)


class Course(Handcrafted):
    """Of each channel of a series: mean, deviation, extremes, the deviation of its changes, the means of eight parts of
    the time less that of the whole, and the magnitudes of its lowest frequencies."""

    basis: Tensor

    def __init__(self, modality: Series) -> None:
        parts, steps = Parts(modality.steps, PARTS), modality.steps
        count = min(FREQUENCIES, steps // 2)
        super().__init__(modality.channels * (5 + parts.count + count))
        self.standardise, self.parts = Standardise(modality.mean, modality.std), parts
        angle = 2 * math.pi * torch.arange(1, count + 1) * torch.arange(steps)[:, None] / steps
        basis = torch.cat([angle.cos(), angle.sin()], 1) / steps
        self.register_buffer("basis", basis, persistent=False)  # (step, 2 * frequency)

    def measure(self, x: Tensor) -> Tensor:
        steps = self.standardise(x).transpose(1, 2)  # (batch, channel, step)
        mean = steps.mean(2, keepdim=True)
        real, imaginary = (steps @ self.basis).chunk(2, 2)
        magnitude = torch.log(real.square() + imaginary.square() + NOTHING)
        single = torch.stack([mean[..., 0], deviation(steps), steps.amin(2), steps.amax(2)], 2)
        rough = deviation(changes(steps)).unsqueeze(2)
        return torch.cat([single, rough, self.parts(steps) - mean, magnitude], 2).flatten(1)


class WordCounts(Handcrafted):
    """How often each word and each pair of neighbouring words is met, pairs in `buckets` by a hash; weighted by rarity
    (TF-IDF) and of unit length."""

    sparse = True

    def __init__(self, modality: Text, *, buckets: Positive = 16_384) -> None:
        self.words, self.buckets, self.padding = modality.vocabulary_size, buckets, modality.padding_id
        super().__init__(self.words + self.buckets)

    def measure(self, x: Tensor) -> Tensor:
        found, there = hash_words(x, self.padding, self.words, self.buckets)
        counts = torch.zeros(x.shape[0], self.width, device=x.device).scatter_add(1, found, there.float())
        return torch.log1p(counts)

    def finish(self, measured: Tensor) -> Tensor:
        return F.normalize(measured * self.scale, eps=1e-6)

    def fit(self, measured: Any) -> None:
        """Learns how rare each is from a sparse matrix; what training never met weighs nothing."""
        samples, texts = measured.shape[0], np.asarray((measured > 0).sum(0), dtype=np.float64).ravel()
        rarity = np.where(texts > 0, np.log((1 + samples) / (1 + texts)) + 1, 0)
        self.scale.copy_(torch.from_numpy(rarity))


def hash_words(x: Tensor, padding: int, words: int, buckets: int) -> tuple[Tensor, Tensor]:
    """Token ids (batch, length) as places of words, then of pairs of neighbours (batch, 2 * length - 1), pairs in
    `buckets` behind the words; and which of them are there."""
    there = x != padding
    first, second = x[:, :-1], x[:, 1:]
    pairs = words + (PRIMES[0] * first + PRIMES[1] * second) % buckets
    return torch.cat([x, pairs], 1), torch.cat([there, there[:, :-1] & there[:, 1:]], 1)


class Parts(nn.Module):
    """(.., steps) to the means of at most `count` equal parts (.., count)."""

    weights: Tensor

    def __init__(self, steps: int, count: int) -> None:
        super().__init__()
        self.count = min(count, steps)
        edges = torch.linspace(0, steps, self.count + 1, dtype=torch.float64)
        at = torch.arange(steps)[:, None]
        share = (torch.minimum(edges[1:], at + 1.0) - torch.maximum(edges[:-1], at * 1.0)).clamp(min=0)
        self.register_buffer("weights", (share / share.sum(0)).float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weights


class Shrink(nn.Module):
    """(.., height, width) averaged to at most `side` each way."""

    def __init__(self, height: int, width: int, side: int) -> None:
        super().__init__()
        self.rows, self.columns = Parts(height, side), Parts(width, side)

    def forward(self, x: Tensor) -> Tensor:
        shrunk: Tensor = self.rows(self.columns(x).transpose(-1, -2)).transpose(-1, -2)
        return shrunk


def changes(x: Tensor) -> Tensor:
    """Differences along the last axis; a single step does not change."""
    return x.diff(dim=-1) if x.shape[-1] > 1 else torch.zeros_like(x)


def deviation(x: Tensor) -> Tensor:
    """The standard deviation over the last axis, with a gradient where it is 0."""
    return torch.sqrt((x - x.mean(-1, keepdim=True)).square().mean(-1) + 1e-8)


HANDCRAFTED = {
    "image": Pixels, "audio": Spectrum, "video": Motion, "series": Course, "text": WordCounts, "features": Numbers
}  # fmt: skip
