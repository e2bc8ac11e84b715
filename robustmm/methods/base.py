"""The interface of a training method: a module beside the model, with six hooks."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

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


class Turn(NamedTuple):
    """A batch to come: rows of the training split, and what is kept of each; None keeps all it has."""

    rows: Tensor  # (batch,) int64
    kept: Tensor | None = None  # (batch, modality) bool


class TrainingData(Protocol):
    """What a method may read of the training split. Nothing here reads valid or test."""

    modalities: tuple[str, ...]
    classes: int
    present: Tensor  # (samples, modality) bool
    target: Tensor  # (samples,) int64
    class_weight: Tensor | None  # (class,)
    epochs: int  # the run's budget

    def unimodal_logits(self) -> Tensor:
        """(samples, modality, class): the logits of frozen unimodal models on each training sample, trained with the
        same missing table and budget; zeros where the modality is missing."""
        ...

    def joint_answers(self, width: int) -> tuple[Tensor, Tensor]:
        """Fused features (samples, width), see Fusion.fuse, and logits (samples, class) of a frozen model that was
        trained jointly on all modalities, with the same missing table and budget."""
        ...

    def samples(self) -> Iterator[Batch]:
        """Every training sample once, in order and unchanged, in batches of a fixed size."""
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

    alone: bool = False
    """True where the method itself decides which parts learn in a step: nothing can be chained to it."""
    linear: bool = False
    """True for linear models on handcrafted features: they replace the recipe's encoders and fusion, and are solved for
    (see training.linear)."""
    grid: Mapping[str, tuple[Any, ...]] = {}
    """Options that a search tries, by name: two or three values each, the default among them."""
    chained: bool = False
    """Set on the members of a chain."""
    budget: int = 1
    """How many epochs the run has."""

    epoch: Tensor
    class_weight: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64))
        self.register_buffer("class_weight", None, persistent=False)

    def setup(self, model: FusionModel, data: TrainingData) -> None:
        """Called once, before the optimiser is built: train-only modules, teachers, a bottleneck on the model."""
        self.class_weight = data.class_weight
        self.budget = data.epochs

    def count_epochs(self, share: float) -> int:
        """How many whole epochs the first `share` of the run is: at least one unless it is 0."""
        return math.ceil(round(share * self.budget, 9))  # 0.07 * 100 is a little more than 7

    def sample_weights(self, epoch: int) -> Tensor | None:
        """Sampling weights (samples,) for this epoch, or None for every sample once."""
        return None

    def arrange(self, order: Tensor, size: int) -> list[Turn]:
        """The epoch's batches of about `size`, from the rows in the order that was drawn for it; called anew for every
        epoch. What a turn does not keep counts as missing there."""
        return [Turn(rows) for rows in split_rows(order, size)]

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


def split_rows(order: Tensor, size: int) -> list[Tensor]:
    """Rows in batches; a last one of a single row joins the one before it, since batch statistics need two."""
    parts = list(order.split(size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def list_encoders(model: FusionModel) -> list[list[nn.Parameter]]:
    """The learning parameters of each encoder with its projection."""
    parts = [(model.encoders[name], model.projections[name]) for name in model.modalities]
    return [[p for part in pair for p in part.parameters() if p.requires_grad] for pair in parts]


def read_heads(heads: Iterable[nn.Module], z: Tensor) -> Tensor:
    """Logits (modality, batch, class) of z (batch, modality, width), each modality's by its own head."""
    return torch.stack([head(z[:, m]) for m, head in enumerate(heads)])


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
