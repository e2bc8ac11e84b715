"""reconboost: ReconBoost (Hua, Xu, Bao, Yang, Huang; ICML 2024, arXiv 2405.09321).

Boosting over modalities: one at a time learns what the others leave unexplained, then all are rectified together.

    F        = rho sum over present m of phi_m,   phi_m = head(z_m)       one two-layer head for all, rho learned from 1
    stage t boosts m = t mod M, in the recipe's order, for `boost` epochs, encoder m and the head learning:
    q        = sg softmax(rho sum over k != m of phi_k),   k among the modalities boosted before and present
    L        = 1/C (own - residual q_y) CE(phi_m, y) + consolidation MSE(softmax phi_m, sg softmax phi_prev)
    then for `rectify` epochs all encoders boosted so far, the head and rho learn: L = CE(F, y)

Over the samples that have m. The first loss is cross-entropy that weighs less where the others are right already; where
a sample has none of them, q is uniform. The second, from the second stage on, keeps the modality near the one boosted
before it, over the samples that have both. While a modality is boosted the term "fused" is CE(F, y) without gradient.
F leaves out modalities whose first turn is to come; a file that is kept before then has their untrained answers in it.

What differs: in the published code both sides of the second loss are detached, so that it does nothing: here phi_m is
live, and `consolidation = 0` is as released. Stages there have 4 + 4 epochs and there are a hundred and more; 1 + 1
fits a common budget. Encoders that are not learning keep their momentum, where the code makes a new optimiser a phase.
"""

from collections.abc import Mapping
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from robustmm.config.options import Positive
from robustmm.errors import UsageError
from robustmm.methods.base import METHODS, Batch, Method, TrainingData, weighted_mean
from robustmm.model.fusion import Additive, apply_mask
from robustmm.model.fusion_model import Embedding, FusionModel

Amount = Annotated[float, Field(ge=0)]


class Ensemble(Additive):
    """F = rho sum over present m of head(z_m), without a bias of its own; only m: rho head(z_m)."""

    def __init__(self, modalities: int, width: int, classes: int, *, hidden: Positive | None = None) -> None:
        super().__init__(modalities, width, classes)
        hidden = hidden or max(1, width // 2)  # the paper: 256 at width 512
        self.head = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, classes))
        self.scale = nn.Parameter(torch.ones(()))
        self.register_buffer("bias", torch.zeros(classes), persistent=False)

    def terms(self, z: Tensor) -> Tensor:
        terms: Tensor = self.scale * self.head(z)
        return terms


@METHODS.register("reconboost")
class ReconBoost(Method):
    """Modalities are boosted one after the other on what the rest leaves unexplained, through one shared head."""

    terms = ("fused", "boosting", "consolidation")
    grid = {"own": (2.5, 5.0)}
    owns_fused = True
    alone = True

    def __init__(
        self,
        *,
        boost: Positive = 1,
        rectify: Positive = 1,
        own: Annotated[float, Field(gt=0)] = 5.0,
        residual: Amount = 1.0,
        consolidation: Amount = 0.5,
        hidden: Positive | None = None,
    ) -> None:
        super().__init__()
        if residual >= own:
            raise UsageError(
                f"reconboost: residual should be below own, found {residual:g} and {own:g}: "
                "a sample that the others get right would be unlearned"
            )
        self.boost, self.rectify, self.own, self.residual = boost, rectify, own, residual
        self.consolidation, self.hidden = consolidation, hidden

    def setup(self, model: FusionModel, data: TrainingData) -> None:
        super().setup(model, data)
        fusion = Ensemble(len(model.modalities), model.width, data.classes, hidden=self.hidden)
        model.place("fusion", fusion, by="reconboost")

    @property
    def stage(self) -> int:
        return int(self.epoch) // (self.boost + self.rectify)

    @property
    def is_boosting(self) -> bool:
        return int(self.epoch) % (self.boost + self.rectify) < self.boost

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        fusion, M = model.fusion, len(model.modalities)
        assert isinstance(fusion, Ensemble)
        added = torch.arange(M, device=batch.present.device) <= self.stage  # m is boosted first in stage m
        z, present = apply_mask(embedding.z, batch.present), batch.present & added
        if not self.is_boosting:
            nothing = z.new_zeros(())
            fused = self.cross_entropy(model.decode(z, present), batch.target)
            return {"fused": fused, "boosting": nothing, "consolidation": nothing}
        m, before = self.stage % M, (self.stage - 1) % M
        phi = fusion.head(z[:, m]).float()
        with torch.no_grad():
            fused = self.cross_entropy(model.decode(z, present), batch.target)
            others = present & (torch.arange(M, device=present.device) != m)
            q = model.decode(z, others).float().softmax(-1)
            earlier = fusion.head(z[:, before]).float().softmax(-1)
        both = batch.present[:, m] & batch.present[:, before] & (self.stage > 0)
        return {
            "fused": fused,
            "boosting": self.boosting_loss(phi, q, batch.target, batch.present[:, m]),
            "consolidation": self.consolidation
            * weighted_mean((phi.softmax(-1) - earlier).square().mean(-1), both.float()),
        }

    def boosting_loss(self, phi: Tensor, q: Tensor, target: Tensor, rows: Tensor) -> Tensor:
        """The loss of phi (batch, class) against the others' probabilities q (batch, class), over `rows` (batch,)."""
        truth = q.gather(-1, target.unsqueeze(-1)).squeeze(-1)
        factor = (self.own - self.residual * truth) / phi.shape[-1]
        weight = rows.float() if self.class_weight is None else rows * self.class_weight[target]
        return weighted_mean(factor * F.cross_entropy(phi, target, reduction="none"), weight)

    def backward(self, model: FusionModel, losses: Mapping[str, Tensor]) -> None:
        super().backward(model, losses)
        for k, name in enumerate(model.modalities):  # zeros would still move them, by momentum and decay
            if k != self.stage % len(model.modalities) if self.is_boosting else k > self.stage:
                for parameter in (*model.encoders[name].parameters(), *model.projections[name].parameters()):
                    parameter.grad = None
