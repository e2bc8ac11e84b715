"""cal, our reconstruction: we could not obtain the paper's text.

Contribution-Guided Asymmetric Learning (arXiv 2510.26289) accelerates the modality that contributes most and compresses
the one that contributes least. We had its abstract and its reported results only: every equation, default and schedule
below is our reconstruction, and its numbers are not the paper's.

    u(S)  = log p_S(y)                   value of a subset S; u(nothing) = -log C
    phi_m = Shapley value of m under u, over each sample's present modalities, mean over samples that have m
    I_m   = relu(phi_m) / sum_k relu(phi_k)                                    information
    D_m   = (1 - H_m / log C) / sum_k (1 - H_k / log C)                        confidence; H_m: entropy, m unimodal
    W    <- ema W + (1 - ema) (mix I + (1 - mix) D)                            contribution
    g_m  <- g_m (1 + eta M/2 k_m),  k = softmax(sign temperature W)            gate on the gradient of encoder m
    z_m   = mu_m + eps exp(logvar_m / 2) in training, mu_m otherwise           bottleneck; mu, logvar = BN(linear)
    KL_m  = mean over samples with m, and over dimensions d, of 1/2 (var + mu^2 - logvar - 1)
    L     = CE(fused) + gamma sum_m CE(m only) + sum_m beta_m KL_m,  beta_m = beta M softmax(-beta_temperature W)_m

For the first `warmup` of the epochs the gate is open (factor 1), gamma is 1 and beta climbs linearly to its value. No
modality is ever slowed: sign = +1 accelerates the one that contributes most (CAL), -1 the one that contributes least,
as ARL and ARM would. beta = 0 leaves the bottleneck out; eta = 0 and beta = 0 together are joint training with unimodal
terms. beta weighs a mean over dimensions, so that it does not depend on the width: as a sum over 512 dimensions 0.1 is
2e-4, between the 1e-5 of DGL's run comments and the 1e-3 of DMRNet, and a visible share of the loss.
"""

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from robustmm import distributed
from robustmm.config.options import EpochShare
from robustmm.methods.base import METHODS, Batch, Method, TrainingData, gate, weighted_mean
from robustmm.methods.bottleneck import VariationalBottleneck, divergence
from robustmm.methods.coalitions import coalitions, unimodal_and_fused
from robustmm.model.fusion_model import Coalitions, Embedding, FusionModel

Amount = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Utility = Literal["log-prob", "prob", "accuracy"]
Confidence = Literal["entropy", "inverse-entropy", "true-class", "energy", "potential"]


@METHODS.register("cal")
class CAL(Method):
    """Our reconstruction: we could not obtain the paper's text.

    `confidence`: "inverse-entropy" as in ARL, "true-class" probability, "energy" as in QMF, or "potential", how fast
    u(m) still improves. `product` combines by I D instead of a mean. `compression` "linear": beta_m = beta (1 - W_m /
    max W). Where subsets are too many to decode (more than 5 modalities, fusion not additive), phi is estimated over
    `orders` random orders a step.
    """

    terms = ("fused", "unimodal", "bottleneck")
    grid = {"gamma": (1.0, 4.0)}
    scales_gradients = True
    contribution: Tensor
    fast: Tensor
    slow: Tensor

    def __init__(
        self,
        *,
        gamma: Amount = 4.0,
        eta: Amount = 1.0,
        temperature: Amount = 4.0,
        sign: Literal[1, -1] = 1,
        beta: Amount = 0.1,
        beta_temperature: Amount = 4.0,
        compression: Literal["softmax", "linear"] = "softmax",
        mix: Share = 0.5,
        product: bool = False,
        information: Utility = "log-prob",
        confidence: Confidence = "entropy",
        ema: Share = 0.9,
        warmup: EpochShare = 0.05,
        orders: Annotated[int, Field(ge=1)] = 8,
    ) -> None:
        super().__init__()
        self.gamma, self.eta, self.temperature, self.sign = gamma, eta, temperature, sign
        self.beta, self.beta_temperature, self.compression = beta, beta_temperature, compression
        self.mix, self.product, self.information, self.confidence = mix, product, information, confidence
        self.ema, self.warmup, self.orders = ema, warmup, orders

    def setup(self, model: FusionModel, data: TrainingData) -> None:
        super().setup(model, data)
        M = len(model.modalities)
        self.register_buffer("contribution", torch.full((M,), 1 / M, dtype=torch.float64))
        for name in ("fast", "slow"):  # EMAs of u(m) for "potential"
            self.register_buffer(
                name, torch.full((M,), chance_utility(self.information, data.classes), dtype=torch.float64)
            )
        if self.beta:
            model.place("bottleneck", VariationalBottleneck(M, model.width), by="cal")

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        unimodal, fused = unimodal_and_fused(model, embedding)
        self.update_contribution(coalitions(model, embedding, self.orders), batch)
        warm = int(self.epoch) < self.count_epochs(self.warmup)
        if not warm:
            gate(embedding, factors(self.contribution, self.temperature, self.eta, self.sign))
        return {
            "fused": self.cross_entropy(fused, batch.target),
            "unimodal": (1.0 if warm else self.gamma) * self.unimodal_losses(unimodal, batch).sum(),
            "bottleneck": self.bottleneck_loss(embedding),
        }

    def bottleneck_loss(self, embedding: Embedding) -> Tensor:
        """sum_m beta_m KL_m, over present samples; KL per dimension, so that beta does not depend on the width."""
        if embedding.mean is None or embedding.logvar is None:
            return embedding.z.new_zeros(())
        climb = min(1.0, (int(self.epoch) + 1) / max(1, self.count_epochs(self.warmup)))
        beta = betas(self.contribution, climb * self.beta, self.beta_temperature, self.compression)
        kl = divergence(embedding.mean.float(), embedding.logvar.float()) / embedding.mean.shape[-1]
        kl = weighted_mean(kl, embedding.present.float())
        return (beta.to(kl.dtype) * kl).sum()

    @torch.no_grad()
    def update_contribution(self, game: Coalitions, batch: Batch) -> None:
        """One step of W. A modality that no sample of the batch has keeps its W."""
        logits, C = game.logits.double(), game.logits.shape[-1]
        u = utility(logits, batch.target, self.information)
        u = torch.where((game.masks[:, None] & batch.present).any(-1), u, chance_utility(self.information, C))
        own = logits[game.singletons]
        sure = u[game.singletons] if self.confidence == "potential" else certainty(own, batch.target, self.confidence)
        measured = torch.stack([(game.weights @ u).T, sure.T])  # (2, batch, modality)
        sums = distributed.sum_over_ranks(
            torch.cat([torch.where(batch.present, measured, 0.0).sum(1), batch.present.sum(0, keepdim=True)])
        )
        seen = sums[2] > 0
        phi, level = sums[:2] / sums[2].clamp(min=1)
        if self.confidence == "potential":
            self.fast.copy_(torch.where(seen, 0.9 * self.fast + 0.1 * level, self.fast))
            self.slow.copy_(torch.where(seen, 0.99 * self.slow + 0.01 * level, self.slow))
            raw = self.fast - self.slow
        else:
            raw = confidences(torch.where(seen, level, 0.0), self.confidence, C)
        now = combine_scores(shares(phi, seen), shares(raw, seen), self.mix, self.product, seen)
        now = torch.where(seen, now * torch.where(seen, self.contribution, 0.0).sum(), self.contribution)
        self.contribution.copy_(self.ema * self.contribution + (1 - self.ema) * now)


def chance_utility(kind: Utility, classes: int) -> float:
    """u(nothing): the utility of a uniform guess."""
    return -math.log(classes) if kind == "log-prob" else 1 / classes


def utility(logits: Tensor, target: Tensor, kind: Utility) -> Tensor:
    """u (.., batch) of logits (.., batch, class)."""
    if kind == "accuracy":
        return (logits.argmax(-1) == target).to(logits.dtype)
    truth = target.expand(logits.shape[:-1]).unsqueeze(-1)
    log_p = logits.log_softmax(-1).gather(-1, truth).squeeze(-1)
    return log_p if kind == "log-prob" else log_p.exp()


def certainty(logits: Tensor, target: Tensor, kind: Confidence) -> Tensor:
    """The quantity behind confidence, (.., batch): an entropy, a true-class probability or an energy."""
    if kind == "true-class":
        return utility(logits, target, "prob")
    if kind == "energy":
        return logits.logsumexp(-1) / 10
    p = logits.log_softmax(-1)
    return -(p.exp() * p).sum(-1)


def confidences(certainty: Tensor, kind: Confidence, classes: int) -> Tensor:
    """D (modality,) before it is normalised, from batch means (modality,)."""
    if kind == "entropy":
        return 1 - certainty / math.log(classes)
    if kind == "inverse-entropy":
        return 1 / (certainty / certainty.sum().clamp(min=1e-8)).clamp(min=0.3)
    return certainty


def shares(x: Tensor, seen: Tensor) -> Tensor:
    """relu(x) / sum relu(x) over the modalities seen; uniform where the sum is below 1e-8."""
    positive = torch.where(seen, x.clamp(min=0), 0.0)
    uniform = seen / seen.sum().clamp(min=1)
    return torch.where(positive.sum() < 1e-8, uniform, positive / positive.sum().clamp(min=1e-8))


def combine_scores(information: Tensor, confidence: Tensor, mix: float, product: bool, seen: Tensor) -> Tensor:
    """mix I + (1 - mix) D, or I D renormalised."""
    return shares(information * confidence, seen) if product else mix * information + (1 - mix) * confidence


def factors(W: Tensor, temperature: float, eta: float, sign: int) -> Tensor:
    """1 + eta M/2 softmax(sign temperature W): what each encoder's gradient is multiplied by, never below 1."""
    return 1 + eta * len(W) / 2 * (sign * temperature * W).softmax(0)


def betas(W: Tensor, beta: float, temperature: float, compression: Literal["softmax", "linear"]) -> Tensor:
    """beta_m (modality,), in the reverse order of W; "softmax" has mean beta."""
    if compression == "linear":
        return beta * (1 - W / W.max())
    return beta * len(W) * (-temperature * W).softmax(0)
