"""The interface of a training method: a module beside the model, with five hooks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustmm import distributed
from robustmm.config.registry import Registry
from robustmm.model.fusion_model import Embedding, FusionModel

METHODS: Registry[type["Method"]] = Registry("method")


@dataclass
class Batch:
    """One step's samples."""

    inputs: Mapping[str, Tensor]  # by modality, (batch, *shape)
    present: Tensor  # (batch, modality) bool
    target: Tensor  # (batch,) int64
    index: Tensor  # (batch,) rows of the training split


class TrainingData(Protocol):
    """What a method may read of the training split. Nothing here reads valid or test."""

    modalities: tuple[str, ...]
    classes: int
    present: Tensor  # (samples, modality) bool
    target: Tensor  # (samples,) int64
    class_weight: Tensor | None  # (class,)

    def unimodal_logits(self) -> Tensor:
        """(samples, modality, class): the logits of frozen unimodal models on each training sample, trained with the
        same missing table and budget; zeros where the modality is missing."""
        ...

    def joint_answers(self, width: int) -> tuple[Tensor, Tensor]:
        """z (samples, modality, width), zeros where missing, and logits (samples, class) of a frozen model that was
        trained jointly on all modalities, with the same missing table and budget."""
        ...


class Method(nn.Module):
    """Plain joint training: the cross-entropy of the fused logits. A paper's method overrides the hooks it changes.

    Hyper-parameters are constructor keywords. Controller state that must survive a resume is a buffer.
    """

    terms: tuple[str, ...] = ("fused",)
    """The names `losses` returns: the log's columns."""
    owns_fused: bool = False
    """True where the fused term is not simply CE(decode(z, present), y): in a chain this method's fused term counts."""
    scales_gradients: bool = False
    """True where the method scales gradients, which Adam's normalisation cancels: the default becomes SGD."""

    corrupt: Mapping[str, Any] | None = None
    """The recipe's [corrupt] table, for a method that trains with noise; keys that the recipe gives go over it."""
    leaves: tuple[str, ...] = ()
    """Terms that this method leaves to another one of a chain, where that has a term of the same name."""

    grid: Mapping[str, tuple[Any, ...]] = {}
    """Options that a search tries, by name: two or three values each, the default among them."""
    chained: bool = False
    """Set on the members of a chain."""

    epoch: Tensor
    class_weight: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64))
        self.register_buffer("class_weight", None, persistent=False)

    def setup(self, model: FusionModel, data: TrainingData) -> None:
        """Called once, before the optimiser is built: train-only modules, teachers, a bottleneck on the model."""
        self.class_weight = data.class_weight

    def sample_weights(self, epoch: int) -> Tensor | None:
        """Sampling weights (samples,) for this epoch, or None for every sample once."""
        return None

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        """Named scalar terms, already weighted; their sum is the objective."""
        return {"fused": self.fused_loss(model, batch, embedding)}

    def backward(self, model: FusionModel, losses: Mapping[str, Tensor]) -> None:
        """Computes the gradients; hooks that `losses` placed on the embedding run here."""
        torch.stack(list(losses.values())).sum().backward()

    def end_epoch(self, model: FusionModel, data: TrainingData) -> None:
        """Called after each epoch: measure, update schedules. `self.epoch` counts the epochs done."""
        self.epoch += 1

    def fused_loss(self, model: FusionModel, batch: Batch, embedding: Embedding) -> Tensor:
        return self.cross_entropy(model.decode(embedding.z, batch.present), batch.target)

    def cross_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        """Mean cross-entropy over the samples of all ranks, class-weighted where the recipe asks for it; 0 if none."""
        weight = torch.ones_like(target, dtype=logits.dtype) if self.class_weight is None else self.class_weight[target]
        return weighted_mean(F.cross_entropy(logits, target, reduction="none"), weight.to(logits.dtype))

    def unimodal_losses(self, unimodal_logits: Tensor, batch: Batch) -> Tensor:
        """(modality,) cross-entropies of each modality's own logits (modality, batch, class), where it is present."""
        have = zip(unimodal_logits, batch.present.T, strict=True)
        return torch.stack([self.cross_entropy(logits[rows], batch.target[rows]) for logits, rows in have])


def gate(embedding: Embedding, factor: Tensor) -> None:
    """Multiplies the gradient that reaches each encoder by factor (modality,)."""
    if embedding.encoded.requires_grad:
        embedding.encoded.register_hook(lambda gradient: gradient * factor.unsqueeze(-1).to(gradient.dtype))


def weighted_mean(x: Tensor, weight: Tensor) -> Tensor:
    """sum of x w / sum of w over the samples (batch, ..) of all ranks; 0 where all weights are.

    Counted so that the average of the ranks' values, and of their gradients, is that of the whole batch.
    """
    summed = torch.where(weight > 0, x, 0.0).mul(weight).sum(0)
    return distributed.world_size() * summed / distributed.sum_over_ranks(weight.sum(0)).clamp(min=1e-8)
