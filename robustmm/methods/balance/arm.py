"""arm: Asymmetric Reinforcing against Multi-modal Representation Bias (Gao et al., AAAI 2025, arXiv 2501.01240).

Every modality is valued by its information on the label, by itself and given the others; the weak ones enter the fusion
enlarged, the weakest one's error counts, and samples that are not learned are drawn more often.

    nmi_m   = I(z_m; y) / log C,           I(z_m; y)        ~ log C - CE(m)
    ncmi_m  = I(z_m; y | rest) / log C,    I(z_m; y | rest) ~ CE(all but m) - CE(all),      both cut to [0, 1]
    pc_m    = p_f nmi_m + (mean over k != m of p_k) (nmi_m - ncmi_m),    at least 0;  EMA over steps
    scale_m = (1/2 + mean over k != m of pc_k) / (1/2 + pc_m); 1 for the first `warmup` of the epochs
    z~_m    = scale_m z_m, what the fusion sees
    L       = CE(fused) + lambda (max_m ncmi_m - min_m ncmi_m) - mu mean_m nmi_m          "information"
           or CE(fused) + lambda CE(argmin_m C_m)                                         "weakest"
           or CE(fused) + lambda (max_m C_m - min_m C_m)                                  "range"
    weight  = 1 + (3 if value < 0.5, 2 if value < 0.9, else 1),  value = p_f(y) if the answer is right, else 0

p_f, p_m = C_m: mean probability of the true class, from all and from m only; CE(nothing) = log C. Means over the
samples that have m; a modality that no sample has keeps its value.

What differs, and why. The published model scales by the labels of the very batch it predicts, at test time too; here
the scales are running means from training, constants in the exported file. Valuation is measured before the scaling, as
the published code values unscaled features: a scale must not read itself. Its histograms are replaced by variational
bounds, which need no bins and serve any number of modalities; for two, pc is the code's. Its ratio of pc has no bound:
one modality near 0 drives its own scale and the strong one's to whatever limit is set, here 5 and 1/5, and the fusion
then reads noise 25 times enlarged. With 1/2 on both sides scales keep the order of the ratios, and since pc is within 0
.. 2 they stay within 1/5 .. 5 by themselves. The min-max loss is not in the published code. "information", the default,
is what the paper's second figure says: narrow the conditional information, raise the information; nothing is cut to [0,
1] in it, where no gradient would pass. The other two are this project's reconstructions: beside two modalities that
know the class and one that is noise they let the good ones' contributions fall to 0. The code's value of a sample is
the mean of two Shapley values, at most 1/2, and never passes its own thresholds 0.5 and 0.9: here it is their sum,
which by efficiency is the value of all modalities together. It is taken from the training batches, so that no further
pass is needed.
"""

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from robustmm import distributed
from robustmm.config.options import EpochShare
from robustmm.methods.base import METHODS, Batch, Method, TrainingData, weighted_mean
from robustmm.methods.coalitions import unimodal_and_fused
from robustmm.model.fusion_model import Bottleneck, Embedding, FusionModel

PRIOR = 0.5


class Scaling(Bottleneck):
    """z~_m = scale_m z_m: constants that training moves."""

    scale: Tensor

    def __init__(self, modalities: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(modalities))

    def forward(self, encoded: Tensor, present: Tensor) -> Embedding:
        return Embedding(encoded * self.scale.unsqueeze(-1), present, encoded)

    def embed_one(self, encoded: Tensor, modality: int) -> Tensor:
        return encoded * self.scale[modality]


@METHODS.register("arm")
class ARM(Method):
    """Weak modalities enter the fusion enlarged. The min-max term is a reconstruction: it is not in the published code.

    `minmax`: "information", the error of the "weakest" modality only, or the "range" of how well they do; `weight` is
    its lambda, `mi` the mu of the first one.
    """

    terms = ("fused", "minmax")
    grid = {"weight": (0.1, 0.5)}
    contribution: Tensor
    worth: Tensor

    def __init__(
        self,
        *,
        minmax: Literal["weakest", "range", "information"] = "information",
        weight: Annotated[float, Field(ge=0)] = 0.5,
        mi: Annotated[float, Field(ge=0)] = 1.0,
        ema: Annotated[float, Field(ge=0, le=1)] = 0.9,
        warmup: EpochShare = 0.08,
        resample: bool = True,
    ) -> None:
        super().__init__()
        self.minmax, self.weight, self.mi = minmax, weight, mi
        self.ema, self.warmup, self.resample = ema, warmup, resample

    def setup(self, model: FusionModel, data: TrainingData) -> None:
        super().setup(model, data)
        self.register_buffer("contribution", torch.ones(len(model.modalities), dtype=torch.float64))
        self.register_buffer("worth", torch.zeros(len(data.target)))
        model.place("bottleneck", Scaling(len(model.modalities)), by="arm")

    def sample_weights(self, epoch: int) -> Tensor | None:
        if not self.resample or epoch < max(1, self.count_epochs(self.warmup)):  # every sample is seen once before
            return None
        return sampling_weights(self.worth)

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        unimodal, fused = unimodal_and_fused(model, embedding)
        self.update_contribution(model, batch, embedding)
        self.record_sample_values(fused.detach(), batch)
        return {
            "fused": self.cross_entropy(fused, batch.target),
            "minmax": self.minmax_loss(model, batch, embedding, unimodal, fused),
        }

    def minmax_loss(
        self, model: FusionModel, batch: Batch, embedding: Embedding, unimodal: Tensor, fused: Tensor
    ) -> Tensor:
        """The second term; what compares is 0 where there are no two to compare."""
        seen = distributed.sum_over_ranks(batch.present.sum(0)) > 0
        if self.minmax == "information":
            nmi, ncmi = self.information(model, batch, embedding, unimodal, fused)
            worst, best = find_extremes(ncmi, seen)
            return self.weight * (ncmi[best] - ncmi[worst]) - self.mi * nmi.sum() / seen.sum().clamp(min=1)
        C = self.mean_where_present(true_class_probability(unimodal, batch.target), batch)
        worst, best = find_extremes(C, seen)
        if self.minmax == "range":
            return self.weight * (C[best] - C[worst])
        return self.weight * self.unimodal_losses(unimodal, batch)[worst] * (worst != best)

    def information(
        self, model: FusionModel, batch: Batch, embedding: Embedding, unimodal: Tensor, fused: Tensor
    ) -> tuple[Tensor, Tensor]:
        """nmi and ncmi (modality,) with gradients, not cut; 0 for a modality that no sample has."""
        each = torch.eye(len(unimodal), dtype=torch.bool, device=fused.device)
        rest = ~each[:, None] & batch.present
        errors = [
            -torch.log_softmax(logits.float(), -1).gather(-1, batch.target.expand(logits.shape[:-1]).unsqueeze(-1))
            for logits in (unimodal, model.decode_subsets(embedding.z, rest), fused)
        ]
        alone, without, whole = (error.squeeze(-1) / math.log(model.fusion.classes) for error in errors)
        without = torch.where(rest.any(-1), without, 1.0)
        return self.mean_where_present(1 - alone, batch), self.mean_where_present(without - whole, batch)

    def mean_where_present(self, x: Tensor, batch: Batch) -> Tensor:
        """Class-weighted means (modality,) of x (modality, batch) over the samples that have each."""
        weight = torch.ones_like(x.T) if self.class_weight is None else self.class_weight[batch.target].unsqueeze(-1)
        return weighted_mean(x.T, torch.where(batch.present, weight, 0.0).to(x.dtype))

    @torch.no_grad()
    def update_contribution(self, model: FusionModel, batch: Batch, embedding: Embedding) -> None:
        """One step of pc; the next step scales by it. A modality that no sample of the batch has keeps its own."""
        M = len(model.modalities)
        each = torch.eye(M, dtype=torch.bool, device=embedding.z.device)
        masks = torch.cat([each, ~each, torch.ones_like(each[:1])])[:, None] & embedding.present
        p = true_class_probability(model.decode_subsets(embedding.encoded, masks).double(), batch.target)
        error = torch.where(masks.any(-1), -p.clamp(min=1e-8).log(), math.log(model.fusion.classes))
        p_all, error_all = p[-1:].expand(M, -1), error[-1:].expand(M, -1)
        measured = torch.stack([p[:M], p_all, error[:M], error[M:-1], error_all])  # (5, modality, batch)
        sums = torch.where(batch.present.T, measured, 0.0).sum(-1)
        found = distributed.sum_over_ranks(torch.cat([sums, batch.present.sum(0, keepdim=True)]))
        count = found[-1]
        seen = count > 0
        now = contributions(found[:-1] / count.clamp(min=1), seen, model.fusion.classes)
        moved = self.ema * self.contribution + (1 - self.ema) * now
        self.contribution.copy_(torch.where(seen, moved, self.contribution))
        if int(self.epoch) >= self.count_epochs(self.warmup) and isinstance(model.bottleneck, Scaling):
            # a new tensor: the backward pass still needs the one this step was scaled by
            model.bottleneck.scale = scales(self.contribution).to(model.bottleneck.scale)

    def record_sample_values(self, fused: Tensor, batch: Batch) -> None:
        right = fused.argmax(-1) == batch.target
        value = torch.where(right, true_class_probability(fused.float(), batch.target), 0.0)
        # of a sample drawn twice the lower value, whatever the order of writing
        self.worth.scatter_reduce_(
            0, distributed.gather_rows(batch.index), distributed.gather_rows(value), "amin", include_self=False
        )


def find_extremes(x: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Where x (modality,) is least and greatest among those seen, over all ranks; twice the same if fewer than two."""
    everyones = distributed.sum_over_ranks(x.detach())
    return torch.where(seen, everyones, torch.inf).argmin(), torch.where(seen, everyones, -torch.inf).argmax()


def true_class_probability(logits: Tensor, target: Tensor) -> Tensor:
    """Probability of the true class (.., batch) of logits (.., batch, class)."""
    return logits.softmax(-1).gather(-1, target.expand(logits.shape[:-1]).unsqueeze(-1)).squeeze(-1)


def contributions(means: Tensor, seen: Tensor, classes: int) -> Tensor:
    """pc (modality,) among the modalities seen, of means (5, modality): p_m, p_f, CE(m), CE(all but m), CE(all)."""
    p, p_all, ce, ce_rest, ce_all = means
    nmi = ((math.log(classes) - ce) / math.log(classes)).clamp(0, 1)
    ncmi = ((ce_rest - ce_all) / math.log(classes)).clamp(0, 1)
    valued: Tensor = p_all * nmi + mean_of_others(p, seen) * (nmi - ncmi)
    return valued.clamp(min=0)


def scales(contribution: Tensor) -> Tensor:
    """What each modality's z is multiplied by (modality,): the others' mean contribution over its own; 1 if single."""
    if len(contribution) == 1:
        return torch.ones_like(contribution)
    others = mean_of_others(contribution, torch.ones_like(contribution, dtype=torch.bool))
    return (PRIOR + others) / (PRIOR + contribution)


def mean_of_others(x: Tensor, seen: Tensor) -> Tensor:
    """The mean of x (modality,) over the other modalities seen; 0 if there are none."""
    known = torch.where(seen, x, 0.0)
    return (known.sum() - known) / (seen.sum() - seen.long()).clamp(min=1)


def sampling_weights(worth: Tensor) -> Tensor:
    """The weight of each sample in an epoch's draw: 1 plus one to three, more for a lower value (samples,)."""
    return 2.0 + (worth < 0.9) + (worth < 0.5)
