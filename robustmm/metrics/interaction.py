"""Modality contributions besides Shapley values: interactions across modalities, and CAL's contribution.

Complements `contribution`: `cross_modal_gap` tells a model that combines its modalities from one that adds up
its unimodal outputs; `information_confidence` is the number that steers CAL's training, on evaluation data.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr

from robustmm.metrics.contribution import log_probability_game, shapley, shares

Array = NDArray[np.float64]


def additive_projection(cross: ArrayLike) -> Array:
    """EMAP outputs (sample, class): a model's part that is a sum of functions of one modality each (Hessel & Lee 2020).

    `cross` (modality, N, N, class) holds logits or log-probabilities; [m, i, j] is the model's output on modality m of
    sample i with all other modalities of sample j. Of log-probabilities the projection differs from that of the logits
    by a constant per sample, so predictions are the same.

        projected_i = sum_m mean_j cross[m, i, j] - (M - 1) mean of everything

    For M = 2, where cross[1] is cross[0] transposed, this is Hessel & Lee's: of all additive models the nearest over
    the N x N pairings. For M > 2 it is the first-order projection with the other modalities drawn jointly, from one
    sample. An additive model is still its own projection, but an interaction of one modality with others that are
    correlated in the data is in part taken for that modality's own, which can hide some of the gap.
    """
    outputs = np.asarray(cross)
    if outputs.ndim != 4 or len(outputs) < 2 or outputs.shape[1] != outputs.shape[2] or outputs.size == 0:
        raise ValueError(f"expected (modality, N, N, class) of at least two modalities, got shape {outputs.shape}")
    if not np.isfinite(outputs).all():
        raise ValueError("expected finite logits or log-probabilities of every pairing")
    unimodal = outputs.mean(axis=2, dtype=np.float64)  # (modality, sample, class)
    return np.asarray(unimodal.sum(axis=0) - (len(unimodal) - 1) * unimodal.mean(axis=(0, 1)))


def cross_modal_gap(outputs: ArrayLike, cross: ArrayLike, target: ArrayLike) -> tuple[float, float, float]:
    """Accuracy of the outputs (sample, class), that of their additive projection, and the difference.

    `outputs` may be logits or probabilities: only the argmax counts. The gap is what interactions across modalities
    earn; 0 for an additive model. `cross` as in `additive_projection`, `target` (sample,).
    """
    whole, projected, y = np.asarray(outputs), additive_projection(cross), np.asarray(target)
    if whole.shape != projected.shape or y.shape != whole.shape[:1]:
        raise ValueError(
            f"expected outputs {projected.shape} and target {projected.shape[:1]} as in the pairings, got "
            f"{whole.shape} and {y.shape}"
        )
    if not np.isfinite(whole).all():
        raise ValueError("expected finite outputs of every sample")
    full, additive = (float((each.argmax(axis=1) == y).mean()) for each in (whole, projected))
    return full, additive, full - additive


def information_confidence(
    probabilities: ArrayLike, target: ArrayLike, present: ArrayLike, weight: float = 0.5
) -> Array:
    """CAL's contribution W (modality,), which sums to 1; our reconstruction: we could not obtain the paper's text.

        I_m = relu(phi_m) / sum_k relu(phi_k)                  phi: Shapley value of log p_S(y), log 1/C for no modality
        D_m = (1 - H_m / log C) / sum_k (1 - H_k / log C)      H_m: mean entropy of the unimodal answer from m
        W_m = weight I_m + (1 - weight) D_m

    `probabilities` (sample, 2**M, class) of every subset, subset k holding modality m iff (k >> m) & 1; [:, 0] and what
    holds a modality that is not `present` (sample, M) are not looked at. Means are over samples that have m; a modality
    that none has gets 0. Where the modalities sum to nothing, I or D is uniform. Equal to the method `cal` with its
    defaults and no moving average.
    """
    p, has = np.asarray(probabilities, dtype=np.float64), np.asarray(present, dtype=bool)
    if not 0 <= weight <= 1:
        raise ValueError(f"expected a weight between 0 and 1, got {weight}")
    classes, count = p.shape[-1], has.sum(axis=0)
    seen = count > 0
    if not seen.any() or classes < 2:
        raise ValueError(f"expected two classes and a sample with a modality, got {classes} and {has.sum()} present")
    phi = shapley(log_probability_game(p, target, np.full(classes, 1 / classes), has))
    unimodal = p[:, 1 << np.arange(has.shape[1])].clip(min=0)
    certainty = np.where(has, 1 - entr(unimodal).sum(axis=2) / np.log(classes), 0)
    contribution = np.zeros(has.shape[1])
    for part, measured in ((weight, phi), (1 - weight, certainty)):
        contribution[seen] += part * uniform_shares(measured.sum(axis=0)[seen] / count[seen])
    return contribution


def uniform_shares(values: ArrayLike) -> Array:
    """`contribution.shares` of values (M,), as CAL needs them: uniform where they sum to nothing."""
    found = shares(values)
    return np.nan_to_num(found, nan=1 / len(found))
