"""`conv`: small convolutional networks from scratch, one for each kind that has neighbours."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustmm.config.options import Positive, Positives, Rate
from robustmm.modalities import Audio, Image, Series, Text, Video
from robustmm.model.encoders.base import BatchNorm, Encoder, Standardise, normalise_pixels, stack1d, stack2d
from robustmm.model.encoders.spectrogram import LogMel


class ImageConv(Encoder):
    """Convolutions and a global average."""

    def __init__(self, modality: Image, *, channels: Positives | None = None, dropout: Rate = 0.1) -> None:
        super().__init__()
        height, width, colours = modality.size
        if channels is None:
            channels = (32, 64, 128) if min(height, width) < 64 else (32, 64, 128, 256)
        self.maps = stack2d(colours, (height, width), channels)
        self.drop = nn.Dropout(dropout)
        self.width = channels[-1]

    def forward(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.drop(self.maps(normalise_pixels(x)).mean((2, 3)))
        return pooled


class AudioConv(Encoder):
    """A log-mel spectrogram, convolutions and a global average."""

    def __init__(
        self, modality: Audio, *, mels: Positive = 40, channels: Positives = (16, 32, 64, 128), dropout: Rate = 0.1
    ) -> None:
        super().__init__()
        self.spectrogram = LogMel(modality.rate, mels)
        self.norm = BatchNorm(1)  # one mean and scale for the whole map: a band silent in training is not blown up
        self.maps = stack2d(1, (mels, self.spectrogram.frame_count(modality.shape[0])), channels)
        self.drop = nn.Dropout(dropout)
        self.width = channels[-1]

    def forward(self, x: Tensor) -> Tensor:
        maps = self.maps(self.norm(self.spectrogram(x).unsqueeze(1)))
        pooled: Tensor = self.drop(maps.mean((2, 3)))
        return pooled


class VideoConv(Encoder):
    """Each frame beside its neighbours (a first convolution over time), convolutions in space, then in time."""

    def __init__(self, modality: Video, *, channels: Positives = (16, 32, 64, 64), dropout: Rate = 0.1) -> None:
        super().__init__()
        self.frames, (height, width, colours) = modality.frames, modality.size
        self.maps = stack2d(3 * colours, (height, width), channels, large=48)
        self.time = stack1d(2 * channels[-1], (2 * channels[-1],) * 2, 3, self.frames)
        self.drop = nn.Dropout(dropout)
        self.width = 4 * channels[-1]

    def forward(self, x: Tensor) -> Tensor:
        x = normalise_pixels(x)  # (batch, frame, colour, height, width)
        before = torch.cat([x[:, :1], x[:, :-1]], 1)
        after = torch.cat([x[:, 1:], x[:, -1:]], 1)
        maps = self.maps(torch.cat([before, x, after], 2).flatten(0, 1))
        seen = torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1).unflatten(0, (-1, self.frames))
        steps = self.time(seen.transpose(1, 2))
        pooled: Tensor = self.drop(torch.cat([steps.mean(2), steps.amax(2)], 1))
        return pooled


class SeriesConv(Encoder):
    """Convolutions over the steps, then their average and maximum."""

    def __init__(
        self, modality: Series, *, channels: Positives = (64, 128, 128), kernel: Positive = 5, dropout: Rate = 0.1
    ) -> None:
        super().__init__()
        self.standardise = Standardise(modality.mean, modality.std)
        self.steps = stack1d(modality.channels, channels, kernel, modality.steps)
        self.drop = nn.Dropout(dropout)
        self.width = 2 * channels[-1]

    def forward(self, x: Tensor) -> Tensor:
        steps = self.steps(self.standardise(x).transpose(1, 2))
        pooled: Tensor = self.drop(torch.cat([steps.mean(2), steps.amax(2)], 1))
        return pooled


class TextConv(Encoder):
    """TextCNN (Kim 2014): for each window of 2, 3, 4 words the largest activation over the text.

    Windows that start on padding are skipped, so the output does not depend on how far the text is padded.
    """

    def __init__(
        self,
        modality: Text,
        *,
        embedding: Positive = 96,
        channels: Positive = 96,
        windows: Positives = (2, 3, 4),
        dropout: Rate = 0.2,
    ) -> None:
        super().__init__()
        self.windows = windows
        self.padding = modality.padding_id
        self.embedding = nn.Embedding(modality.vocabulary_size, embedding, padding_idx=modality.padding_id)
        self.convs = nn.ModuleList(nn.Conv1d(embedding, channels, window) for window in windows)
        self.drop = nn.Dropout(dropout)
        self.width = channels * len(windows)

    def forward(self, x: Tensor) -> Tensor:
        words = (x != self.padding).unsqueeze(1)
        embedded = self.embedding(x).transpose(1, 2)
        strongest = []
        for window, conv in zip(self.windows, self.convs, strict=True):
            answers = F.relu(conv(F.pad(embedded, (0, window - 1))))  # (batch, channel, length)
            strongest.append(torch.where(words, answers, torch.zeros_like(answers)).amax(2))
        pooled: Tensor = self.drop(torch.cat(strongest, 1))
        return pooled


CONV = {"image": ImageConv, "audio": AudioConv, "video": VideoConv, "series": SeriesConv, "text": TextConv}
