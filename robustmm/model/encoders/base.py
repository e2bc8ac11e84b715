"""What encoders share: the contract, and layers that stay finite on odd inputs."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Encoder(nn.Module):
    """(batch, *modality.shape) in modality.dtype -> (batch, width). Normalisation is inside, so it is exported."""

    width: int


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation of (batch, channel, *any). A batch that is one value per channel has no variance to learn
    from: in training it is normalised with the running statistics."""

    def _check_input_dim(self, input: Tensor) -> None:
        del input

    def forward(self, input: Tensor) -> Tensor:
        if self.training and input.numel() == input.shape[1]:
            return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(input)


class Standardise(nn.Module):
    """(x - mean) / std over the last axis; values that are not finite become 0, the mean."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean or 0.0, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(std or 1.0, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.mean) / self.std
        return torch.where(x.isfinite(), x, torch.zeros_like(x))


def normalise_pixels(x: Tensor) -> Tensor:
    """uint8 (.., height, width, channel) as float (.., channel, height, width) in [-1, 1]."""
    return (x.to(torch.float32) / 255 - 0.5).movedim(-1, -3) / 0.5


def stack2d(inputs: int, size: tuple[int, int], channels: Sequence[int], large: int = 96) -> nn.Sequential:
    """Blocks of convolution, pooling by two, BatchNorm, ReLU over (batch, channel, height, width).

    Pooling comes before the norm because it makes what follows four times cheaper; channels lie last in memory because
    pooling on a CPU is twice as fast so. A side of one is not pooled, and maps of `large` and more are halved by the
    first convolution as well.
    """
    blocks: list[nn.Module] = []
    height, width = size
    for outputs in channels:
        stride = 2 if not blocks and min(height, width) >= large else 1
        height, width = -(-height // stride), -(-width // stride)
        pool = (min(2, height), min(2, width))
        height, width = height // pool[0], width // pool[1]
        blocks += [
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            nn.MaxPool2d(pool),
            BatchNorm(outputs),
            nn.ReLU(),
        ]
        inputs = outputs
    stack = nn.Sequential(*blocks)
    stack.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return stack


def stack1d(inputs: int, channels: Sequence[int], kernel: int, lengths: int) -> nn.Sequential:
    """Blocks of convolution, BatchNorm, ReLU over (batch, channel, length), halving the length while it lasts."""
    blocks: list[nn.Module] = []
    for outputs in channels:
        pool = min(2, lengths)
        lengths //= pool
        blocks += [
            nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
            nn.MaxPool1d(pool),
            BatchNorm(outputs),
            nn.ReLU(),
        ]
        inputs = outputs
    return nn.Sequential(*blocks)
