"""unimodal: every modality learns by itself. The oldest baseline, and the source of most gains of balancing methods.

    L = gamma sum_m CE(decode(z, {m}), y), over the samples that have m

Unchained it trains one classifier a modality, and the fused answer adds up their logits: late fusion, so the fusion has
to be additive (concat, sum). `joint+unimodal` is CE(fused) + gamma sum_m CE_m, the baseline that every balancing method
should be compared with: gamma = 4 is what ARL and DGL weigh their unimodal terms with.
"""

from typing import Annotated

from pydantic import Field
from torch import Tensor

from robustmm.errors import UsageError
from robustmm.methods.base import METHODS, Batch, Method, TrainingData
from robustmm.methods.coalitions import unimodal_and_fused
from robustmm.model.fusion import Additive
from robustmm.model.fusion_model import Embedding, FusionModel


@METHODS.register("unimodal")
class Unimodal(Method):
    """One cross-entropy a modality, through the shared fusion from that modality only."""

    terms = ("unimodal",)
    grid = {"gamma": (1.0, 4.0)}

    def __init__(self, *, gamma: Annotated[float, Field(gt=0)] = 4.0) -> None:
        super().__init__()
        self.gamma = gamma

    def setup(self, model: FusionModel, data: TrainingData) -> None:
        super().setup(model, data)
        if not self.chained and not isinstance(model.fusion, Additive):
            raise UsageError("unimodal alone never trains the fusion, so it should be concat or sum; or joint+unimodal")

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        logits, _ = unimodal_and_fused(model, embedding)
        return {"unimodal": self.gamma * self.unimodal_losses(logits, batch).sum()}
