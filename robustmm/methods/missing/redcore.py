"""redcore: Relative Advantage Aware Cross-modal Representation Learning (Sun et al., AAAI 2024, arXiv 2312.10386).

    z_m  = mu_m + eps exp(logvar_m / 2) in training, mu_m otherwise        bottleneck; mu, logvar = linear(encoding)
    R_m  = m imputed by a cascade of residual autoencoders from [z_k; k != m], zeros where absent
    x_m  = z_m, or R_m where m is missing
    rec_m = mean over samples that have m and another modality of |R_m - z_m|^2, summed over features
    KL_m  = mean over samples with m of KL(N(mu_m, exp logvar_m) || N(0, 1))
    L    = CE(head([x_1;..;x_M])) + sum_m CE(g_m(x_m)) + kl sum_m KL_m + rec sum_m beta_m rec_m

    A_m <- (1 - rate) A_m + rate rec_m                                     a modality that no sample has keeps its A
    r_m  = (mean_k A_k - A_m) / mean_k A_k                                 relative advantage
    beta <- max(beta - eta r, 0.1), scaled to length 1                     every `every` steps, from the first

so that the modality whose imputation lags is supervised more. eta is multiplied by `growth` at every 500th step, the
first included: 0.15 from the start.

g_m are train-only linear classifiers. As in the authors' code they read x_m of every sample: the label supervises what
was imputed too, which nothing else but the fused term does. Gradients of rec_m reach both its sides. Nothing is dropped
in training: with complete data R_m is trained by rec_m only (use the recipe's modality dropout for more).

What differs: the recipe's encoders and two linear layers take the place of transformers; the autoencoders work at the
width of one modality, not of all others; KL is averaged over samples that have m, and has its factor 1/2, which the
authors' code leaves out: `kl` = 1.6e-3 is their 8e-4; eta stops growing after 20 times, when beta jumps anyway.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from robustmm import distributed
from robustmm.config.options import Positive
from robustmm.methods.base import METHODS, Batch, Method, TrainingData, weighted_mean
from robustmm.methods.bottleneck import VariationalBottleneck, divergence
from robustmm.methods.missing.translation import concat_others
from robustmm.model.fusion import Fusion, apply_mask
from robustmm.model.fusion_model import Embedding, FusionModel

Amount = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
FLOOR, PERIOD, GROWTHS = 0.1, 500, 20


class Imputation(Fusion):
    """A linear layer on all modalities, absent ones imputed from the present ones. Only m: z_m and what it imputes."""

    def __init__(self, modalities: int, width: int, classes: int, *, blocks: Positive = 3) -> None:
        super().__init__(modalities, width, classes)
        self.imputers = nn.ModuleList(
            ResidualAutoencoders((modalities - 1) * width, width, blocks)
            for _ in range(modalities if modalities > 1 else 0)
        )
        self.head = nn.Linear(modalities * width, classes)

    def forward(self, z: Tensor, present: Tensor) -> Tensor:
        return self.decode(self.fill_missing(z, self.impute(z), present))

    def impute(self, z: Tensor) -> Tensor:
        """R (batch, modality, width) of z, which is zero where absent; zeros if there are no others."""
        if self.modalities == 1:
            return torch.zeros_like(z)
        return torch.stack([imputer(concat_others(z, m)) for m, imputer in enumerate(self.imputers)], dim=1)

    def fill_missing(self, z: Tensor, imputed: Tensor, present: Tensor) -> Tensor:
        return torch.where(present.unsqueeze(-1), z, imputed)

    def decode(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(x.flatten(1))
        return logits


class ResidualAutoencoders(nn.Module):
    """x <- x + decode(encode(x)), `blocks` times, between a way in and a way out."""

    def __init__(self, given: int, width: int, blocks: int) -> None:
        super().__init__()
        half = max(1, width // 2)
        self.enter = nn.Linear(given, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(width, half), nn.ReLU(), nn.Linear(half, width)) for _ in range(blocks)
        )
        self.leave = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, given: Tensor) -> Tensor:
        x = self.enter(given)
        for block in self.blocks:
            x = x + block(x)
        imputed: Tensor = self.leave(x)
        return imputed


@METHODS.register("redcore")
class RedCore(Method):
    """Missing modalities are imputed; the one that is imputed worst is supervised most."""

    terms = ("fused", "unimodal", "bottleneck", "imputation")
    grid = {"rec": (0.15, 1.0)}
    average: Tensor
    beta: Tensor
    step: Tensor

    def __init__(
        self,
        *,
        kl: Amount = 1.6e-3,
        rec: Amount = 0.15,
        rate: Share = 0.7,
        eta: Amount = 0.1,
        growth: Annotated[float, Field(ge=1, le=10)] = 1.5,
        every: Positive = 3,
        blocks: Positive = 3,
    ) -> None:
        super().__init__()
        self.kl, self.rec, self.rate, self.eta, self.growth = kl, rec, rate, eta, growth
        self.every, self.blocks = every, blocks

    def setup(self, model: FusionModel, data: TrainingData) -> None:
        super().setup(model, data)
        M = len(model.modalities)
        model.place("bottleneck", VariationalBottleneck(M, model.width, norm=False), by="redcore")
        model.place("fusion", Imputation(M, model.width, data.classes, blocks=self.blocks), by="redcore")
        self.classifiers = nn.ModuleList(nn.Linear(model.width, data.classes) for _ in range(M))
        self.register_buffer("average", torch.zeros(M, dtype=torch.float64))
        self.register_buffer("beta", torch.ones(M, dtype=torch.float64))
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        fusion = model.fusion
        assert isinstance(fusion, Imputation)
        assert embedding.mean is not None
        assert embedding.logvar is not None
        z = apply_mask(embedding.z, batch.present)
        imputed = fusion.impute(z)
        x = fusion.fill_missing(z, imputed, batch.present)
        rec = self.reconstruction_loss(imputed, z, batch.present)
        kl = weighted_mean(divergence(embedding.mean.float(), embedding.logvar.float()), batch.present.float())
        unimodal = [self.cross_entropy(g(x[:, m]), batch.target) for m, g in enumerate(self.classifiers)]
        return {
            "fused": self.cross_entropy(fusion.decode(x), batch.target),
            "unimodal": torch.stack(unimodal).sum(),
            "bottleneck": self.kl * kl.sum(),
            "imputation": self.rec * (self.beta.to(rec.dtype) * rec).sum(),
        }

    def reconstruction_loss(self, imputed: Tensor, z: Tensor, present: Tensor) -> Tensor:
        """rec (modality,); the weights move by it before they are used, as in the authors' code."""
        known = present & (present.sum(1, keepdim=True) > 1)
        rec = weighted_mean((imputed - z).float().square().sum(-1), known.float())
        self.update_weights(
            distributed.sum_over_ranks(rec.detach().double()) / distributed.world_size(),
            distributed.sum_over_ranks(known.sum(0)) > 0,
        )
        return rec

    @torch.no_grad()
    def update_weights(self, rec: Tensor, seen: Tensor) -> None:
        """One step of A and, when it is time, of beta."""
        self.average.copy_(torch.where(seen, (1 - self.rate) * self.average + self.rate * rec, self.average))
        if int(self.step) % self.every == 0:
            eta = self.eta * self.growth ** min(1 + int(self.step) // PERIOD, GROWTHS)
            self.beta.copy_(update_beta(self.beta, relative_advantage(self.average), eta))
        self.step += 1


def relative_advantage(average: Tensor) -> Tensor:
    """r (modality,) of A (modality,), among the modalities that have been imputed; 0 for the others."""
    known = average > 0
    level = average.sum() / known.sum().clamp(min=1)
    return torch.where(known, (level - average) / level.clamp(min=1e-8), 0.0)


def update_beta(beta: Tensor, advantage: Tensor, eta: float) -> Tensor:
    """beta (modality,) after one step."""
    moved = (beta - eta * advantage).clamp(min=FLOOR)
    scaled: Tensor = moved / moved.norm()
    return scaled
