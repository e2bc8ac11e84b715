"""guarded: our own method, of no paper. It trains on corrupted inputs, with modalities dropped, and learns how far to
trust each modality of each sample.

    q_m  = sigmoid(a_m . relu(A_m sg z_m + b_m) + c_m)         quality of modality m on this sample
    z~_m = q_m z_m                                             what the fusion reads
    r_m  = 1 where argmax decode(z~, {m}) = y, else 0          whether m alone is right
    L    = CE(decode(z~, K), y) + gamma sum_m CE(decode(z~, {m}), y) + quality sum_m BCE(q_m, r_m)

K is what the sample has, less each modality with probability `rate`, never all. sg stops the gradient: the encoders
learn from answers, not from being judged. The inputs come corrupted from the recipe's [corrupt] table, by default every
corruption of the catalogue at levels up to 1 on half of the samples of each modality; the method sees none of it.

What q weighs: z_m, towards the zeros that `decode` puts in the place of an absent modality, so that with q_m = 0 the
fusions concat and sum and MCE's completion answer as if m were missing. q_m reads z_m alone and is learnt as the
probability that m alone is right; it is no probability beyond that. Exported: A, b, a and c, inside the embedding of
each modality (`model.bottleneck`, around the one that another method of a chain has placed before). Terms that end with
the run: all three.

In a chain the unimodal term is left to another method that has one; the fused term, with K, is this method's.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from robustmm.config.options import Rate
from robustmm.methods.base import METHODS, Batch, Method, TrainingData, weighted_mean
from robustmm.methods.coalitions import unimodal_and_fused
from robustmm.methods.combinations import drop_modalities
from robustmm.model.fusion_model import Bottleneck, Embedding, FusionModel

Amount = Annotated[float, Field(ge=0)]
TRUST = 3.0
"""What c starts from, q near 0.95: a small q at first would only slow the encoders down."""


class QualityBottleneck(Bottleneck):
    """z~_m = q_m z_m of what the bottleneck inside gives."""

    def __init__(self, inner: Bottleneck, modalities: int, width: int) -> None:
        super().__init__()
        self.inner = inner
        self.heads = nn.ModuleList(build_head(width) for _ in range(modalities))

    def forward(self, encoded: Tensor, present: Tensor) -> Embedding:
        found: Embedding = self.inner(encoded, present)
        q = torch.cat([self.logit(found.z[:, m], m) for m in range(len(self.heads))], dim=1)
        return replace(found, z=q.sigmoid().unsqueeze(-1) * found.z, quality=q)

    def embed_one(self, encoded: Tensor, modality: int) -> Tensor:
        z = self.inner.embed_one(encoded, modality)
        return self.logit(z, modality).sigmoid() * z

    def logit(self, z: Tensor, modality: int) -> Tensor:
        """log q / (1 - q) (batch, 1) of one modality's z (batch, width); its gradient does not reach z."""
        found: Tensor = self.heads[modality](z.detach())
        return found


def build_head(width: int) -> nn.Sequential:
    """z (batch, width) to the logit of its quality (batch, 1)."""
    first, last = nn.Linear(width, width), nn.Linear(width, 1)
    nn.init.constant_(last.bias, TRUST)
    return nn.Sequential(first, nn.ReLU(), last)


@METHODS.register("guarded")
class Guarded(Method):
    """Our own: training with noise and dropped modalities, each weighed by a learnt quality that is exported."""

    terms = ("fused", "unimodal", "quality")
    grid = {"gamma": (1.0, 4.0)}
    leaves = ("unimodal",)
    owns_fused = True
    corrupt: Mapping[str, Any] | None = {"probability": 0.5, "level": (0.0, 1.0)}

    def __init__(self, *, gamma: Amount = 4.0, rate: Rate = 0.2, quality: Amount = 1.0) -> None:
        super().__init__()
        self.gamma, self.rate, self.quality = gamma, rate, quality

    def setup(self, model: FusionModel, data: TrainingData) -> None:
        super().setup(model, data)
        wrapping = QualityBottleneck(model.bottleneck, len(model.modalities), model.width)
        model.place("bottleneck", wrapping, by="guarded", wraps=True)

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        unimodal, _ = unimodal_and_fused(model, embedding)
        assert embedding.quality is not None
        right = (unimodal.detach().argmax(-1) == batch.target).T  # (batch, modality)
        return {
            "fused": self.fused_loss(model, batch, embedding),
            "unimodal": self.gamma * self.unimodal_losses(unimodal, batch).sum(),
            "quality": self.quality * quality_loss(embedding.quality, right, batch.present),
        }

    def fused_loss(self, model: FusionModel, batch: Batch, embedding: Embedding) -> Tensor:
        kept = drop_modalities(batch.present, self.rate)
        return self.cross_entropy(model.decode(embedding.z, kept), batch.target)


def quality_loss(q: Tensor, right: Tensor, present: Tensor) -> Tensor:
    """sum_m BCE(q_m, r_m) over the samples that have m, of logits q and r, both (batch, modality)."""
    each = F.binary_cross_entropy_with_logits(q.float(), right.float(), reduction="none")
    return weighted_mean(each, present.float()).sum()
