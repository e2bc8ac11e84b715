"""ogm-ge: On-the-fly Gradient Modulation with Generalization Enhancement (Peng et al., CVPR 2022, arXiv 2203.15332).

The modality that answers best lowers the loss by itself and leaves the others' encoders little to learn from. Its own
encoder is slowed, and noise as large as the gradient gives back the randomness that slowing takes away.

    s_m   = W_m z_m + b / M                 other than additive fusions: the fusion's logits from m only
    c_m   = mean over the samples that have m of softmax(s_m)[y]
    rho_m = c_m / (mean over k != m of c_k)
    k_m   = 1 - tanh(alpha rho_m) if rho_m > 1, else 1
    g    <- k_m g + n,  n ~ N(0, std(g) + 1e-8),  for the gradient g of each weight of encoder m

from the share `begin` of the run's epochs to the share `end`, as published the first half. For two modalities this is
the paper's ratio of sums over the batch. A modality that no sample of the batch has takes no part; with one modality
nothing is modulated. Biases and norms are not modulated.

As published, only the kernels of two-dimensional convolutions (4-D tensors) count as an encoder's weights, wherever it
has any; an encoder without them, and every encoder under `kernels = false`, counts all its weight matrices. Then its
projection counts too: whatever one modality passes through before it meets the others is its encoder. A transformer
that cuts an image into patches by one convolution wants `kernels = false`.
"""

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from robustmm import distributed
from robustmm.config.options import EpochShare
from robustmm.methods.base import METHODS, Batch, Method, TrainingData
from robustmm.model.fusion import Additive
from robustmm.model.fusion_model import Embedding, FusionModel


@METHODS.register("ogm-ge")
class OGMGE(Method):
    """Encoders of modalities that outperform the others are slowed, and every encoder's gradient gets noise (`ge`)."""

    grid = {"alpha": (0.3, 0.8)}
    scales_gradients = True
    factor: Tensor

    def __init__(
        self,
        *,
        alpha: Annotated[float, Field(ge=0)] = 0.8,
        ge: bool = True,
        kernels: bool = True,
        begin: EpochShare = 0.0,
        end: EpochShare = 0.5,
    ) -> None:
        super().__init__()
        self.alpha, self.ge, self.kernels, self.begin, self.end = alpha, ge, kernels, begin, end

    def setup(self, model: FusionModel, data: TrainingData) -> None:
        super().setup(model, data)
        self.register_buffer("factor", torch.ones(len(model.modalities), dtype=torch.float64))

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        if self.is_modulating():
            self.factor.copy_(self.modulation_factors(unimodal_logits(model, embedding), batch))
        return super().losses(model, batch, embedding)

    def backward(self, model: FusionModel, losses: Mapping[str, Tensor]) -> None:
        super().backward(model, losses)
        if not self.is_modulating():
            return
        distributed.average_gradients(model.parameters())  # the noise is as large as the whole batch's gradient
        for name, factor in zip(model.modalities, self.factor.tolist(), strict=True):
            for weight in find_weights(model.encoders[name], model.projections[name], self.kernels):
                if weight.grad is not None and weight.grad.any():  # no sample has m: None, or zeros from other ranks
                    weight.grad = modulate_gradient(weight.grad, factor, self.ge)

    def is_modulating(self) -> bool:
        begin, end = self.count_epochs(self.begin), self.count_epochs(self.end)
        return len(self.factor) > 1 and begin <= int(self.epoch) < end

    def modulation_factors(self, logits: Tensor, batch: Batch) -> Tensor:
        """k (modality,) of logits (modality, batch, class)."""
        have = batch.present.T
        truth = batch.target.expand(have.shape).unsqueeze(-1)
        p = logits.double().softmax(-1).gather(-1, truth).squeeze(-1)
        score, count = distributed.sum_over_ranks(torch.stack([torch.where(have, p, 0.0).sum(1), have.sum(1).double()]))
        return factors(score / count.clamp(min=1), count > 0, self.alpha)


@torch.no_grad()
def unimodal_logits(model: FusionModel, embedding: Embedding) -> Tensor:
    """(modality, batch, class): the fusion's logits from each single modality, with its share of an additive bias."""
    M = len(model.modalities)
    each = torch.eye(M, dtype=torch.bool, device=embedding.z.device)
    logits = model.decode_subsets(embedding.z, each[:, None] & embedding.present)
    return logits - (1 - 1 / M) * model.fusion.bias if isinstance(model.fusion, Additive) else logits


def find_weights(encoder: nn.Module, projection: nn.Module, kernels: bool) -> list[nn.Parameter]:
    """The weights of an encoder that are modulated: its 4-D kernels where it has any, or all weight matrices."""
    found = [p for p in [*encoder.parameters(), *projection.parameters()] if p.ndim >= 2]
    convolutions = [p for p in found if p.ndim == 4]
    return convolutions if kernels and convolutions else found


def factors(score: Tensor, seen: Tensor, alpha: float) -> Tensor:
    """k (modality,) of mean true-class probabilities (modality,), among the modalities seen; 1 for the others."""
    score = torch.where(seen, score, 0.0)
    rivals = seen.sum() - 1
    rho = score / ((score.sum() - score) / rivals.clamp(min=1)).clamp(min=1e-8)
    return torch.where((rivals > 0) & (rho > 1), 1 - torch.tanh(alpha * rho), 1.0)


def modulate_gradient(gradient: Tensor, factor: float, ge: bool) -> Tensor:
    """k g, plus noise of the size of g itself and not of k g."""
    if not ge:
        return factor * gradient
    spread = gradient.std(correction=int(gradient.numel() > 1)) + 1e-8
    return factor * gradient + spread * torch.randn_like(gradient)
