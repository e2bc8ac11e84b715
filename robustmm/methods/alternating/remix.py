"""remix: Data Remixing (Ma, Chen, Deng; ICML 2025, arXiv 2506.11550).

After a warm-up every sample is shown through one modality only, the one that the model finds harder, and a batch holds
one modality only, so that modalities cannot interfere.

    warm-up:  L = CE(fused) + alpha sum_m CE(g_m(z_m), y),   g_m: a linear head of its own, in training only
    before each later epoch, in evaluation mode, for each sample, p_m = softmax g_m(z_m):
    K_m       = sum_c p_mc log2(C p_mc)         certainty in bits: 0 where p is uniform, log2 C where it is one class
    the sample goes to argmin of K_m over the modalities that it has;  a batch is of samples that went to one m:
    L         = CE(decode(z, {m}), y) + gamma CE(g_m(z_m), y)

An epoch still has every sample once. Encoders of other modalities are not run, and do not move. `criterion` "truth"
takes p_m[y] for K_m: certainty counts what is certainly wrong as easy. After the warm-up the fusion never sees two
modalities at once, which a linear one bears; `full` is the share of samples that an epoch leaves as they are, in
batches of their own.

What differs: batches of all modalities are mixed at random, where the published code has all of one before all of the
next, so that an epoch ends on one of them (`order = "sequential"`); it runs the encoders of masked modalities, whose
batch statistics move. The warm-up is a share of the budget, there 10 of 60 epochs, and one epoch at least.
"""

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from robustmm.config.options import EpochShare
from robustmm.methods.base import METHODS, Batch, Method, TrainingData, Turn, read_heads, split_rows
from robustmm.model.fusion import apply_mask
from robustmm.model.fusion_model import Embedding, FusionModel

Amount = Annotated[float, Field(ge=0)]


@METHODS.register("remix")
class Remix(Method):
    """Each sample through its hardest modality only, in batches of one modality.

    `criterion`: "certainty" of the modality's own head, without labels, or the probability it gives to the "truth".
    """

    terms = ("fused", "unimodal")
    grid = {"alpha": (0.5, 1.0)}
    assigned: Tensor

    def __init__(
        self,
        *,
        warmup: EpochShare = 0.17,
        alpha: Amount = 0.5,
        gamma: Amount = 1.0,
        criterion: Literal["certainty", "truth"] = "certainty",
        order: Literal["interleaved", "sequential"] = "interleaved",
        full: Annotated[float, Field(ge=0, le=1)] = 0.0,
    ) -> None:
        super().__init__()
        self.warmup, self.alpha, self.gamma = warmup, alpha, gamma
        self.criterion, self.order, self.full = criterion, order, full

    def setup(self, model: FusionModel, data: TrainingData) -> None:
        super().setup(model, data)
        self.heads = nn.ModuleList(nn.Linear(model.width, data.classes) for _ in model.modalities)
        self.register_buffer("assigned", torch.zeros_like(data.target))  # the modality of each sample

    @property
    def is_warm(self) -> bool:
        """Whether this epoch belongs to the warm-up."""
        return int(self.epoch) < max(1, self.count_epochs(self.warmup))

    def arrange(self, order: Tensor, size: int) -> list[Turn]:
        if self.is_warm:
            return super().arrange(order, size)
        whole, remixed = order.tensor_split([round(self.full * len(order))])
        turns = super().arrange(whole, size) if len(whole) else []
        own = self.assigned.cpu()[remixed]
        for m in range(len(self.heads)):
            kept = torch.arange(len(self.heads)) == m
            group = remixed[own == m]
            turns += [Turn(rows, kept.expand(len(rows), -1)) for rows in split_rows(group, size) if len(rows)]
        if self.order == "interleaved":
            turns = [turns[i] for i in torch.randperm(len(turns)).tolist()]
        return turns

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        logits = read_heads(self.heads, apply_mask(embedding.z, batch.present))
        return {
            "fused": self.fused_loss(model, batch, embedding),
            "unimodal": (self.alpha if self.is_warm else self.gamma) * self.unimodal_losses(logits, batch).sum(),
        }

    def end_epoch(self, model: FusionModel, data: TrainingData) -> None:
        super().end_epoch(model, data)
        if not self.is_warm:
            self.assign_samples(model, data)

    @torch.no_grad()
    def assign_samples(self, model: FusionModel, data: TrainingData) -> None:
        """Measures every training sample's modalities, and assigns it to the hardest of those it has."""
        model.eval()
        for batch in data.samples():
            z = apply_mask(model.embed(batch.inputs), batch.present)
            logits = read_heads(self.heads, z).movedim(0, 1)
            truth = batch.target if self.criterion == "truth" else None
            self.assigned[batch.index] = find_hardest(logits, batch.present, truth)


def find_hardest(logits: Tensor, present: Tensor, target: Tensor | None = None) -> Tensor:
    """The modality (batch,) of the lowest K among those present, from logits (batch, modality, class); K is the
    certainty, or the probability of the target (batch,) where it is given."""
    if target is None:
        ease = certainty(logits)
    else:
        ease = logits.double().softmax(-1).gather(-1, target.view(-1, 1, 1).expand(*present.shape, 1)).squeeze(-1)
    return torch.where(present, ease, torch.inf).argmin(1)


def certainty(logits: Tensor) -> Tensor:
    """K in bits (..) of logits (.., class): log2 C less the entropy."""
    log_p = logits.double().log_softmax(-1)
    return math.log2(logits.shape[-1]) + (log_p.exp() * log_p).sum(-1) / math.log(2)
