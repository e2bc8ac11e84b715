"""dropout: modality dropout (ModDrop, Neverova et al., TPAMI 2016; uniform combinations as in DMRNet and MMANet).

    L = CE(decode(z, K), y),   K a non-empty subset of what the sample has

K is drawn anew for every sample and step: uniformly over all combinations, or, where `rate` is given, dropping each
modality with that probability, a sample that would lose everything keeping all it has.
"""

from torch import Tensor

from robustmm.config.options import Rate
from robustmm.methods.base import METHODS, Batch, Method
from robustmm.methods.combinations import draw_combination, drop_modalities
from robustmm.model.fusion_model import Embedding, FusionModel


@METHODS.register("dropout")
class Dropout(Method):
    """Joint training on a random subset of each sample's modalities."""

    owns_fused = True

    def __init__(self, *, rate: Rate | None = None) -> None:
        super().__init__()
        self.rate = rate

    def fused_loss(self, model: FusionModel, batch: Batch, embedding: Embedding) -> Tensor:
        kept = draw_combination(batch.present) if self.rate is None else drop_modalities(batch.present, self.rate)
        return self.cross_entropy(model.decode(embedding.z, kept), batch.target)
