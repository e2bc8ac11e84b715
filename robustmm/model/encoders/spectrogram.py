"""The log-mel front end, inside the graph, so that every user of a file computes the same spectrogram."""

from math import ceil

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

WINDOW = 0.032  # seconds
HOP = 0.010  # seconds


class LogMel(nn.Module):
    """Wave (batch, sample) in [-1, 1] to log-mel power (batch, mel, frame).

    Frames are centred, the ends padded with silence: frame t is about sample t * hop, and even the shortest clip has
    one. The spectrum is divided by the window's sum, so |X| <= 1 and half precision does
    not overflow. `window`, `hop` and `bins` (the length of the transform) are in samples.
    """

    basis: Tensor
    filters: Tensor

    def __init__(
        self,
        rate: int,
        mels: int = 40,
        *,
        window: int | None = None,
        hop: int | None = None,
        bins: int | None = None,
        floor: float = 1e-6,
    ) -> None:
        super().__init__()
        self.window = window or 2 * max(1, round(rate * WINDOW / 2))
        self.hop = hop or max(1, round(rate * HOP))
        self.bins = bins or self.window * ceil(rate / self.window / first_spacing(rate, mels))
        self.mels, self.floor = mels, floor
        filters = mel_filters(rate, self.bins, mels)
        covered = filters.any(0)  # frequencies that no filter covers, 0 Hz among them, are not computed
        basis = dft_basis(self.window, self.bins)[:, covered]
        self.register_buffer("basis", torch.from_numpy(basis.reshape(-1, 1, self.window)).float(), persistent=False)
        self.register_buffer("filters", torch.from_numpy(filters[:, covered]).float(), persistent=False)

    def frame_count(self, samples: int) -> int:
        """The number of frames of a clip."""
        return 1 + (samples + self.window % 2) // self.hop

    def forward(self, wave: Tensor) -> Tensor:
        spectrum = F.conv1d(wave.unsqueeze(1), self.basis, stride=self.hop, padding=(self.window + 1) // 2)
        real, imaginary = spectrum.chunk(2, dim=1)
        return torch.log(self.filters @ (real**2 + imaginary**2) + self.floor)


def hertz_to_mel(hertz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """HTK's mel scale."""
    return 2595.0 * np.log10(1.0 + np.asarray(hertz) / 700.0)


def mel_to_hertz(mel: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return 700.0 * (10.0 ** (np.asarray(mel) / 2595.0) - 1.0)


def first_spacing(rate: int, mels: int) -> float:
    """Hertz between the lowest filters' centres; frequencies at least this dense leave no filter empty."""
    return float(mel_to_hertz(hertz_to_mel(rate / 2) / (mels + 1)))


def mel_filters(rate: int, bins: int, mels: int) -> NDArray[np.float64]:
    """Triangles of height 1 (mel, 1 + bins // 2), from 0 Hz to half the rate, evenly spaced in mel."""
    edges = mel_to_hertz(np.linspace(0.0, hertz_to_mel(rate / 2), mels + 2))[:, None]
    frequency = np.arange(1 + bins // 2) * rate / bins
    rising = (frequency - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequency) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling))


def dft_basis(window: int, bins: int) -> NDArray[np.float64]:
    """Cosines and sines (2, 1 + bins // 2, window) under a periodic Hann window, divided by the window's sum."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    angle = 2 * np.pi * np.arange(1 + bins // 2)[:, None] * np.arange(window) / bins
    basis: NDArray[np.float64] = np.stack([np.cos(angle), np.sin(angle)]) * hann / hann.sum()
    return basis
