"""Which modalities a sample keeps in a step of training, drawn at random."""

import torch
from torch import Tensor

from robustmm import distributed


def draw_combination(present: Tensor) -> Tensor:
    """A non-empty subset of what each sample has (batch, modality), drawn uniformly, as DMRNet and MMANet do; a sample
    with no modality keeps none."""
    own = present.sum(1)
    code = 1 + (distributed.draw_uniform(present) * (2.0**own - 1)).long().unsqueeze(1)  # 1 .. 2^own - 1
    place = present.cumsum(1) - 1  # the k-th present modality reads bit k of the code
    return present & ((code >> place.clamp(min=0)) & 1).bool()


def draw_by_number(present: Tensor) -> Tensor:
    """A random subset of what each sample has (batch, modality) whose number of modalities, from 1 to all it has, is
    drawn evenly, as ShaSpec does; a sample with no modality keeps none."""
    number = 1 + (distributed.draw_uniform(present) * present.sum(1)).long()
    place = torch.where(present, distributed.draw_uniform(present, present.shape[1]), torch.inf).argsort(1).argsort(1)
    return present & (place < number.unsqueeze(1))


def drop_modalities(present: Tensor, rate: float) -> Tensor:
    """`present` (batch, modality) less each modality with probability `rate`; a sample that would lose everything keeps
    all it has."""
    kept = present & (distributed.draw_uniform(present, present.shape[1]) >= rate)
    return torch.where(kept.any(1, keepdim=True), kept, present)


def subset_codes(kept: Tensor) -> Tensor:
    """The number of each row's subset (batch,): bit m is modality m."""
    return (kept.long() << torch.arange(kept.shape[-1], device=kept.device)).sum(-1)
