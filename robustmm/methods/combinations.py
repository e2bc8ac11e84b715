"""Which modalities a sample keeps: every non-empty combination alike, as DMRNet and MMANet drop them."""

import torch
from torch import Tensor

from robustmm import ranks


def kept_at_random(present: Tensor) -> Tensor:
    """A non-empty subset of what each sample has (batch, modality), drawn uniformly over all its subsets; what has
    nothing keeps nothing. Drawn for the whole batch, so that ranks agree with a single process."""
    own = present.sum(1)
    code = 1 + (ranks.uniform(present) * (2.0**own - 1)).long().unsqueeze(1)  # 1 .. 2^own - 1
    place = present.cumsum(1) - 1  # the k-th present modality reads bit k of the code
    return present & ((code >> place.clamp(min=0)) & 1).bool()


def codes(kept: Tensor) -> Tensor:
    """The number of each row's subset (batch,): bit m is modality m."""
    return (kept.long() << torch.arange(kept.shape[-1], device=kept.device)).sum(-1)
