"""qmf: Quality-aware Multimodal Fusion (Zhang, Wu, Zhang, Hu, Fu, Zhou, Peng; ICML 2023).

    s_m = W_m z_m + b_m,   c_m = logsumexp(s_m) / 10                                  energy as confidence
    f   = sum over present m of c_m s_m
    L   = CE(f) + sum_m CE(s_m) + rank sum_m R_m
    R_m = mean over neighbours i, j of max(0, t (c_i - c_j) + |kappa_i - kappa_j|),  t = sign(kappa_i - kappa_j)

kappa: each training sample's cross-entropies of m summed over the run so far, scaled to [0, 1] over the training set;
neighbours are consecutive samples of the batch that have m, the last with the first. A sample that was harder all along
must not be the more confident one. "Only m" is c_m s_m.

What differs, and why: `margin = "compat"` is what the published code computes, with - |kappa_i - kappa_j|: the sign of
the target was flipped and that of the margin was not, so that it relaxes what the paper tightens. The history is
written before it is ranked, so that the first batch is no division of 0 by 0. `detach_confidence` stops the gradient
of f at c_m, as the published text-image code does. Ranks pair neighbours within their own share of a batch.
"""

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from robustmm import distributed
from robustmm.methods.base import METHODS, Batch, Method, TrainingData
from robustmm.model.fusion import Additive, draw_parameter
from robustmm.model.fusion_model import Embedding, FusionModel


class EnergyFusion(Additive):
    """sum over present m of c_m s_m, with c_m the energy of s_m over 10."""

    def __init__(self, modalities: int, width: int, classes: int, *, detach: bool = False) -> None:
        super().__init__(modalities, width, classes)
        self.detach = detach
        self.weight = draw_parameter(modalities, classes, width, fan_in=width)
        self.biases = draw_parameter(modalities, classes, fan_in=width)
        self.register_buffer("bias", torch.zeros(classes), persistent=False)

    def unimodal_logits(self, z: Tensor) -> Tensor:
        """s (batch, modality, class)."""
        return torch.einsum("bmw,mcw->bmc", z, self.weight) + self.biases

    def terms(self, z: Tensor) -> Tensor:
        s = self.unimodal_logits(z)
        c = energy(s)
        return (c.detach() if self.detach else c).unsqueeze(-1) * s


@METHODS.register("qmf")
class QMF(Method):
    """Late fusion weighted by energy, with confidences ranked as the samples' difficulty."""

    terms = ("fused", "unimodal", "rank")
    grid = {"rank": (0.1, 1.0)}
    history: Tensor
    have: Tensor

    def __init__(
        self,
        *,
        rank: Annotated[float, Field(ge=0)] = 0.1,
        margin: Literal["paper", "compat"] = "paper",
        detach_confidence: bool = False,
    ) -> None:
        super().__init__()
        self.rank, self.margin, self.detach_confidence = rank, margin, detach_confidence

    def setup(self, model: FusionModel, data: TrainingData) -> None:
        super().setup(model, data)
        M = len(model.modalities)
        model.place("fusion", EnergyFusion(M, model.width, data.classes, detach=self.detach_confidence), by="qmf")
        self.register_buffer("history", torch.zeros(len(data.target), M))
        self.register_buffer("have", data.present, persistent=False)

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        assert isinstance(model.fusion, EnergyFusion)
        z = torch.where(batch.present.unsqueeze(-1), embedding.z, 0.0)
        s = model.fusion.unimodal_logits(z)
        self.update_history(s.detach(), batch)
        kappa, c = difficulty(self.history, self.have)[batch.index], energy(s)
        pairs = [
            ranking_loss(c[rows, m], kappa[rows, m].to(c.dtype), 1 if self.margin == "paper" else -1)
            for m, rows in enumerate(batch.present.T)
        ]
        return {
            "fused": self.fused_loss(model, batch, embedding),
            "unimodal": self.unimodal_losses(s.movedim(1, 0), batch).sum(),
            "rank": self.rank * torch.stack(pairs).sum(),
        }

    def update_history(self, s: Tensor, batch: Batch) -> None:
        """Adds this step's cross-entropies to the history of the samples of all ranks."""
        ce = -s.float().log_softmax(-1).gather(-1, batch.target.view(-1, 1, 1).expand(-1, s.shape[1], 1)).squeeze(-1)
        added = torch.where(batch.present, ce, 0.0)
        self.history.index_add_(0, distributed.gather_rows(batch.index), distributed.gather_rows(added))


def energy(s: Tensor) -> Tensor:
    """logsumexp(s) / 10 over the last axis: how sure the logits are."""
    return s.logsumexp(-1) / 10


def difficulty(history: Tensor, have: Tensor) -> Tensor:
    """kappa: history (samples, modality) scaled to [0, 1] over the samples that have each; 0 where all are alike."""
    low = torch.where(have, history, torch.inf).amin(0)
    span = torch.where(have, history, -torch.inf).amax(0) - low
    return torch.where(have & (span > 0), (history - low) / span.clamp(min=1e-12), 0.0)


def ranking_loss(c: Tensor, kappa: Tensor, sign: int) -> Tensor:
    """R of one modality from confidences and difficulties (batch,) of the samples that have it."""
    if len(c) == 0:
        return c.sum()
    gap = kappa - kappa.roll(-1)
    hinge = F.relu(gap.sign() * (c - c.roll(-1)) + sign * gap.abs())
    return torch.where(gap != 0, hinge, 0.0).mean()
