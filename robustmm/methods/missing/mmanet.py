"""mmanet: Margin-aware distillation and Modality-Aware regularisation (Wei, Luo, Luo; CVPR 2023).

    K     = a random non-empty combination of what the sample has;   u = fused features of K, what the last layer reads
    L     = CE(decode(z, K), y) + mad MAD(u, t) + mar 1/B sum over samples with a weak K of CE(branch(z, K), y)
    MAD   = sum_ij (G(u)_ij - G(t)_ij)^2 H_j / sum_k H_k,   G(u) = u u' with rows scaled to length 1

t and H are a frozen teacher's fused features and the entropies of its answers; it was trained jointly on all
modalities. Samples near its margin weigh most. The branch is a second fusion, in training only. The last two terms set
in after the first `begin` of the epochs (the paper: from the 6th of 100). In those before, less the first and the last
of them, the classes that each combination predicts are counted; KL(combination || full) of the counts, summed over
these epochs, names the weakest combination: it and all that it contains are weak. Of fewer than three such epochs the
last one counts.

What differs: a linear fusion (concat, sum) has no features of its own: there u is [z_1;..;z_M] less what K lacks. The
paper ranks combinations on the validation set, we on training batches: a method here never sees any other; a
combination is judged by the samples that have something of it. The published code takes a further softmax of the class
shares, which all but levels them; we do not. MAD stays the paper's sum over B x B pairs: rows have length 1 and the
weights sum to 1, so a batch repeated twice has the same MAD, and `mad` = 30, set for batches of 64, keeps its meaning
at others. Above five modalities only singletons and all-but-one are ranked. Of several ranks each compares the samples
of its own share.
"""

import copy
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from robustmm import distributed
from robustmm.config.options import EpochShare
from robustmm.methods.base import METHODS, Batch, Method, TrainingData, weighted_mean
from robustmm.methods.coalitions import EXACT
from robustmm.methods.combinations import draw_combination
from robustmm.metrics.contribution import subset_masks
from robustmm.model.fusion import Fusion, apply_mask
from robustmm.model.fusion_model import Embedding, FusionModel

Amount = Annotated[float, Field(ge=0)]


@METHODS.register("mmanet")
class MMANet(Method):
    """Modality dropout, a teacher trained on all modalities, and a branch for the weakest combinations."""

    terms = ("fused", "distillation", "regularisation")
    grid = {"mad": (3.0, 30.0)}
    owns_fused = True
    features: Tensor
    entropy: Tensor
    counts: Tensor
    gap: Tensor
    masks: Tensor

    def __init__(
        self, *, mad: Amount = 30.0, mar: Amount = 0.5, begin: Annotated[EpochShare, Field(gt=0)] = 0.05
    ) -> None:
        super().__init__()
        self.mad, self.mar, self.begin = mad, mar, begin

    def setup(self, model: FusionModel, data: TrainingData) -> None:
        super().setup(model, data)
        M = len(model.modalities)
        self.branch = copy_reinitialised(model.fusion)
        blank = torch.zeros(1, M, model.width, device=data.present.device)
        features, logits = data.joint_answers(model.fusion.fuse(blank, torch.ones_like(data.present[:1])).shape[1])
        self.register_buffer("features", features)  # (samples, width of what is fused)
        self.register_buffer("entropy", entropy(logits))  # (samples,)
        self.register_buffer(
            "masks", all_combinations(M), persistent=False
        )  # (combination, modality), all of them last
        self.register_buffer("counts", torch.zeros(len(self.masks), data.classes, dtype=torch.float64))
        self.register_buffer("gap", torch.zeros(len(self.masks), dtype=torch.float64))

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        kept, now, begin = draw_combination(batch.present), int(self.epoch) + 1, self.count_epochs(self.begin)
        z = apply_mask(embedding.z, kept)
        fused = self.cross_entropy(model.decode(z, kept), batch.target)
        each = F.cross_entropy(self.branch(z, kept), batch.target, reduction="none", weight=self.class_weight)
        distance, weak = z.new_zeros(()), torch.zeros_like(kept[:, 0])
        if now > begin:
            fused_features = model.fusion.fuse(z, kept)
            distance = margin_aware_distance(fused_features, self.features[batch.index], self.entropy[batch.index])
            weak = kept.any(1) & (kept <= weakest_combination(self.gap, self.masks)).all(1)
        elif now in (range(2, begin) or [begin]):
            self.count_predictions(model, batch, embedding)
        return {
            "fused": fused,
            "distillation": self.mad * distance,
            "regularisation": self.mar * weighted_mean(each * weak, torch.ones_like(each)),
        }

    @torch.no_grad()
    def count_predictions(self, model: FusionModel, batch: Batch, embedding: Embedding) -> None:
        """Adds what each combination predicts for the samples that have something of it."""
        left = self.masks[:, None] & batch.present  # (combination, batch, modality)
        predicted = model.decode_subsets(embedding.z, left).argmax(-1)
        predicted = F.one_hot(predicted, self.counts.shape[1]).double() * left.any(-1, keepdim=True)
        self.counts += distributed.sum_over_ranks(predicted.sum(1))

    def end_epoch(self, model: FusionModel, data: TrainingData) -> None:
        super().end_epoch(model, data)
        self.gap += divergence(self.counts)
        self.counts.zero_()


def copy_reinitialised(fusion: Fusion) -> Fusion:
    """A copy with fresh weights: each parameter's initial values in another order, so drawn alike in any fusion."""
    own = copy.deepcopy(fusion)
    for parameter in own.parameters():
        parameter.data = parameter.data.flatten()[torch.randperm(parameter.numel())].view_as(parameter)
    return own


def all_combinations(M: int) -> Tensor:
    """Every non-empty subset (combination, modality); above five modalities single ones, all but each, and all."""
    if M <= EXACT:
        return torch.from_numpy(subset_masks(M)[1:])
    one = torch.eye(M, dtype=torch.bool)
    return torch.cat([one, ~one, torch.ones(1, M, dtype=torch.bool)])


def divergence(counts: Tensor) -> Tensor:
    """KL(combination || full) (combination,) of predicted-class counts (combination, class), the full one last; 0 for
    what was never met."""
    p = (counts + 1e-8) / (counts + 1e-8).sum(1, keepdim=True)
    return torch.where(counts.sum(1) > 0, (p * (p.log() - p[-1].log())).sum(1), 0.0)


def weakest_combination(gap: Tensor, masks: Tensor) -> Tensor:
    """The combination (modality,) whose gap is largest; nothing where there is no gap."""
    return masks[gap.argmax()] & (gap.max() > 0)


def entropy(logits: Tensor) -> Tensor:
    """(samples,) in nats, finite for a certain answer too."""
    p = logits.softmax(-1)
    return -(p * (p + 1e-8).log()).sum(-1).clamp(max=0)


def margin_aware_distance(student: Tensor, teacher: Tensor, entropy: Tensor) -> Tensor:
    """MAD of features (batch, d) and (batch, d') and the teacher's entropies (batch,)."""
    gram = [F.normalize(u.double() @ u.double().T, dim=1, eps=1e-8) for u in (student, teacher)]  # autocast leaves it
    weight = entropy / entropy.sum().clamp(min=1e-8)
    return ((gram[0] - gram[1]).square() * weight).sum().to(student.dtype)
