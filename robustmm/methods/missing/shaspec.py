"""shaspec: shared and specific features (Wang, Chen, Ma, Avery, Hull, Carneiro; CVPR 2023, arXiv 2307.14126).

One shared encoder reads every modality beside one specific encoder each; the shared features of those present stand in
for what is missing.

    r_m = E_sh(z_m),   t_m = E_m(z_m)                two-layer networks on the encoders' output
    f_m = r_m + P [r_m; t_m]                         m present; P is one linear layer for all, without bias
    f_m = mean of r_k over present k                 m missing
    L   = CE(W [f_1;..;f_M] + b) + alpha A + beta D
    A   = M mean over pairs k < m of E|r_k - r_m|    over samples that have both, mean over width
    D   = E CE(d(t_m), m)                            over all that is present; d: linear, M classes, in training only

Shared features are drawn together, specific ones told apart. For two and three modalities A is the paper's sum over the
ring (1,2), .., (M,1); above that all pairs on the ring's scale. In the first `full` of the run's epochs nothing is
dropped; afterwards every sample and step keeps a random number, 1 to all it has, of its modalities, drawn evenly.

What differs: there is published code for the segmentation of volumes only, which encodes, aligns and classifies the
zeros of missing inputs too, takes the first present modality instead of the mean, and drops one set for a whole batch.
Modalities here differ in form, so that the shared encoder reads embeddings of one width.
"""

from itertools import combinations
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from robustmm.config.options import EpochShare
from robustmm.methods.base import METHODS, Batch, Method, TrainingData, weighted_mean
from robustmm.methods.combinations import draw_by_number
from robustmm.model.fusion import Fusion, apply_mask
from robustmm.model.fusion_model import Embedding, FusionModel

Amount = Annotated[float, Field(ge=0)]


class SharedSpecific(Fusion):
    """A linear layer on [f_1;..;f_M], each slot filled by the modality itself or by what the present ones share.

    Only m: f_m in its own slot, r_m in all others; nothing: zeros.
    """

    def __init__(self, modalities: int, width: int, classes: int) -> None:
        super().__init__(modalities, width, classes)
        self.shared = two_layers(width)
        self.specific = nn.ModuleList(two_layers(width) for _ in range(modalities))
        self.project = nn.Linear(2 * width, width, bias=False)
        self.head = nn.Linear(modalities * width, classes)

    def forward(self, z: Tensor, present: Tensor) -> Tensor:
        return self.decode(*self.separate(z), present)

    def separate(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """r and t (batch, modality, width) of z (batch, modality, width)."""
        return self.shared(z), torch.stack([layers(z[:, m]) for m, layers in enumerate(self.specific)], dim=1)

    def decode(self, r: Tensor, t: Tensor, present: Tensor) -> Tensor:
        """Logits (batch, class) of r and t (batch, modality, width)."""
        count = present.sum(1).clamp(min=1).to(r.dtype).view(-1, 1, 1)
        stand_in = apply_mask(r, present).sum(1, keepdim=True) / count
        f = torch.where(present.unsqueeze(-1), r + self.project(torch.cat([r, t], dim=-1)), stand_in)
        logits: Tensor = self.head(f.flatten(1))
        return logits


@METHODS.register("shaspec")
class ShaSpec(Method):
    """Features that modalities share stand in for those that are missing."""

    terms = ("fused", "alignment", "domain")
    grid = {"alpha": (0.1, 1.0)}
    owns_fused = True

    def __init__(self, *, alpha: Amount = 0.1, beta: Amount = 0.02, full: EpochShare = 0.45) -> None:
        super().__init__()
        self.alpha, self.beta, self.full = alpha, beta, full

    def setup(self, model: FusionModel, data: TrainingData) -> None:
        super().setup(model, data)
        M = len(model.modalities)
        model.place("fusion", SharedSpecific(M, model.width, data.classes), by="shaspec")
        self.domain = nn.Linear(model.width, M)

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        fusion = model.fusion
        assert isinstance(fusion, SharedSpecific)
        is_full = int(self.epoch) < self.count_epochs(self.full)
        kept = batch.present if is_full else draw_by_number(batch.present)
        r, t = fusion.separate(apply_mask(embedding.z, kept))
        return {
            "fused": self.cross_entropy(fusion.decode(r, t, kept), batch.target),
            "alignment": self.alpha * alignment(r, kept),
            "domain": self.beta * self.domain_loss(t, kept),
        }

    def domain_loss(self, t: Tensor, present: Tensor) -> Tensor:
        """The cross-entropy of telling which modality each t (batch, modality, width) is of, over what is present."""
        M = present.shape[1]
        truth = torch.arange(M, device=t.device).expand(len(t), M)
        error = F.cross_entropy(self.domain(t).flatten(0, 1).float(), truth.flatten(), reduction="none")
        return weighted_mean(error, present.flatten().float())


def two_layers(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))


def alignment(r: Tensor, present: Tensor) -> Tensor:
    """A of r (batch, modality, width)."""
    M = r.shape[1]
    pairs = torch.tensor(list(combinations(range(M), 2)), device=r.device).view(-1, 2)
    if not len(pairs):
        return r.new_zeros(())
    first, second = pairs.unbind(1)
    both = present[:, first] & present[:, second]
    found: Tensor = M * weighted_mean((r[:, first] - r[:, second]).abs().mean(-1), both.to(r.dtype)).mean()
    return found
