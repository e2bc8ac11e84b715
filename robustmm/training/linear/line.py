"""The line to beat: what linear models on simple features reach on valid."""

import math
from collections.abc import Mapping, Sequence

import torch

from robustmm.data.prior import prior
from robustmm.modalities import Modality
from robustmm.model.encoders import build_encoder
from robustmm.model.fusion import build_fusion
from robustmm.model.fusion_model import FusionModel
from robustmm.training.data import TrainingSplit
from robustmm.training.linear.recipe import ENCODER, FUSION
from robustmm.training.linear.solving import solve_weights
from robustmm.training.validation import validate


def measure_line(modalities: Sequence[Modality], data: TrainingSplit, valid: TrainingSplit) -> dict[str, float]:
    """Accuracy on valid of linear models on simple features of `data`: `valid_accuracy` of their late fusion, and
    `valid_accuracy_<m>` of each that any valid sample has. Draws nothing from torch's generator."""
    with torch.random.fork_rng(devices=[]):
        encoders = {m.name: build_encoder(m, ENCODER) for m in modalities}
        fusion = build_fusion(FUSION, len(encoders), data.classes, data.classes)
        model = FusionModel(encoders, fusion, data.classes)
    solve_weights(model.to(data.device), data, valid)
    scores = validate(model, valid, prior(data.target.cpu().numpy(), data.classes))
    return {k: score for k, score in scores.items() if k.startswith("valid_accuracy") and not math.isnan(score)}


def describe_line(line: Mapping[str, float]) -> str:
    """A sentence on what `measure_line` found."""
    each = {k.removeprefix("valid_accuracy_"): v for k, v in line.items() if k != "valid_accuracy"}
    told = ", ".join(f"{name} {value:.1%}" for name, value in each.items())
    return f"linear models on simple features reach {line['valid_accuracy']:.1%} on valid ({told}): the line to beat"
