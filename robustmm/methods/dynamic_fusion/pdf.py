"""pdf: Predictive Dynamic Fusion (Cao, Xia, Ding, Zhang, Hu; ICML 2024).

    s_m = W_m z_m + b_m,   p_m = softmax(s_m)
    t_m = sigmoid(three linear layers of sg z_m), taught the true-class probability of p_m       mono-confidence
    h_m = log prod_{k != m} t_k / log prod_k t_k                                                 holo-confidence
    f   = sum over present m of w_m s_m,   w = softmax over present m of sg (t_m + h_m) r_m
    r_m = min(1, DU_m / mean over k != m of DU_k),  DU_m = mean over classes of |p_mc - 1/C|     relative calibration
    L   = CE(f) + sum_m CE(s_m) + sum_m |t_m - sg p_m[y]|

sg stops the gradient: the networks of t learn from the last sum only. r is 1 in training, as published: calibration
acts on answers. For more than two modalities h_m is divided by how many others there are, so that it stays a share; a
modality that is the only one present has h = 0, weight 1.
"""

import torch
from torch import Tensor, nn

from robustmm.methods.base import METHODS, Batch, Method, TrainingData, weighted_mean
from robustmm.model.fusion import Fusion, draw_parameter
from robustmm.model.fusion_model import Embedding, FusionModel


class PredictiveFusion(Fusion):
    """sum over present m of w_m s_m, where w follows what the confidence networks predict."""

    def __init__(self, modalities: int, width: int, classes: int) -> None:
        super().__init__(modalities, width, classes)
        self.weight = draw_parameter(modalities, classes, width, fan_in=width)
        self.bias = draw_parameter(modalities, classes, fan_in=width)
        self.confidence = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, 1), nn.Sigmoid())
            for _ in range(modalities)
        )

    def unimodal_logits(self, z: Tensor) -> Tensor:
        """s (batch, modality, class)."""
        return torch.einsum("bmw,mcw->bmc", z, self.weight) + self.bias

    def mono_confidence(self, z: Tensor) -> Tensor:
        """t (batch, modality); its gradient does not reach z."""
        return torch.cat([net(z[:, m].detach()) for m, net in enumerate(self.confidence)], dim=1)

    def forward(self, z: Tensor, present: Tensor) -> Tensor:
        s, t = self.unimodal_logits(z), self.mono_confidence(z)
        belief = t + holo_confidence(t, present)
        if not self.training:
            belief = belief * calibration(s.softmax(-1), present)
        return (fusion_weights(belief.detach(), present).unsqueeze(-1) * s).sum(1)


@METHODS.register("pdf")
class PDF(Method):
    """Late fusion whose weights are predicted: how likely each modality is right, and how likely the others are."""

    terms = ("fused", "unimodal", "confidence")

    def setup(self, model: FusionModel, data: TrainingData) -> None:
        super().setup(model, data)
        model.place("fusion", PredictiveFusion(len(model.modalities), model.width, data.classes), by="pdf")

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        assert isinstance(model.fusion, PredictiveFusion)
        z = torch.where(batch.present.unsqueeze(-1), embedding.z, 0.0)
        s = model.fusion.unimodal_logits(z)
        truth = s.detach().softmax(-1).gather(-1, batch.target.view(-1, 1, 1).expand(-1, s.shape[1], 1)).squeeze(-1)
        off = (model.fusion.mono_confidence(z) - truth).abs()
        return {
            "fused": self.fused_loss(model, batch, embedding),
            "unimodal": self.unimodal_losses(s.movedim(1, 0), batch).sum(),
            "confidence": weighted_mean(off, batch.present.to(off.dtype)).sum(),
        }


def holo_confidence(t: Tensor, present: Tensor) -> Tensor:
    """h (batch, modality) from t (batch, modality): the others' part of log prod t."""
    surprise = torch.where(present, -t.clamp(1e-6, 1 - 1e-6).log(), 0.0)
    whole = surprise.sum(1, keepdim=True)
    others = (present.sum(1, keepdim=True) - 1).clamp(min=1)
    return torch.where(present, (whole - surprise) / whole.clamp(min=1e-6) / others, 0.0)


def calibration(p: Tensor, present: Tensor) -> Tensor:
    """r (batch, modality) from probabilities (batch, modality, class); 1 where there is no other."""
    certainty = torch.where(present, (p - 1 / p.shape[-1]).abs().mean(-1), 0.0)
    count = present.sum(1, keepdim=True) - 1
    others = (certainty.sum(1, keepdim=True) - certainty) / count.clamp(min=1)
    return torch.where(present & (count > 0), (certainty / others.clamp(min=1e-8)).clamp(max=1), 1.0)


def fusion_weights(belief: Tensor, present: Tensor) -> Tensor:
    """Softmax over the present (batch, modality); all 0 where nothing is."""
    weights = torch.where(present, belief, -1e4)
    weights = (weights - weights.amax(1, keepdim=True)).exp() * present
    return weights / weights.sum(1, keepdim=True).clamp(min=1e-8)
