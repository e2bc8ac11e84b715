"""How often each class comes, and what follows from it."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def balanced(target: Tensor, classes: int) -> Tensor:
    """(class,) weights N / (C n_c), so that every class weighs the same; 0 for a class without samples."""
    counts = torch.bincount(target, minlength=classes).float()
    return torch.where(counts > 0, len(target) / (classes * counts.clamp(min=1)), 0.0)


def prior(target: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """(class,) the training split's class frequencies: what is known with every modality missing."""
    return np.bincount(target, minlength=classes) / len(target)
