"""mmpareto: MMPareto (Wei, Hu; ICML 2024, arXiv 2405.17730).

Unimodal losses help, but on an encoder their gradient may oppose that of the fused loss. Where it does, a convex
combination of least norm takes the place of the sum, as long as the sum was.

    L_f = CE(fused),   L_m = gamma CE(g_m(z_m), y)          g_m: a linear head of its own, in training only
    G, U: gradients of L_f and L_m on the weights of encoder m, projection included, as one vector
    <G, U> > 0    a = 1/2
    <G, U> <= 0   a = (|U|^2 - <G, U>) / (|G|^2 + |U|^2 - 2 <G, U>)
    h_p    = 2 a G_p + 2 (1 - a) U_p,    grad_p = rescale max(1, |G_p + U_p| / |h_p|) h_p     for each weight p

Without conflict this is `rescale` times the plain sum. With it the longer gradient weighs less, and the length of the
sum is given back weight by weight. Heads and fusion get the plain sum. L_k of another modality never reaches encoder m,
so one backward pass for L_f and one for the sum of L_m give all that is needed.

What differs: the ratio is cut at 10, since for nearly opposite gradients h is rounding, which the published code blows
up to full length; where G or U is zero, as for a modality that no sample of the batch has, their sum is taken as it is.
In a chain, G is the gradient of all other terms.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from robustmm import distributed
from robustmm.methods.base import METHODS, Batch, Method, TrainingData, list_encoders, read_heads
from robustmm.model.fusion import apply_mask
from robustmm.model.fusion_model import Embedding, FusionModel

LONGEST = 10.0


@METHODS.register("mmpareto")
class MMPareto(Method):
    """Fused and unimodal gradients are combined encoder by encoder, so that neither undoes the other."""

    terms = ("fused", "unimodal")
    grid = {"gamma": (1.0, 4.0)}
    scales_gradients = True

    def __init__(
        self, *, gamma: Annotated[float, Field(gt=0)] = 1.0, rescale: Annotated[float, Field(gt=0)] = 1.5
    ) -> None:
        super().__init__()
        self.gamma, self.rescale = gamma, rescale

    def setup(self, model: FusionModel, data: TrainingData) -> None:
        super().setup(model, data)
        self.heads = nn.ModuleList(nn.Linear(model.width, data.classes) for _ in model.modalities)

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        logits = read_heads(self.heads, apply_mask(embedding.z, batch.present))
        return {
            "fused": self.fused_loss(model, batch, embedding),
            "unimodal": self.gamma * self.unimodal_losses(logits, batch).sum(),
        }

    def backward(self, model: FusionModel, losses: Mapping[str, Tensor]) -> None:
        encoders = list_encoders(model)
        torch.stack([loss for term, loss in losses.items() if term != "unimodal"]).sum().backward(retain_graph=True)
        distributed.average_gradients(model.parameters())  # conflict is a property of the whole batch's gradients
        fused = [take_gradients(weights) for weights in encoders]
        losses["unimodal"].backward()
        distributed.average_gradients(model.parameters())
        for weights, shared in zip(encoders, fused, strict=True):
            own = take_gradients(weights)
            for weight, gradient in zip(weights, combine_gradients(shared, own, self.rescale), strict=True):
                weight.grad = gradient


def take_gradients(weights: Sequence[nn.Parameter]) -> list[Tensor]:
    """The gradients of these weights, zeros where there is none; they have none afterwards."""
    taken = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
    for weight in weights:
        weight.grad = None
    return taken


def combine_gradients(fused: Sequence[Tensor], own: Sequence[Tensor], rescale: float) -> list[Tensor]:
    """grad_p of the gradients of the fused loss and of a modality's own, for each weight of its encoder."""
    pairs = list(zip(fused, own, strict=True))
    sums = [torch.stack([(g * g).sum(), (u * u).sum(), (g * u).sum()]).double() for g, u in pairs]
    gg, uu, gu = torch.stack(sums).sum(0)
    if gg == 0 or uu == 0:
        return [g + u for g, u in pairs]
    share = 0.5 if gu > 0 else float((uu - gu) / (gg + uu - 2 * gu))
    return [restore_length(2 * share * g + 2 * (1 - share) * u, g + u, rescale) for g, u in pairs]


def restore_length(combined: Tensor, plain: Tensor, rescale: float) -> Tensor:
    """The combined gradient of one weight, at least as long as the plain sum, times `rescale`."""
    ratio = plain.norm() / (combined.norm() + 1e-12)
    restored: Tensor = rescale * ratio.clamp(1.0, LONGEST) * combined
    return restored
