"""redcore: Relative advantage aware cross-modal representation (Sun, Zhang, Han, Ruan, Li; AAAI 2024).

    z_m  ~ N(mu_m, var_m), a variational embedding a modality; KL_m of it from N(0, 1)
    zhat_m = R_m([z_k; k != m]),  R_m a cascade of residual autoencoders          imputes m, where it is missing
    L    = CE(head([z_m or zhat_m])) + sum_m CE(s_m) + kl sum_m KL_m + rec sum_m beta_m L_m
    L_m  = squared error of zhat_m, summed over features, mean over the samples that have m and another modality
    A_m <- rate A_m + (1 - rate) L_m;   r_m = (mean_k A_k - A_m) / mean_k A_k      relative advantage
    beta <- beta - eta r, at least 0.1, scaled to length 1; every `every` steps;  eta times 1.5 every 500 steps

The modality whose imputation lags gets the larger weight. s_m: train-only linear heads on z_m. KL and CE_m count
present modalities only.

What differs: the variational encoders' transformers are the recipe's encoders; means travel through the imputation, the
target is taken without gradient, so that an embedding is not pulled towards what is easily imputed.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from robustmm import ranks
from robustmm.fusion import Fusion
from robustmm.methods.base import METHODS, Batch, Method, TrainingData, mean
from robustmm.methods.bottleneck import VariationalBottleneck
from robustmm.methods.cal import divergence
from robustmm.model import Embedding, FusionModel
from robustmm.options import Positive, Rate

Amount = Annotated[float, Field(ge=0)]
STEPS = 500
"""Steps after which eta grows."""


class Imputation(Fusion):
    """A linear layer on all embeddings, absent ones imputed from the present; only m: from m and its imputations."""

    def __init__(self, modalities: int, width: int, classes: int, blocks: int = 3) -> None:
        super().__init__(modalities, width, classes)
        self.enter = nn.ModuleList(nn.Linear(modalities * width, width) for _ in range(modalities))
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                nn.Sequential(nn.Linear(width, max(1, width // 2)), nn.ReLU(), nn.Linear(max(1, width // 2), width))
                for _ in range(blocks)
            )
            for _ in range(modalities)
        )
        self.head = nn.Linear(modalities * width, classes)

    def imputed(self, z: Tensor) -> Tensor:
        """zhat (batch, modality, width) of z, zero where absent; zhat_m does not see z_m."""
        others = ~torch.eye(self.modalities, dtype=torch.bool, device=z.device).unsqueeze(-1)
        made = []
        for m, (enter, blocks) in enumerate(zip(self.enter, self.blocks, strict=True)):
            x = enter((z * others[m]).flatten(1))
            assert isinstance(blocks, nn.ModuleList)
            for block in blocks:
                x = x + block(x)
            made.append(x)
        return torch.stack(made, dim=1)

    def forward(self, z: Tensor, present: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.where(present.unsqueeze(-1), z, self.imputed(z)).flatten(1))
        return logits


@METHODS.register("redcore")
class RedCore(Method):
    """Variational embeddings, and imputations that compete for weight."""

    terms = ("fused", "unimodal", "bottleneck", "imputation")
    weight: Tensor
    average: Tensor
    steps: Tensor

    def __init__(
        self,
        *,
        kl: Amount = 8e-4,
        rec: Amount = 0.15,
        rate: Rate = 0.7,
        eta: Amount = 0.1,
        growth: Annotated[float, Field(ge=1)] = 1.5,
        every: Positive = 3,
    ) -> None:
        super().__init__()
        self.kl, self.rec, self.rate, self.eta, self.growth, self.every = kl, rec, rate, eta, growth, every

    def setup(self, model: FusionModel, data: TrainingData) -> None:
        super().setup(model, data)
        M = len(model.modalities)
        model.place("bottleneck", VariationalBottleneck(M, model.width), by="redcore")
        model.place("fusion", Imputation(M, model.width, data.classes), by="redcore")
        self.heads = nn.ModuleList(nn.Linear(model.width, data.classes) for _ in range(M))
        self.register_buffer("weight", torch.full((M,), M**-0.5, dtype=torch.float64))
        self.register_buffer("average", torch.zeros(M, dtype=torch.float64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        fusion = model.fusion
        assert isinstance(fusion, Imputation)
        assert embedding.mean is not None
        assert embedding.logvar is not None
        z = torch.where(batch.present.unsqueeze(-1), embedding.z, 0.0)
        zhat = fusion.imputed(z)
        there = batch.present & (batch.present.sum(1, keepdim=True) > 1)
        lost = mean((zhat - z.detach()).square().sum(-1), there.to(z.dtype))  # (modality,)
        alone = torch.stack([head(z[:, m]) for m, head in enumerate(self.heads)])
        kl = mean(divergence(embedding.mean.float(), embedding.logvar.float()), batch.present.float())
        weighted = self.rec * (self.weight.to(lost.dtype) * lost).sum()
        self.adjust(ranks.total(lost.detach().double()) / ranks.world())
        return {
            "fused": self.cross_entropy(
                fusion.head(torch.where(batch.present.unsqueeze(-1), z, zhat).flatten(1)), batch.target
            ),
            "unimodal": self.unimodal(alone, batch).sum(),
            "bottleneck": self.kl * kl.sum(),
            "imputation": weighted,
        }

    def adjust(self, lost: Tensor) -> None:
        """One step of the average and, every few, of the weights."""
        self.average.copy_(lost if self.steps == 0 else self.rate * self.average + (1 - self.rate) * lost)
        self.steps += 1
        if int(self.steps) % self.every == 0:
            eta = self.eta * self.growth ** (int(self.steps) // STEPS)
            self.weight.copy_(adjusted(self.weight, self.average, eta))


def adjusted(weight: Tensor, average: Tensor, eta: float) -> Tensor:
    """The weights (modality,) after one step away from the relative advantages of the averages (modality,)."""
    level = average.mean().clamp(min=1e-8)
    moved = (weight - eta * (level - average) / level).clamp(min=0.1)
    scaled: Tensor = moved / moved.norm()
    return scaled
