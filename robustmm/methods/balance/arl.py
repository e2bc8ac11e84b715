"""arl: Asymmetric Representation Learning (Wei, Luo, Luo; ICCV 2025, arXiv 2507.10203).

The error of a fused prediction is smallest when it depends on each modality in inverse proportion to that modality's
variance, not evenly. The entropy of the unimodal answers estimates variance, their size dependence:

    H_m = mean entropy of softmax(s_m), divided by sum_k H_k, at least `floor`;   q_m = (1/H_m) / sum_k 1/H_k
    d_m = mean over samples of sum_c |s_mc|, divided by the sum over modalities
    w   = softmax(temperature M^2 / (4 (M - 1)) q_m (1 - d_m)) over modalities
    L   = CE(fused) + gamma sum_m CE(s_m),   gradient of encoder m times 1 + M/2 w_m

s_m: the shared fusion's logits from m only. For the first `warmup` of the run's epochs (the paper: 5 of 100) gamma is 1
and no gate acts. For two modalities this is the paper's softmax(T [d_v q_a, d_a q_v]) with 1 + w; the factors of M keep
the logits' range and the mean boost, and `floor` is 0.6 / M, the paper's 0.3 at M = 2 (at M >= 4 a floor of 0.3 would
make all H alike). Means are over the samples that have m; a modality that no sample has takes no part.

What differs: the published trainer computes w and never uses it, so that after the warm-up every encoder's gradient is
multiplied by 1.5: `uniform = true` is that. The paper is the default.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from robustmm import distributed
from robustmm.config.options import EpochShare
from robustmm.methods.base import METHODS, Batch, Method, gate
from robustmm.methods.coalitions import unimodal_and_fused
from robustmm.model.fusion_model import Embedding, FusionModel


@METHODS.register("arl")
class ARL(Method):
    """Unimodal terms, and encoders accelerated where the model depends too little on a certain modality."""

    terms = ("fused", "unimodal")
    grid = {"gamma": (1.0, 4.0)}
    scales_gradients = True

    def __init__(
        self,
        *,
        gamma: Annotated[float, Field(ge=0)] = 4.0,
        temperature: Annotated[float, Field(ge=0)] = 8.0,
        warmup: EpochShare = 0.05,
        uniform: bool = False,
    ) -> None:
        super().__init__()
        self.gamma, self.temperature, self.warmup, self.uniform = gamma, temperature, warmup, uniform

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        unimodal, fused = unimodal_and_fused(model, embedding)
        warm = int(self.epoch) < self.count_epochs(self.warmup)
        if not warm:
            boost = self.boost(unimodal.detach().double(), batch.present)
            gate(embedding, torch.full_like(boost, 1.5) if self.uniform else 1 + boost)
        return {
            "fused": self.cross_entropy(fused, batch.target),
            "unimodal": (1.0 if warm else self.gamma) * self.unimodal_losses(unimodal, batch).sum(),
        }

    def boost(self, unimodal_logits: Tensor, present: Tensor) -> Tensor:
        """M/2 w (modality,) of logits (modality, batch, class)."""
        have, p = present.T, unimodal_logits.log_softmax(-1)
        entropy = -(p.exp() * p).sum(-1)
        sums = [torch.where(have, x, 0.0).sum(1) for x in (entropy, unimodal_logits.abs().sum(-1))]
        H, d, count = distributed.sum_over_ranks(torch.stack([*sums, have.sum(1).double()]))
        return boosts(H / count.clamp(min=1), d / count.clamp(min=1), count > 0, self.temperature)


def boosts(entropy: Tensor, dependence: Tensor, seen: Tensor, temperature: float) -> Tensor:
    """M/2 w (modality,) from mean entropies and dependences (modality,), over the modalities seen; 0 for the others."""
    M = max(1, int(seen.sum()))
    H = torch.where(seen, entropy, 0.0)
    H = (H / H.sum().clamp(min=1e-8)).clamp(min=0.6 / M)
    q = torch.where(seen, 1 / H, 0.0)
    d = torch.where(seen, dependence, 0.0)
    score = (q / q.sum().clamp(min=1e-8)) * (1 - d / d.sum().clamp(min=1e-8))
    spread = M**2 / (4 * (M - 1)) if M > 1 else 1.0
    w = torch.where(seen, temperature * spread * score, -torch.inf).softmax(0)
    return torch.where(seen, M / 2 * w, 0.0)
