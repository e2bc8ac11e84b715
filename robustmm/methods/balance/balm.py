"""balm: Balanced learning under missing modalities (BALM, CVPR 2026): feature calibration and gradient rebalancing.

    z'_m    = 2 sigmoid(E_m relu(D [z_1;..;z_M])) z_m, absent z being zero         calibration, exported with the model
    KL_m    = mean over samples that have m of KL(p_fused || p_m),   Delta_m = KL_m(last step) - KL_m(this step)
    coeff_m = (sum Delta - Delta_m) / sum Delta,   gradients of encoder m times rho coeff_m
    L       = CE(fused) + sum_m CE(p_m) + align / M sum_m |coeff_m cos(sg head_m, fusion_m)|

p_m is the answer of a train-only linear head to sg z_m, z before calibration. A modality's factor falls with its share
in the change of all, whichever way they move: the one that catches up with the fused answer fastest is slowed most, and
where all fall behind, the one that does so fastest. The last term takes the step before's coeff and the weights of head
and fusion, and trains the fusion only; fusions whose weights do not split by modality (gated, attention) go without it.

What differs, and why: coeff is unbounded where the Delta cancel, so it is kept within [0, 2] and is 1 where they sum to
less than 1e-6, on the first step and for a modality that has no other. The paper names gradients where its code takes
the cosine of weights; we follow the code.
"""

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from robustmm import distributed
from robustmm.methods.base import METHODS, Batch, Method, TrainingData, gate, read_heads
from robustmm.model.fusion import Concat, Fusion, Sum, apply_mask
from robustmm.model.fusion_model import Embedding, FusionModel

Amount = Annotated[float, Field(ge=0)]


class CalibratedFusion(Fusion):
    """The model's own fusion, of embeddings calibrated by each other: 2 sigmoid(e_m) z_m."""

    def __init__(self, inner: Fusion) -> None:
        super().__init__(inner.modalities, inner.width, inner.classes)
        flat = inner.modalities * inner.width
        hidden = max(1, flat // 4)
        self.inner = inner
        self.excite = nn.Sequential(nn.Linear(flat, hidden), nn.ReLU(), nn.Linear(hidden, flat))

    def forward(self, z: Tensor, present: Tensor) -> Tensor:
        e = self.excite(z.flatten(1)).unflatten(1, z.shape[1:])
        logits: Tensor = self.inner(2 * e.sigmoid() * z, present)
        return logits


@METHODS.register("balm")
class BALM(Method):
    """Encoders learn at rates set by how fast each modality approaches the fused answer."""

    terms = ("fused", "heads", "align")
    grid = {"rho": (1.0, 1.4)}
    scales_gradients = True
    last: Tensor
    coefficient: Tensor
    steps: Tensor

    def __init__(self, *, rho: Amount = 1.4, align: Amount = 0.3) -> None:
        super().__init__()
        self.rho, self.align = rho, align

    def setup(self, model: FusionModel, data: TrainingData) -> None:
        super().setup(model, data)
        M = len(model.modalities)
        model.place("fusion", CalibratedFusion(model.fusion), by="balm", wraps=True)
        self.heads = nn.ModuleList(nn.Linear(model.width, data.classes) for _ in range(M))
        self.register_buffer("last", torch.zeros(M, dtype=torch.float64))
        self.register_buffer("coefficient", torch.ones(M, dtype=torch.float64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        fused = model.decode(embedding.z, batch.present)
        encoded = apply_mask(embedding.encoded, batch.present).detach()
        unimodal = read_heads(self.heads, encoded)
        align = self.alignment(model)  # of the step before
        self.update_coefficients(fused.detach().double(), unimodal.detach().double(), batch.present)
        gate(embedding, self.rho * self.coefficient)
        return {
            "fused": self.cross_entropy(fused, batch.target),
            "heads": self.unimodal_losses(unimodal, batch).sum(),
            "align": self.align * align,
        }

    def update_coefficients(self, fused: Tensor, unimodal_logits: Tensor, present: Tensor) -> None:
        """This step's coefficients, from logits (batch, class) and (modality, batch, class)."""
        p, q = fused.log_softmax(-1), unimodal_logits.log_softmax(-1)
        kl = (p.exp() * (p - q)).sum(-1)  # (modality, batch)
        have = present.T
        summed, count = distributed.sum_over_ranks(
            torch.stack([torch.where(have, kl, 0.0).sum(1), have.sum(1).double()])
        )
        seen = count > 0
        now = torch.where(seen, summed / count.clamp(min=1), self.last)
        self.coefficient.copy_(coefficients(self.last - now if self.steps else torch.zeros_like(now)))
        self.last.copy_(now)
        self.steps += 1

    def alignment(self, model: FusionModel) -> Tensor:
        """mean_m |coeff_m cos(head_m, fusion_m)|."""
        assert isinstance(model.fusion, CalibratedFusion)
        inner = model.fusion.inner
        if not isinstance(inner, Concat | Sum):
            return self.coefficient.new_zeros((), dtype=torch.float32)
        heads = torch.stack([head.get_parameter("weight") for head in self.heads]).detach()
        cosine = F.cosine_similarity(heads.flatten(1), inner.weight.flatten(1), dim=1)
        return (self.coefficient.to(cosine.dtype) * cosine).abs().mean()


def coefficients(delta: Tensor) -> Tensor:
    """coeff (modality,) from Delta (modality,)."""
    whole = delta.sum()
    if len(delta) == 1 or whole.abs() < 1e-6:
        return torch.ones_like(delta)
    return ((whole - delta) / whole).clamp(0, 2)
