"""mla: Multimodal Learning with Alternating unimodal adaptation (Zhang, Yoon, Bansal, Yao; CVPR 2024; 2311.10707).

No joint loss: every batch is gone through once a modality, each time with that modality alone, an optimiser step each.

    s_m   = W z_m + b                       one head for all modalities
    turn m of a batch: L = CE(s_m, y) over the samples that have m; a step on encoder m, W and b
    grad W <- grad W P                      what other modalities learned in W is protected
    f     = sum over present m of w_m s_m,  w = softmax(-e) over present m,  e_m = entropy of softmax(s_m)

`projection` says what P is; results of this method say little without it. Recursive least squares takes the direction
of a mean feature r out of P: P <- P - k k' / (alpha + r' k), k = P r, where alpha falls from 0.1 to 0.01 in each epoch.

    previous    P: the identity less the running means of z of all other modalities (EMA `ema`); the default, ours
    cumulative  P: the identity less the means of all turns before and of this one, the literal reading
    off         no projection: what the published code does, whose hook looks for a name that the layer does not have

Features are computed when their turn comes and not all at a batch's start, which is the same: encoders share nothing.
The encoders that have no turn are not run, and do not move. A modality that no sample of a batch has is passed over.

What differs: w is computed sample by sample. The published code takes the softmax over the batch, so that an answer
depends on what else is asked. Its division by an outer product, and its scaling of P to length 1, are left out.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from robustmm import distributed
from robustmm.methods.base import METHODS, Batch, Method, TrainingData, Turn, split_rows
from robustmm.model.fusion import Fusion, apply_mask
from robustmm.model.fusion_model import Embedding, FusionModel


class SharedHead(Fusion):
    """f = sum over present m of w_m s_m, from one linear layer for all; only m: s_m. Nothing: zeros."""

    def __init__(self, modalities: int, width: int, classes: int) -> None:
        super().__init__(modalities, width, classes)
        self.head = nn.Linear(width, classes)

    def forward(self, z: Tensor, present: Tensor) -> Tensor:
        s: Tensor = self.head(z)  # (batch, modality, class)
        return (entropy_weights(s, present).unsqueeze(-1).to(s.dtype) * s).sum(1)


@METHODS.register("mla")
class MLA(Method):
    """Modalities take turns on each batch and share one head; answers are weighed by how certain they are.

    `projection`: "previous", "cumulative" or "off"; `order`: the turns of a batch as the recipe lists modalities
    ("fixed"), or "shuffled" anew for each batch.
    """

    terms = ("unimodal",)
    grid = {"projection": ("previous", "off")}
    scales_gradients = True
    alone = True
    have: Tensor
    mean: Tensor
    met: Tensor
    projector: Tensor

    def __init__(
        self,
        *,
        projection: Literal["previous", "cumulative", "off"] = "previous",
        order: Literal["fixed", "shuffled"] = "fixed",
        ema: Annotated[float, Field(ge=0, lt=1)] = 0.9,
    ) -> None:
        super().__init__()
        self.projection, self.order, self.ema = projection, order, ema
        self.turns, self.turn = 1, 0  # of the epoch that runs

    def setup(self, model: FusionModel, data: TrainingData) -> None:
        super().setup(model, data)
        M, width = len(model.modalities), model.width
        model.place("fusion", SharedHead(M, width, data.classes), by="mla")
        self.register_buffer("have", data.present, persistent=False)
        self.register_buffer("mean", torch.zeros(M, width, dtype=torch.float64))
        self.register_buffer("met", torch.zeros(M, dtype=torch.bool))
        self.register_buffer("projector", torch.eye(width, dtype=torch.float64))

    def arrange(self, order: Tensor, size: int) -> list[Turn]:
        turns = []
        for rows in split_rows(order, size):
            M = self.have.shape[1]
            for m in (torch.randperm(M) if self.order == "shuffled" else torch.arange(M)).tolist():
                own = rows[self.have[rows.to(self.have.device), m].cpu()]
                if len(own):
                    turns.append(Turn(own, (torch.arange(M) == m).expand(len(own), M)))
        self.turns, self.turn = len(turns), 0
        return turns

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        assert isinstance(model.fusion, SharedHead)
        z = apply_mask(embedding.z, batch.present)
        if self.projection != "off":
            self.update_projector(z.detach().double(), batch.present)
        return {"unimodal": self.unimodal_losses(model.fusion.head(z).movedim(1, 0), batch).sum()}

    def backward(self, model: FusionModel, losses: Mapping[str, Tensor]) -> None:
        super().backward(model, losses)
        assert isinstance(model.fusion, SharedHead)
        weight = model.fusion.head.weight
        if self.projection != "off" and weight.grad is not None:
            weight.grad = weight.grad @ self.projector.to(weight.grad.dtype)

    def update_projector(self, z: Tensor, present: Tensor) -> None:
        """P of the turn of z (batch, modality, width), zeros where absent; then its mean joins the running ones."""
        count = distributed.sum_over_ranks(present.sum(0))
        now = distributed.sum_over_ranks(z.sum(0)) / count.clamp(min=1).unsqueeze(-1)
        alpha = 0.1 ** (1 + self.turn / self.turns)
        self.turn = min(self.turn + 1, self.turns)
        seen = count.nonzero()[:, 0].tolist()
        if len(seen) == 1:
            self.projector.copy_(self.project(seen[0], now[seen[0]], alpha))
        for k in seen:
            self.mean[k] = torch.lerp(now[k], self.mean[k], self.ema) if self.met[k] else now[k]
            self.met[k] = True

    def project(self, m: int, now: Tensor, alpha: float) -> Tensor:
        """P (width, width) for the turn of modality m, whose mean is `now` (width,)."""
        if self.projection == "cumulative":  # the first turn of a run has nothing to protect
            return remove_direction(self.projector, now, alpha) if self.met.any() else self.projector
        P = torch.eye(len(now), dtype=now.dtype, device=now.device)
        for k in self.met.nonzero()[:, 0].tolist():
            P = P if k == m else remove_direction(P, self.mean[k], alpha)
        return P


def entropy_weights(s: Tensor, present: Tensor) -> Tensor:
    """w (batch, modality) of unimodal logits (batch, modality, class): softmax(-entropy) over what is present."""
    log_p = s.float().log_softmax(-1)
    certainty = torch.where(present, (log_p.exp() * log_p).sum(-1).exp(), 0.0)  # e^(-entropy): 1 / C .. 1
    return certainty / certainty.sum(1, keepdim=True).clamp(min=1e-8)


def remove_direction(P: Tensor, r: Tensor, alpha: float) -> Tensor:
    """P (width, width) less the direction r (width,), by a step of recursive least squares."""
    k = P @ r
    return P - torch.outer(k, k) / (alpha + r @ k)
