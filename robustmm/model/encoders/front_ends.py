"""What the feature extractors of pretrained audio backbones do to a wave, inside the graph: the zero mean and unit
variance of wav2vec2, and the log-mel spectrograms of Whisper and AST. Held against `transformers` in the tests."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from robustmm.model.encoders.spectrogram import dft_basis

WINDOW, HOP = 400, 160
"""Samples: 25 and 10 ms at the 16 kHz of all of them."""


class ClipNorm(nn.Module):
    """Waves (batch, sample) with zero mean and unit variance each. The silence that fills a clip up, the zeros at the
    sides where the modality's `pad` puts them, stays zero and is not counted."""

    def __init__(self, pad: str) -> None:
        super().__init__()
        self.pad = pad

    def forward(self, wave: Tensor) -> Tensor:
        sounds = (wave != 0).to(torch.int64)
        own = torch.ones_like(wave, dtype=torch.bool)
        if self.pad != "end":
            own = own & (sounds.cumsum(1) > 0)
        if self.pad != "start":
            own = own & (sounds.flip(1).cumsum(1).flip(1) > 0)
        nothing, count = torch.zeros_like(wave), own.sum(1, keepdim=True).clamp(min=1)
        centred = torch.where(own, wave - wave.sum(1, keepdim=True) / count, nothing)
        return centred / torch.sqrt(centred.square().sum(1, keepdim=True) / count + 1e-7)


class MelPower(nn.Module):
    """Waves (batch, sample) to mel power (batch, mel, frame): one linear map of each frame, squares, filters.

    `transform` (2, bins, window) holds real and imaginary parts, `filters` are (bins, mel).
    """

    basis: Tensor
    filters: Tensor

    def __init__(self, transform: NDArray[np.float64], filters: NDArray[np.float64]) -> None:
        super().__init__()
        basis = transform.reshape(-1, 1, transform.shape[-1])
        self.register_buffer("basis", torch.from_numpy(basis).float(), persistent=False)
        self.register_buffer("filters", torch.from_numpy(filters.T).float(), persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        real, imaginary = F.conv1d(wave.unsqueeze(1), self.basis, stride=HOP).chunk(2, dim=1)
        power: Tensor = self.filters @ (real**2 + imaginary**2)
        return power


class WhisperMel(nn.Module):
    """Waves (batch, sample) to Whisper's log-mel spectrogram (batch, mel, frame), filled up with silence to so many
    frames, as WhisperFeatureExtractor computes it: reflected ends, decades, the lowest 8 below a clip's loudest."""

    def __init__(self, rate: int, mels: int, frames: int) -> None:
        super().__init__()
        from transformers.audio_utils import mel_filter_bank

        self.samples = frames * HOP
        bank = mel_filter_bank(1 + WINDOW // 2, mels, 0.0, rate / 2, rate, norm="slaney", mel_scale="slaney")
        self.power = MelPower(WINDOW / 2 * dft_basis(WINDOW, WINDOW), bank)

    def forward(self, wave: Tensor) -> Tensor:
        wave = F.pad(wave, (0, self.samples - wave.shape[1]))
        wave = F.pad(wave.unsqueeze(1), (WINDOW // 2, WINDOW // 2), mode="reflect").squeeze(1)
        decades = self.power(wave)[:, :, :-1].clamp(min=1e-10).log10()
        return (torch.maximum(decades, decades.amax((1, 2), keepdim=True) - 8) + 4) / 4


class KaldiMel(nn.Module):
    """Waves (batch, sample) to AST's log-mel spectrogram (batch, frame, mel), cut or filled up with zeros to so many
    frames, then (x - mean) / (2 std), as ASTFeatureExtractor computes it."""

    def __init__(self, rate: int, mels: int, frames: int, mean: float, std: float) -> None:
        super().__init__()
        from transformers.audio_utils import mel_filter_bank

        self.frames, self.mean, self.std = frames, mean, std
        bank = mel_filter_bank(
            257, mels, 20, rate // 2, rate, norm=None, mel_scale="kaldi", triangularize_in_mel_space=True
        )
        self.power = MelPower(kaldi_transform(), bank)

    def forward(self, wave: Tensor) -> Tensor:
        wave = F.pad(wave, (0, max(0, WINDOW - wave.shape[1])))
        logs = self.power(wave)[:, :, : self.frames].clamp(min=1.192092955078125e-07).log().transpose(1, 2)
        logs = F.pad(logs, (0, 0, 0, self.frames - logs.shape[1]))
        return (logs - self.mean) / (2 * self.std)


def kaldi_transform() -> NDArray[np.float64]:
    """(2, 257, 400): a frame's mean removed, pre-emphasis by 0.97, a symmetric Hann window, the transform to 512."""
    centre: Any = np.eye(WINDOW) - 1 / WINDOW
    emphasis = np.eye(WINDOW) - 0.97 * np.eye(WINDOW, k=-1)
    emphasis[0, 0] -= 0.97
    hann = np.hanning(WINDOW)[:, None]
    angle = 2 * np.pi * np.arange(257)[:, None] * np.arange(WINDOW) / 512
    transform: NDArray[np.float64] = np.stack([np.cos(angle), np.sin(angle)]) @ (hann * (emphasis @ centre))
    return transform
