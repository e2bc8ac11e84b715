"""cggm: Classifier-Guided Gradient Modulation (Guo, Jin, Chen, Zhao; NeurIPS 2024).

Side classifiers on detached features tell how fast each modality improves; encoders of those that improve slowly get
larger gradients, and a small loss turns the fusion's gradient towards theirs.

    p_m   = softmax c_m(sg z_m),  c_m: two layers, in training only, trained by sum_m CE(c_m(sg z_m), y)
    e_m   = accuracy of c_m;  d_m = its change since the step before
    B_m   = (sum_k d_k - d_m) / sum_k d_k;      gradient of encoder m times rho B_m;      the sum of B over m is M - 1
    G_m   = (p_m - Y)' h_m,   F_m = (p_f - Y)' z_m      (C, width), over samples with m; h_m: the hidden layer of c_m
    L     = CE(fused) + sum_m CE_m + weight / M sum_m (|B_m| - B_m cos(F_m, G_m))

The last term trains the fusion only: p_f is computed from detached z, and G_m is detached.

What differs. As published e_m is a batch's accuracy, so that d is mostly noise, and B, which is unbounded, often
negative: an encoder then climbs its loss. `stable`, the default and ours, takes the running mean (0.9) of the accuracy,
counts losses of it as no change, and keeps B within 0 .. M - 1; where nothing improves by 0.001 in all, B = (M - 1) / M
for all. `stable = false` is the raw rule. The published direction compares weights of last layers, one step late, where
the paper says gradients: here it is gradients, in the same step. One optimiser trains all. A modality that fewer than
eight samples of a batch have keeps its accuracy and gets (M - 1) / M. A single modality is not modulated.
"""

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from robustmm import distributed
from robustmm.methods.base import METHODS, Batch, Method, TrainingData, gate
from robustmm.model.fusion import apply_mask
from robustmm.model.fusion_model import Embedding, FusionModel

Amount = Annotated[float, Field(ge=0)]
EMA, FEWEST, LEAST = 0.9, 8, 1e-3


@METHODS.register("cggm")
class CGGM(Method):
    """Encoders of modalities whose side classifiers improve slowly get larger gradients."""

    terms = ("fused", "side", "direction")
    grid = {"weight": (0.2, 1.0)}
    scales_gradients = True
    accuracy: Tensor

    def __init__(self, *, rho: Annotated[float, Field(gt=0)] = 1.3, weight: Amount = 0.2, stable: bool = True) -> None:
        super().__init__()
        self.rho, self.weight, self.stable = rho, weight, stable

    def setup(self, model: FusionModel, data: TrainingData) -> None:
        super().setup(model, data)
        M, width = len(model.modalities), model.width
        self.hidden = nn.ModuleList(nn.Sequential(nn.Linear(width, width), nn.ReLU()) for _ in range(M))
        self.heads = nn.ModuleList(nn.Linear(width, data.classes) for _ in range(M))
        self.register_buffer("accuracy", torch.zeros(M, dtype=torch.float64))

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        z = apply_mask(embedding.z, batch.present).detach()
        h = torch.stack([layer(z[:, m]) for m, layer in enumerate(self.hidden)])
        logits = torch.stack([head(x) for head, x in zip(self.heads, h, strict=True)])  # (modality, batch, class)
        B = self.update_balance(logits.detach(), batch)
        if len(B) > 1:
            gate(embedding, self.rho * B)
        fused = model.decode(z, batch.present)
        return {
            "fused": self.fused_loss(model, batch, embedding),
            "side": self.unimodal_losses(logits, batch).sum(),
            "direction": self.weight * direction_loss(fused, z, logits.detach(), h.detach(), batch, B),
        }

    def update_balance(self, logits: Tensor, batch: Batch) -> Tensor:
        """B (modality,) of side logits (modality, batch, class); the accuracies move on."""
        have = batch.present.T
        right = (logits.argmax(-1) == batch.target) & have
        right, count = distributed.sum_over_ranks(torch.stack([right.sum(1), have.sum(1)]).double())
        measured = count >= FEWEST
        now = right / count.clamp(min=1)
        now = torch.lerp(now, self.accuracy, EMA) if self.stable else now
        now = torch.where(measured, now, self.accuracy)
        change, self.accuracy = now - self.accuracy, now
        return balance(change, measured, self.stable)


def balance(change: Tensor, measured: Tensor, stable: bool) -> Tensor:
    """B (modality,) of changes of accuracy (modality,), among the modalities measured; (M - 1) / M for the others."""
    M = int(measured.sum())
    even = torch.full_like(change, (len(change) - 1) / len(change))
    change = torch.where(measured, change.clamp(min=0) if stable else change, 0.0)
    total = change.sum()
    if M < 2 or (stable and total < LEAST):
        return even
    B = (total - change) / (total + 1e-8)
    return torch.where(measured, B.clamp(0, M - 1) if stable else B, even)


def direction_loss(fused: Tensor, z: Tensor, logits: Tensor, h: Tensor, batch: Batch, B: Tensor) -> Tensor:
    """1 / M sum_m (|B_m| - B_m cos(F_m, G_m)) over the modalities that the batch has, from fused logits (batch, class),
    z (batch, modality, width), and side logits and hidden layers (modality, batch, ..)."""
    truth, have = F.one_hot(batch.target, fused.shape[-1]), batch.present.T.unsqueeze(-1)
    side = torch.where(have, logits.float().softmax(-1) - truth, 0.0)
    shared = torch.einsum("bc,bmw->mcw", fused.float().softmax(-1) - truth, z.float())  # z is zero where absent
    toward = F.cosine_similarity(
        distributed.sum_with_gradient(shared).flatten(1),
        distributed.sum_over_ranks(torch.einsum("mbc,mbw->mcw", side, h.float())).flatten(1),
    )
    seen = distributed.sum_over_ranks(batch.present.sum(0)) > 0
    found: Tensor = torch.where(seen, (B.abs() - B * toward).to(fused.dtype), 0.0).mean()
    return found
