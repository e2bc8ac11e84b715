"""dgl: Disentangled Gradient Learning (Wei, Luo, Luo; ICCV 2025, arXiv 2507.10213).

A fused model's residual is smaller than any modality's own, for the others already explain the label, so encoders
trained through the fusion stop learning early; and unimodal losses disturb the fusion. Each part has its own loss:

    L = CE(h(sg z), y) + alpha sum_m CE(sg h(z_m), y)

h is the fusion, sg stops the gradient (to z in the first term, to the fusion's parameters in the second), z_m is z
with all others absent. The paper runs two backward passes and throws gradients away in between; this is the same in
one.

alpha multiplies all of an encoder's gradient, so it is a rate for the encoders, and under Adam does nothing.

What differs: the paper's gated variant detaches behind the gate's projections, which then learn from nothing at all;
here every fusion's parameters, its projections too, learn from the fused term.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from robustmm.methods.base import METHODS, Batch, Method
from robustmm.model.fusion_model import Embedding, FusionModel


@METHODS.register("dgl")
class DGL(Method):
    """Encoders learn from unimodal losses only, the fusion from the fused loss only."""

    terms = ("fused", "unimodal")
    grid = {"alpha": (1.0, 4.0)}
    owns_fused = True
    scales_gradients = True  # alpha multiplies all that an encoder gets

    def __init__(self, *, alpha: Annotated[float, Field(gt=0)] = 4.0) -> None:
        super().__init__()
        self.alpha = alpha

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        each = torch.eye(len(model.modalities), dtype=torch.bool, device=embedding.z.device)
        with freeze_parameters(model.fusion):
            unimodal = model.decode_subsets(embedding.z, each[:, None] & batch.present)
        fused = model.decode(embedding.z.detach(), batch.present)
        return {
            "fused": self.cross_entropy(fused, batch.target),
            "unimodal": self.alpha * self.unimodal_losses(unimodal, batch).sum(),
        }


@contextmanager
def freeze_parameters(module: nn.Module) -> Iterator[None]:
    """What is computed inside sends no gradient to the module's parameters, and through them to its inputs still."""
    learning = [p for p in module.parameters() if p.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
