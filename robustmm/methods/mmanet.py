"""mmanet: Margin-aware distillation and Modality-Aware regularisation (Wei, Luo, Luo; CVPR 2023).

    K     = a random non-empty combination of what the sample has;   u = [z_1;..;z_M] less what K lacks
    L     = CE(decode(z, K), y) + mad MAD(u, t) + mar 1/B sum over samples with a weak K of CE(branch(z, K), y)
    MAD   = sum_ij (G(u)_ij - G(t)_ij)^2 H_j / sum_k H_k,   G(u) = u u' with rows scaled to length 1

t and H are a frozen teacher's embeddings and the entropies of its answers; it was trained jointly on everything.
Samples near its margin weigh most. The branch is a second fusion that dies with training. From epoch 2 to `begin` the
classes that each combination predicts are counted; KL(full || combination) of the counts, summed over those epochs,
names the weakest combination. It and all that it contains are weak, and the last two terms begin.

What differs: the paper ranks combinations on the validation set, we on training batches: a method here never sees any
other. MAD is a sum over B x B pairs in the paper, so its weight depends on the batch; ours is the mean over rows i,
scaled to a batch of 64, where `mad` = 30 is the paper's. Above five modalities only singletons and all-but-one are
ranked. Of several ranks each compares the samples of its own share."""

import copy
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from robustmm import ranks
from robustmm.contribution import subsets
from robustmm.fusion import masked
from robustmm.methods.base import METHODS, Batch, Method, TrainingData, mean
from robustmm.methods.coalitions import EXACT
from robustmm.methods.combinations import kept_at_random
from robustmm.model import Embedding, FusionModel

Amount = Annotated[float, Field(ge=0)]


@METHODS.register("mmanet")
class MMANet(Method):
    """Modality dropout, a teacher that saw everything, and a branch for the weakest combinations."""

    terms = ("fused", "distillation", "regularisation")
    owns_fused = True
    features: Tensor
    entropy: Tensor
    counts: Tensor
    gap: Tensor
    masks: Tensor

    def __init__(self, *, mad: Amount = 30.0, mar: Amount = 0.5, begin: Annotated[int, Field(ge=0)] = 5) -> None:
        super().__init__()
        self.mad, self.mar, self.begin = mad, mar, begin

    def setup(self, model: FusionModel, data: TrainingData) -> None:
        super().setup(model, data)
        M = len(model.modalities)
        self.branch = copy.deepcopy(model.fusion)
        for module in self.branch.modules():
            if callable(drawn_anew := getattr(module, "reset_parameters", None)):
                drawn_anew()
        z, logits = data.joint_answers(model.width)
        said = logits.log_softmax(-1)
        self.register_buffer("features", masked(z, data.present).flatten(1))  # (samples, modality * width)
        self.register_buffer("entropy", -(said.exp() * said).sum(-1))  # (samples,)
        self.register_buffer("masks", combinations(M), persistent=False)  # (combination, modality), all of them last
        self.register_buffer("counts", torch.zeros(len(self.masks), data.classes, dtype=torch.float64))
        self.register_buffer("gap", torch.zeros(len(self.masks), dtype=torch.float64))

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        kept = kept_at_random(batch.present)
        fused = self.cross_entropy(model.decode(embedding.z, kept), batch.target)
        epoch, z = int(self.epoch), masked(embedding.z, kept)
        if epoch < self.begin:
            if epoch > 0:
                self.count(model, batch, embedding)
            nothing = z.new_zeros(())
            return {"fused": fused, "distillation": nothing, "regularisation": nothing}
        weak = weakest(self.gap, self.masks)
        hard = (kept[:, None] == self.masks[weak]).all(-1).any(-1).to(z.dtype)
        each = F.cross_entropy(self.branch(z, kept), batch.target, reduction="none", weight=self.class_weight)
        distance = margin_aware(z.flatten(1), self.features[batch.index], self.entropy[batch.index])
        return {
            "fused": fused,
            "distillation": self.mad * distance,
            "regularisation": self.mar * mean(each * hard, torch.ones_like(hard)),
        }

    @torch.no_grad()
    def count(self, model: FusionModel, batch: Batch, embedding: Embedding) -> None:
        """Adds what each combination predicts for the batch."""
        logits = model.decode_subsets(embedding.z, self.masks[:, None] & batch.present)
        self.counts += ranks.total(F.one_hot(logits.argmax(-1), self.counts.shape[1]).double().sum(1))

    def end_epoch(self, model: FusionModel, data: TrainingData) -> None:
        super().end_epoch(model, data)
        if self.counts.sum() > 0:
            self.gap += divergence(self.counts)
            self.counts.zero_()


def combinations(M: int) -> Tensor:
    """Every non-empty subset (combination, modality); above five modalities each alone, all but each, and all."""
    if M <= EXACT:
        return torch.from_numpy(subsets(M)[1:])
    one = torch.eye(M, dtype=torch.bool)
    return torch.cat([one, ~one, torch.ones(1, M, dtype=torch.bool)])


def divergence(counts: Tensor) -> Tensor:
    """KL(full || combination) (combination,) of predicted-class counts (combination, class), the full one last."""
    p = (counts + 1e-8) / (counts + 1e-8).sum(1, keepdim=True)
    return (p[-1] * (p[-1].log() - p.log())).sum(1)


def weakest(gap: Tensor, masks: Tensor) -> Tensor:
    """Whether each combination (combination,) lies within the one whose gap is largest; none where there is no gap."""
    worst = masks[gap.argmax()]
    return (masks <= worst).all(1) & (gap.max() > 0)


def margin_aware(student: Tensor, teacher: Tensor, entropy: Tensor) -> Tensor:
    """MAD of features (batch, d) and (batch, d') and the teacher's entropies (batch,), per row, times 64."""
    if len(student) == 0:
        return student.sum()
    gram = [F.normalize(u @ u.T, dim=1, eps=1e-8) for u in (student, teacher)]
    weight = entropy / entropy.sum().clamp(min=1e-8)
    return 64 * ((gram[0] - gram[1]).square() * weight).sum(1).mean()
