"""An epoch's scores on the valid split: fused and unimodal accuracy, log-loss, and modality contributions."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robustmm.config.recipe import SELECTED, Select
from robustmm.errors import DivergedError
from robustmm.metrics import classification, contribution
from robustmm.model.fusion_model import FusionModel
from robustmm.training.data import TrainingSplit


def validate(model: FusionModel, data: TrainingSplit, prior: NDArray[np.float64]) -> dict[str, float]:
    """`valid_accuracy`, `valid_nll`, `valid_mean_over_subsets` and `valid_worst_subset` (mean and lowest accuracy from
    each subset of the modalities, all of them together included, over all samples, as a bench scores them),
    `valid_accuracy_<m>` (unimodal, where present) and `contribution_<m>`: the exact Shapley share of the true class's
    log-probability, up to contribution.EXACT_LIMIT modalities; above it the subsets are single modalities, and all.
    Raises DivergedError where an answer is NaN."""
    names = model.modalities
    exact = len(names) <= contribution.EXACT_LIMIT
    masks = (
        contribution.subset_masks(len(names))
        if exact
        else np.concatenate([np.eye(len(names)), np.ones((1, len(names)))])
    )
    probabilities = subset_probabilities(model, data, torch.from_numpy(masks.astype(bool)))
    if not np.isfinite(probabilities).all():
        raise DivergedError(
            "the model's answers to the valid split stopped being numbers; try a smaller train.learning_rate or look "
            "for huge values with: robustmm data check"
        )
    target = data.target.cpu().numpy()
    present = data.present.cpu().numpy()
    fused = probabilities[-1]
    each = [classification.accuracy(p, target) for p in probabilities[1 if exact else 0 :]]  # 0 is the empty subset
    scores: dict[str, float] = {
        "valid_accuracy": classification.accuracy(fused, target),
        "valid_nll": classification.nll(fused, target),
        "valid_mean_over_subsets": float(np.mean(each)),
        "valid_worst_subset": min(each),
    }
    for m, name in enumerate(names):
        rows = present[:, m]
        own = probabilities[1 << m if exact else m][rows]
        scores[f"valid_accuracy_{name}"] = classification.accuracy(own, target[rows]) if rows.any() else float("nan")
    if exact:
        game = contribution.log_probability_game(probabilities.transpose(1, 0, 2), target, prior, present)
        shares = contribution.shares(contribution.shapley(game).mean(0))
        scores |= {f"contribution_{name}": float(share) for name, share in zip(names, shares, strict=True)}
    return {name: float(score) for name, score in scores.items()}


@torch.no_grad()
def subset_probabilities(model: FusionModel, data: TrainingSplit, masks: Tensor) -> NDArray[np.float64]:
    """(K, samples, class) for K presence masks (K, modality), each cut to what is present."""
    model.eval()
    parts: list[Tensor] = []
    for batch in data.samples():
        z = model.embed(batch.inputs)
        logits = model.decode_subsets(z, masks.to(z.device)[:, None] & batch.present)
        parts.append(logits.double().softmax(-1).cpu())
    return np.asarray(torch.cat(parts, dim=1).numpy())


def training_nll(model: FusionModel, data: TrainingSplit) -> float:
    """Mean cross-entropy of the fused answers to the training split, as it is and not as a method changes it."""
    everything = torch.ones(1, len(model.modalities), dtype=torch.bool)
    fused = subset_probabilities(model, data, everything)[0]
    return float(classification.nll(fused, data.target.cpu().numpy()))


def is_better(scores: dict[str, float], best: dict[str, float] | None, select: Select = "clean") -> bool:
    """Whether an epoch beats the best so far: the score that is selected by, then valid log-loss."""
    if best is None:
        return True
    score = SELECTED[select]
    return (scores[score], -scores["valid_nll"]) > (best[score], -best["valid_nll"])
