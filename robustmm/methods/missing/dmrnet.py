"""dmrnet: Decoupled Multimodal Representation Network (Wei, Luo, Luo; ECCV 2024, arXiv 2407.04458).

    K      = a random non-empty combination of what the sample has
    mu, logvar = BN(linear([z_1;..;z_M] less what K lacks));   r = mu + eps exp(logvar / 2) in training, mu otherwise
    KL     = mean over samples of 1/2 sum_d (var + mu^2 - log(var + 1e-8) - 1)
    L      = CE(head(r), y) + kl KL + hard 1/B sum over samples with a hard K of CE(head(mu), y)

Every combination is a distribution instead of a point that is forced onto the full one. For the first `warmup` of the
epochs the mean variance of each combination is gathered; afterwards those above the mean over all combinations met
are hard.

What differs: the published code lists its hard combinations by hand, and its audio-visual trainer answers the last term
from the same drawn r as the first; here it is answered from mu, the deterministic path that the paper describes. Above
five modalities combinations of one size are judged together. Rows that have nothing take no part in batch statistics,
in the KL, or in what is hard.
"""

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from robustmm import distributed
from robustmm.config.options import EpochShare
from robustmm.methods.base import METHODS, Batch, Method, TrainingData, weighted_mean
from robustmm.methods.coalitions import EXACT
from robustmm.methods.combinations import draw_combination, subset_codes
from robustmm.model.fusion import Fusion
from robustmm.model.fusion_model import Embedding, FusionModel

Amount = Annotated[float, Field(ge=0)]


class ProbabilisticFusion(Fusion):
    """head(mu) of a combination's distribution; only m: the same layers on z_m and zeros."""

    def __init__(self, modalities: int, width: int, classes: int) -> None:
        super().__init__(modalities, width, classes)
        self.moments = nn.Linear(modalities * width, 2 * width)
        self.norm = nn.BatchNorm1d(2 * width)
        self.head = nn.Linear(width, classes)

    def forward(self, z: Tensor, present: Tensor) -> Tensor:
        """The deterministic answer, mu's; batch statistics are the running ones."""
        logits: Tensor = self.head(self.normalise(self.moments(z.flatten(1))).chunk(2, -1)[0])
        return logits

    def normalise(self, both: Tensor) -> Tensor:
        """Normalised with the running statistics, in training too: chained methods decode subsets of a batch."""
        norm = self.norm
        return F.batch_norm(both, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)

    def distribution(self, z: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """mu and logvar (batch, width) in training; rows with nothing present are normalised as in evaluation."""
        both = self.moments(z.flatten(1))
        rows = present.any(1).nonzero()[:, 0]
        self.norm.train(self.training and distributed.global_size(rows) > 1)
        seen = self.norm(both[rows]).float()  # first: autograd forbids running statistics that move after use
        mu, logvar = self.normalise(both).float().index_put((rows,), seen).chunk(2, -1)
        return mu, logvar


@METHODS.register("dmrnet")
class DMRNet(Method):
    """Modality dropout over distributions, with a second loss on the combinations that stay uncertain."""

    terms = ("fused", "divergence", "hard")
    grid = {"hard": (0.2, 1.0)}
    owns_fused = True
    spread: Tensor
    met: Tensor

    def __init__(self, *, kl: Amount = 1e-3, hard: Amount = 0.2, warmup: EpochShare = 0.05) -> None:
        super().__init__()
        self.kl, self.hard, self.warmup = kl, hard, warmup

    def setup(self, model: FusionModel, data: TrainingData) -> None:
        super().setup(model, data)
        M = len(model.modalities)
        model.place("fusion", ProbabilisticFusion(M, model.width, data.classes), by="dmrnet")
        kinds = 2**M if M <= EXACT else M + 1
        self.register_buffer("spread", torch.zeros(kinds, dtype=torch.float64))  # summed mean variances
        self.register_buffer("met", torch.zeros(kinds, dtype=torch.float64))  # how many samples

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        fusion = model.fusion
        assert isinstance(fusion, ProbabilisticFusion)
        kept = draw_combination(batch.present)
        mu, logvar = fusion.distribution(torch.where(kept.unsqueeze(-1), embedding.z, 0.0), kept)
        noise = distributed.draw_normal(mu) * (0.5 * logvar).exp() if self.training else 0.0
        some = kept.any(1).to(mu.dtype)
        kind = subset_codes(kept) if len(kept[0]) <= EXACT else kept.sum(1)
        if int(self.epoch) < self.count_epochs(self.warmup):
            self.add_variances(kind, logvar.detach())
            hard = torch.zeros_like(some)
        else:
            hard = hard_combinations(self.spread, self.met)[kind].to(mu.dtype)
        each = F.cross_entropy(fusion.head(mu), batch.target, reduction="none", weight=self.class_weight)
        return {
            "fused": self.cross_entropy(fusion.head(mu + noise), batch.target),
            "divergence": self.kl * weighted_mean(divergence(mu, logvar), some),
            "hard": self.hard * weighted_mean(each * hard, torch.ones_like(hard)),
        }

    @torch.no_grad()
    def add_variances(self, kind: Tensor, logvar: Tensor) -> None:
        """Adds the batch's variances to their combinations'."""
        each = F.one_hot(kind, len(self.met)).double()
        spread, met = distributed.sum_over_ranks(torch.stack([logvar.double().exp().mean(-1) @ each, each.sum(0)]))
        self.spread += spread
        self.met += met


def divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp logvar) || N(0, 1)) summed over the last axis, with the paper's guard of the logarithm."""
    var = logvar.exp()
    return 0.5 * (var + mu.square() - (var + 1e-8).log() - 1).sum(-1)


def hard_combinations(spread: Tensor, met: Tensor) -> Tensor:
    """Which combinations (kind,) have a mean variance above the mean over those met; "nothing" (0) never is."""
    level = spread / met.clamp(min=1)
    seen = met > 0
    seen[0] = False
    average = torch.where(seen, level, 0.0).sum() / seen.sum().clamp(min=1)
    return seen & (level > average)
