"""mce: Modality Capability Enhancement (Zhao, Zhang, Zou; Pattern Recognition 172, arXiv 2510.10534).

E: what a sample has; N_m: how many samples have m; h'(S): every modality's token completed from S (completion.py), read
by the fused decoder dec; dec_m: a train-only decoder of h'_m.

    A_m   = N / N_m over the training split                                    dataset factor
    v(S)  = how many samples of the batch that have all of S the model gets right from S only
    phi_m = v({m}) / M + sum over S with m, |S| >= 2, of (|S|-1)! (M-|S|)! / M! [v(S) - v({m})]
    b_m   = max(0, c_m - phi_m) / N_m; c_m: how many a frozen unimodal model gets right         batch factor
    rec_m = sum over S of |h'_m(E) - h'_m(S)|_1 / (2^|E| - 1), where E has m and S has not
    L     = CE(dec(h'(E))) + rec sum_m A_m b_m rec_m + sep/M sum_m A_m b_m CE(dec_m(h'_m(E)))
                           + sub sum over S of CE(dec(h'(S))) / (2^|E| - 1)

S runs over the non-empty proper subsets of each sample's own E; means are first within a sample, then over the samples
that have any. |.|_1 is the mean over features; gradients flow through h'(E) too; dropped modalities are zeroed before
the interaction, as when the model is used. All subsets are one batch.

`normalisation = "released"`, the default, is that of both published trainers: rec and sub are divided by the number of
all non-empty subsets of E, sep is a mean over modalities. The published weights (1, 1, 1) mean these sizes, so it is
the one that their results can be held against. "mean" takes means over the S that count, and the sum over modalities:
rec is then 3 and 7/3 times as large for |E| = 2 and 3, sub 3/2 and 7/6 times, sep M times. dec and dec_m are linear
here, and small MLPs with dropout there.

What differs, and why: phi is no Shapley value, since it subtracts v({m}) where v(S - m) belongs, and credits the
weakest modality most; and its counts shrink where other modalities are missing, so that m looks neglected then.
`valuation = "shapley"` corrects both: the values of each sample's own game, v(nothing) = 0, and
b_m = clip(acc_m - mean |E| phi_m, 0, 1) over the samples that have m, so that only modalities used below their own
capability count. Above five modalities each sample draws `drawn` subsets, a single modality half of the time, and phi
is estimated over `orders` random orders.
"""

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from robustmm import distributed
from robustmm.config.options import Positive, Rate
from robustmm.methods.base import METHODS, Batch, Method, TrainingData, weighted_mean
from robustmm.methods.coalitions import coalitions, is_exact
from robustmm.methods.missing.completion import Completion
from robustmm.metrics.contribution import subset_masks
from robustmm.model.fusion_model import Coalitions, Embedding, FusionModel

Amount = Annotated[float, Field(ge=0)]


@METHODS.register("mce")
class MCE(Method):
    """Completion and subset prediction, weighted by each modality's unused capability."""

    terms = ("fused", "completion", "separate", "subset")
    grid = {"valuation": ("paper", "shapley")}
    correct: Tensor
    scarcity: Tensor

    def __init__(
        self,
        *,
        rec: Amount = 1.0,
        sep: Amount = 1.0,
        sub: Amount = 1.0,
        valuation: Literal["paper", "shapley"] = "paper",
        normalisation: Literal["released", "mean"] = "released",
        hidden: Positive | None = None,
        dropout: Rate = 0.1,
        drawn: Positive = 8,
        orders: Positive = 8,
    ) -> None:
        super().__init__()
        self.rec, self.sep, self.sub = rec, sep, sub
        self.valuation, self.normalisation = valuation, normalisation
        self.hidden, self.dropout, self.drawn, self.orders = hidden, dropout, drawn, orders

    def setup(self, model: FusionModel, data: TrainingData) -> None:
        super().setup(model, data)
        M = len(model.modalities)
        completion = Completion(M, model.width, data.classes, hidden=self.hidden, dropout=self.dropout)
        model.place("fusion", completion, by="mce")
        self.decoders = nn.ModuleList(nn.Linear(model.width, data.classes) for _ in range(M))
        right = data.unimodal_logits().argmax(-1) == data.target.unsqueeze(-1)
        self.register_buffer("correct", right & data.present)  # (samples, modality)
        self.register_buffer("scarcity", scarcity(data.present))

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        kept, proper = self.select_subsets(model, batch.present)
        fusion = model.fusion
        assert isinstance(fusion, Completion)
        completed = fusion.complete(embedding.z, kept)  # (K, batch, modality, width), everything present last
        logits = fusion.decode(completed)
        if is_exact(model):
            embedding.subset_logits = logits
        weight = self.scarcity * self.neglect(coalitions(model, embedding, self.orders), batch)
        weight = weight.to(completed.dtype)
        separate = [
            self.cross_entropy(decoder(completed[-1, rows, m]), batch.target[rows])
            for m, (decoder, rows) in enumerate(zip(self.decoders, batch.present.T, strict=True))
        ]
        released = self.normalisation == "released"
        lacking, own = subset_shares(batch.present) if released else (weight.new_ones(1), weight.new_ones(1))
        return {
            "fused": self.cross_entropy(logits[-1], batch.target),
            "completion": self.rec * (weight * completion_loss(completed, kept, proper, lacking)).sum(),
            "separate": self.sep * (weight * torch.stack(separate)).sum() / (len(weight) if released else 1),
            "subset": self.sub * subset_loss(logits, batch.target, proper, own, self.class_weight),
        }

    def select_subsets(self, model: FusionModel, present: Tensor) -> tuple[Tensor, Tensor]:
        """What is kept (K, batch, modality), all that is present last; and whether that is one of the S (K, batch): not
        empty, not all of E, and not met before."""
        if is_exact(model):
            masks = torch.from_numpy(subset_masks(present.shape[1])).to(present.device)[:, None]
            kept, own = masks & present, (masks <= present).all(-1)
        else:
            kept = torch.cat([draw_subsets(present, self.drawn), present[None]])
            own = torch.ones_like(kept[..., 0])
        return kept, own & kept.any(-1) & (kept != present).any(-1)

    @torch.no_grad()
    def neglect(self, game: Coalitions, batch: Batch) -> Tensor:
        """b (modality,), float64."""
        right = (game.logits.argmax(-1) == batch.target).double()  # (K, batch)
        capable = (self.correct[batch.index] & batch.present).double().sum(0)
        if self.valuation == "paper":
            whole = (game.masks[:, None] <= batch.present).all(-1)  # (K, batch): the sample has all of S
            used = paper_value((right * whole).sum(1), game)
        else:
            own = (game.masks[:, None] & batch.present).any(-1)  # v(nothing) = 0
            phi = (game.weights @ (right * own)).T  # (batch, modality), 0 for the absent
            used = (phi * batch.present.sum(1, keepdim=True)).sum(0)
        capable, used, count = distributed.sum_over_ranks(torch.stack([capable, used, batch.present.double().sum(0)]))
        b: Tensor = (capable - used) / count.clamp(min=1)
        return b.clamp(0, None if self.valuation == "paper" else 1)


def scarcity(present: Tensor) -> Tensor:
    """A_m = N / N_m (modality,) of a missing table (samples, modality); 0 for a modality that no sample has."""
    count = present.double().sum(0)
    return torch.where(count > 0, len(present) / count.clamp(min=1), 0.0)


def paper_value(v: Tensor, game: Coalitions) -> Tensor:
    """The paper's phi (modality,) from the values v (K,) of the coalitions."""
    M, unimodal = len(game.weights), v[game.singletons]
    joined = game.weights.clamp(min=0)  # (|S|-1)! (M-|S|)! / M! where m is in S; S = {m} adds nothing below
    return unimodal / M + joined @ v - joined.sum(1) * unimodal


def subset_shares(present: Tensor) -> tuple[Tensor, Tensor]:
    """Of the non-empty subsets of what each sample has, the shares that lack a given m of it, and that are proper."""
    every = 2.0 ** present.sum(1) - 1
    lacking = ((every - 1) / 2).clamp(min=0) / every.clamp(min=1)
    return lacking, 2 * lacking


def completion_loss(completed: Tensor, kept: Tensor, proper: Tensor, share: Tensor) -> Tensor:
    """rec (modality,) from h' (K, batch, modality, width) of the subsets kept (K, batch, modality), h'(E) last; the
    mean within each sample times its share (batch,)."""
    dropped = kept[-1] & ~kept & proper.unsqueeze(-1)
    gap = (completed[-1] - completed).abs().mean(-1)
    return nested_mean(gap * share.to(gap.dtype).unsqueeze(-1), dropped)


def subset_loss(logits: Tensor, target: Tensor, proper: Tensor, share: Tensor, class_weight: Tensor | None) -> Tensor:
    """sub, from logits (K, batch, class); the mean within each sample times its share (batch,)."""
    each = F.cross_entropy(logits.flatten(0, 1), target.repeat(len(logits)), reduction="none").view(proper.shape)
    weight = None if class_weight is None else class_weight[target]
    return nested_mean(each * share.to(each.dtype), proper, weight)


def nested_mean(x: Tensor, chosen: Tensor, weight: Tensor | None = None) -> Tensor:
    """Means of x (K, batch, ..) over the chosen of K, then over the samples that have any, weighted (batch,)."""
    count = chosen.sum(0)
    within = torch.where(chosen, x, 0.0).sum(0) / count.clamp(min=1)
    among = (count > 0).to(x.dtype)
    return weighted_mean(within, among if weight is None else among * weight)


def draw_subsets(present: Tensor, K: int) -> Tensor:
    """K subsets (K, batch, modality) of what each sample has: any; half of the time, and in place of the empty one, a
    single modality."""
    M = present.shape[1]
    drawn = present & (distributed.draw_uniform(present, K, M).movedim(1, 0) < 0.5)
    pick = torch.where(present, distributed.draw_uniform(present, K, M).movedim(1, 0), -1.0).argmax(-1)
    single = F.one_hot(pick, present.shape[1]).bool() & present
    lone = (distributed.draw_uniform(present, K).T < 0.5) | ~drawn.any(-1)
    return torch.where(lone.unsqueeze(-1), single, drawn)
