"""agm: Adaptive Gradient Modulation (Li et al., ICCV 2023, arXiv 2308.07686).

Every fused prediction is a sum of what each modality adds to it, so each can be scored, and slowed, by itself:

    phi_m   = sum over S without m of |S|! (M-|S|-1)! / M! [f(S + m) - f(S)],  f({}) left out     (batch, class)
    s_m     = mean over the samples that have m of -log max(softmax(phi_m)[y], 1e-8)
    r_m     = exp(2 (mean_k s_k - s_m));   tau_m: the same of s's running means over all steps so far
    kappa_m = exp(alpha min(tau_m - r_m, 10))
    L       = CE(sum_m phi_m),   the gradient through phi_m multiplied by kappa_m, for the first `end` of the epochs

f(S): the fused logits with all but S absent. The sum of phi is f(all). With two modalities, phi_a = 1/2 [f(a,v) - f(v)
+ f(a)] and r_a = exp(s_v - s_a): 2 (mean_k s_k - s_a) is s_v - s_a, so one formula is both of the paper's. A modality
more dominant than usual is slowed, one less dominant is hastened. The running means take in a step after its kappa is
known; before the first, tau is 1: all modalities alike. A modality that no sample of a batch has is left out of that
step's means and keeps its own; a sample's absent modality adds its part of f({}).

What differs: modalities are masked between encoders and fusion, as everywhere here, and not as zeroed inputs in passes
of their own in evaluation mode: each encoder runs once, and BatchNorm as it is training. Above five modalities with a
fusion that is not additive, phi is estimated over `orders` random orders; its sum is f(all) still.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from robustmm import distributed
from robustmm.config.options import EpochShare, Positive
from robustmm.methods.base import METHODS, Batch, Method, TrainingData
from robustmm.methods.coalitions import all_coalitions, draw_coalitions, is_exact
from robustmm.model.fusion_model import Embedding, FusionModel

FLOOR = 1e-8


@METHODS.register("agm")
class AGM(Method):
    """The gradient through each modality's share of the prediction is scaled by how dominant it is against its past."""

    grid = {"alpha": (0.3, 1.0)}
    owns_fused = True
    scales_gradients = True
    usual: Tensor
    steps: Tensor

    def __init__(
        self,
        *,
        alpha: Annotated[float, Field(ge=0)] = 1.0,
        end: EpochShare = 0.2,
        orders: Positive = 8,
    ) -> None:
        super().__init__()
        self.alpha, self.end, self.orders = alpha, end, orders

    def setup(self, model: FusionModel, data: TrainingData) -> None:
        super().setup(model, data)
        self.register_buffer("usual", torch.zeros(len(model.modalities), dtype=torch.float64))  # running mean of s
        self.register_buffer("steps", torch.zeros(len(model.modalities), dtype=torch.int64))  # that had m

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        if int(self.epoch) >= self.count_epochs(self.end):
            return super().losses(model, batch, embedding)
        phi = shapley_logits(model, embedding, self.orders)
        kappa = self.update_coefficients(phi.detach(), batch).view(-1, 1, 1)
        if phi.requires_grad:
            phi.register_hook(lambda gradient: gradient * kappa)
        return {"fused": self.cross_entropy(phi.sum(0).float(), batch.target)}

    def update_coefficients(self, phi: Tensor, batch: Batch) -> Tensor:
        """kappa (modality,) of phi (modality, batch, class); then this step's s joins the running means."""
        have = batch.present.T
        truth = batch.target.expand(have.shape).unsqueeze(-1)
        error = -phi.softmax(-1).gather(-1, truth).squeeze(-1).clamp(min=FLOOR).log()
        error, count = distributed.sum_over_ranks(
            torch.stack([torch.where(have, error, 0.0).sum(1), have.sum(1).double()])
        )
        seen, s = count > 0, error / count.clamp(min=1)
        tau = dominance(self.usual, seen & (self.steps > 0))
        kappa = coefficients(tau, dominance(s, seen), self.alpha)
        self.steps += seen
        self.usual += torch.where(seen, (s - self.usual) / self.steps.clamp(min=1), 0.0)
        return kappa


def shapley_logits(model: FusionModel, embedding: Embedding, orders: int) -> Tensor:
    """phi (modality, batch, class), with gradients; in float64, which autocast does not cast."""
    M, device = len(model.modalities), embedding.z.device
    if is_exact(model):
        masks, weights, _ = all_coalitions(M)
        logits = model.subset_logits(embedding)
    else:
        masks, weights, _ = draw_coalitions(M, orders, int(torch.randint(2**31, ())))
        logits = model.decode_subsets(embedding.z, torch.from_numpy(masks).to(device)[:, None] & embedding.present)
    without_empty = torch.from_numpy(weights * masks.any(1)).to(device)
    return torch.einsum("mk,kbc->mbc", without_empty, logits.double())


def dominance(s: Tensor, among: Tensor) -> Tensor:
    """exp(2 (mean_k s_k - s_m)) (modality,) among some of the modalities; 1 for the others."""
    mean = torch.where(among, s, 0.0).sum() / among.sum().clamp(min=1)
    return torch.where(among, torch.exp(2 * (mean - s)), 1.0)


def coefficients(tau: Tensor, r: Tensor, alpha: float) -> Tensor:
    """exp(alpha min(tau - r, 10)): above 1 where a modality is less dominant than usual."""
    return torch.exp(alpha * (tau - r).clamp(max=10))
