"""A variational bottleneck between encoders and fusion."""

import torch
from torch import Tensor, nn

from robustmm import distributed
from robustmm.model.fusion_model import Bottleneck, Embedding


class VariationalBottleneck(Bottleneck):
    """mu_m, logvar_m = BN(linear(z_m)); z~_m = mu_m + eps exp(logvar_m / 2) in training, mu_m otherwise.

    Without `norm` there is no BN. In training, batch statistics are those of the samples that have m; below two
    samples, the running ones are used.
    """

    def __init__(self, modalities: int, width: int, *, norm: bool = True) -> None:
        super().__init__()
        self.parts = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 2 * width), *([nn.BatchNorm1d(2 * width)] if norm else []))
            for _ in range(modalities)
        )

    def forward(self, encoded: Tensor, present: Tensor) -> Embedding:
        both = torch.stack([self.moments(m, encoded[:, m], present[:, m]) for m in range(len(self.parts))], dim=1)
        mean, logvar = both.chunk(2, dim=-1)
        z = mean + distributed.draw_normal(mean) * (0.5 * logvar).exp() if self.training else mean
        return Embedding(z, present, encoded, mean, logvar)

    def embed_one(self, encoded: Tensor, modality: int) -> Tensor:
        mean: Tensor = self.parts[modality](encoded).chunk(2, dim=-1)[0]
        return mean

    def moments(self, m: int, z: Tensor, rows: Tensor) -> Tensor:
        """(batch, 2 width); zeros for the absent in training."""
        part = self.parts[m]
        if not self.training:
            both: Tensor = part(z)
            return both
        seen = rows.nonzero()[:, 0]
        part.train(distributed.global_size(seen) > 1)
        both = part(z[seen])
        return both.new_zeros(len(z), both.shape[1]).index_put((seen,), both)


def divergence(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, exp logvar) || N(0, 1)), summed over the last axis."""
    return 0.5 * (logvar.exp() + mean.square() - logvar - 1).sum(-1)
