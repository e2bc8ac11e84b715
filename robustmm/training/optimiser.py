"""The optimiser and its schedule, as functions of the recipe and the step only: they need no checkpoint."""

import math
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from robustmm.config.recipe import Train
from robustmm.config.tuning import Tuning
from robustmm.methods import Method
from robustmm.model.fusion_model import FusionModel
from robustmm.training.steps.freezing import list_tuned

DEFAULT_RATE = {"sgd": 0.01, "adamw": 1e-3}
RATES = {"adamw": (3e-4, 1e-3, 3e-3), "sgd": (0.01, 0.03, 0.1, 0.3)}
"""What a search tries."""


def optimiser_name(settings: Train, method: Method) -> str:
    """The recipe's optimiser; by default SGD for methods that scale gradients (Adam cancels the scaling)."""
    if settings.optimiser is None:
        return "sgd" if method.scales_gradients else "adamw"
    if settings.optimiser == "adamw" and method.scales_gradients:
        warnings.warn(
            "this method scales gradients, and AdamW's per-parameter normalisation nearly cancels that; use sgd",
            stacklevel=2,
        )
    return settings.optimiser


def build_optimiser(
    settings: Train, model: FusionModel, method: Method, tuning: Mapping[str, Tuning] = {}
) -> torch.optim.Optimizer:
    """The optimiser over all that learns now or later. Encoders with a learning rate of their own are groups behind the
    first one, which always holds something: the projections."""
    name = optimiser_name(settings, method)
    rate = settings.learning_rate or DEFAULT_RATE[name]
    factors = {p: keys.learning_rate_factor for part, keys in list_tuned(model, tuning) for p in part.parameters()}
    groups: dict[float, list[nn.Parameter]] = {1.0: []}
    for p in (*model.parameters(), *method.parameters()):
        if p.requires_grad:
            groups.setdefault(factors.get(p, 1.0), []).append(p)
    parameters: list[dict[str, Any]] = [{"params": own, "lr": rate * factor} for factor, own in groups.items()]
    if name == "sgd":
        return torch.optim.SGD(parameters, lr=rate, momentum=0.9, weight_decay=settings.weight_decay)
    return torch.optim.AdamW(parameters, lr=rate, weight_decay=settings.weight_decay)


def rate_factor(settings: Train, epoch: float) -> float:
    """The learning rate's factor at a (fractional) epoch: linear warm-up, then the schedule."""
    if epoch < settings.warmup:
        return (epoch + 1e-2) / (settings.warmup + 1e-2)
    done = min(1.0, (epoch - settings.warmup) / max(1e-9, settings.epochs - settings.warmup))
    if settings.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    if settings.schedule == "step":  # x0.1 at 70 % of the budget, as OGM-GE, ARL and DGL do
        return 0.1 if epoch >= 0.7 * settings.epochs else 1.0
    return 1.0


def set_rate(optimiser: torch.optim.Optimizer, settings: Train, epoch: float) -> float:
    """Sets the learning rate for this moment and returns it."""
    for group in optimiser.param_groups:
        group.setdefault("initial_lr", group["lr"])
        group["lr"] = group["initial_lr"] * rate_factor(settings, epoch)
    return float(optimiser.param_groups[0]["lr"])
