"""The logits of subsets of a batch's modalities, and the linear map from subset values to Shapley values."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from robustmm.metrics import contribution
from robustmm.metrics.contribution import Array, Mask
from robustmm.model.fusion import Additive
from robustmm.model.fusion_model import Coalitions, Embedding, FusionModel

EXACT = 5
"""Modalities up to which every subset is decoded whatever the fusion; additive fusions decode them all anyway."""


def is_exact(model: FusionModel) -> bool:
    """Whether all 2**modality subsets are decoded; otherwise coalitions are sampled."""
    return len(model.modalities) <= EXACT or isinstance(model.fusion, Additive)


def coalitions(model: FusionModel, embedding: Embedding, orders: int) -> Coalitions:
    """Every subset, sharing the embedding's subset logits; where that is too many, the paths of random `orders` in
    antithetic pairs, the same for all samples of the batch. Drawn once a step, for all chained methods."""
    if embedding.coalitions is None:
        embedding.coalitions = _build_coalitions(model, embedding, orders)
    return embedding.coalitions


def _build_coalitions(model: FusionModel, embedding: Embedding, orders: int) -> Coalitions:
    M, device = len(model.modalities), embedding.z.device
    if is_exact(model):
        masks, weights, singletons = all_coalitions(M)
        logits = model.subset_logits(embedding).detach()
    else:
        masks, weights, singletons = draw_coalitions(M, orders, int(torch.randint(2**31, ())))
        with torch.no_grad():
            rows = torch.from_numpy(masks).to(device)[:, None] & embedding.present
            logits = model.decode_subsets(embedding.z, rows)
    on = [torch.from_numpy(array).to(device) for array in (masks, weights, singletons)]
    return Coalitions(on[0], on[1], on[2], logits)


def unimodal_and_fused(model: FusionModel, embedding: Embedding) -> tuple[Tensor, Tensor]:
    """Unimodal logits (modality, batch, class), and (batch, class) of all; with gradients."""
    M = len(model.modalities)
    if is_exact(model):
        logits = model.subset_logits(embedding)
        return logits[[1 << m for m in range(M)]], logits[-1]
    eye = torch.eye(M + 1, M, dtype=torch.bool, device=embedding.z.device)
    eye[M] = True
    logits = model.decode_subsets(embedding.z, eye[:, None] & embedding.present)
    return logits[:M], logits[M]


@lru_cache
def all_coalitions(M: int) -> tuple[Mask, Array, contribution.Index]:
    """(masks, weights, singletons) of all 2**M subsets: the weights are the Shapley values of the 2**M unit games."""
    return contribution.subset_masks(M), contribution.shapley(np.eye(2**M)).T.copy(), 1 << np.arange(M)


def draw_coalitions(M: int, orders: int, seed: int) -> tuple[Mask, Array, contribution.Index]:
    """(masks, weights, singletons) of the coalitions met on sampled orders, and of each single modality."""
    met: list[Mask] = []

    def unit_games(masks: Mask) -> Array:
        met.append(masks)
        return np.eye(len(masks))

    weights = contribution.shapley_sampled(unit_games, M, orders=orders, seed=seed).T
    masks = np.concatenate([met[0], np.eye(M, dtype=bool)])
    return masks, np.pad(weights, ((0, 0), (0, M))), np.arange(len(met[0]), len(masks))
