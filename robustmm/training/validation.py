"""An epoch's scores on the valid split: fused and unimodal accuracy, log-loss, and modality contributions."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robustmm.errors import UsageError
from robustmm.metrics import classification, contribution
from robustmm.model.fusion_model import FusionModel
from robustmm.training.data import TrainingSplit


def validate(model: FusionModel, data: TrainingSplit, prior: NDArray[np.float64]) -> dict[str, float]:
    """`valid_accuracy`, `valid_nll`, `valid_accuracy_<m>` (unimodal, where present) and `contribution_<m>`: the exact
    Shapley share of the true class's log-probability, up to contribution.EXACT_LIMIT modalities. Raises UsageError
    where an answer is NaN."""
    names = model.modalities
    exact = len(names) <= contribution.EXACT_LIMIT
    masks = (
        contribution.subset_masks(len(names))
        if exact
        else np.concatenate([np.eye(len(names)), np.ones((1, len(names)))])
    )
    probabilities = subset_probabilities(model, data, torch.from_numpy(masks.astype(bool)))
    if not np.isfinite(probabilities).all():
        raise UsageError(
            "the model's answers to the valid split stopped being numbers; try a smaller train.learning_rate or look "
            "for huge values with: robustmm data check"
        )
    target = data.target.cpu().numpy()
    present = data.present.cpu().numpy()
    fused = probabilities[-1]
    scores = {"valid_accuracy": classification.accuracy(fused, target), "valid_nll": classification.nll(fused, target)}
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
    for rows in torch.arange(len(data)).split(256):
        batch = data.batch(rows)
        z = model.embed(batch.inputs)
        logits = model.decode_subsets(z, masks.to(z.device)[:, None] & batch.present)
        parts.append(logits.double().softmax(-1).cpu())
    return np.asarray(torch.cat(parts, dim=1).numpy())


def is_better(scores: dict[str, float], best: dict[str, float] | None) -> bool:
    """Whether an epoch beats the best so far: valid accuracy, then valid log-loss."""
    if best is None:
        return True
    return (scores["valid_accuracy"], -scores["valid_nll"]) > (best["valid_accuracy"], -best["valid_nll"])
