"""One-stage distillation's fusion: absent embeddings are hallucinated, streams translated into one another."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustmm.model.fusion import Fusion, draw_parameter


class Translation(Fusion):
    """logits = W mean_k j_k + b, where j_k = [T_1(x_k);..;T_M(x_k)] is stream k in every modality's terms and

    x_k = z_k, or E_k([z_l; l != k]) where k is absent; T_m = relu(linear), one per modality, shared by all streams.

    Only m: every other stream is hallucinated from z_m.
    """

    def __init__(self, modalities: int, width: int, classes: int) -> None:
        super().__init__(modalities, width, classes)
        self.hallucinators = nn.ModuleList(
            nn.Sequential(nn.Linear((modalities - 1) * width, width), nn.ReLU(), nn.Linear(width, width))
            for _ in range(modalities if modalities > 1 else 0)
        )
        self.weight = draw_parameter(modalities, width, width, fan_in=width)
        self.bias = draw_parameter(modalities, width, fan_in=width)
        self.head = nn.Linear(modalities * width, classes)

    def forward(self, z: Tensor, present: Tensor) -> Tensor:
        logits: Tensor = self.head(self.translate_streams(self.fill_missing(z, self.hallucinate(z), present)).mean(1))
        return logits

    def hallucinate(self, z: Tensor) -> Tensor:
        """(batch, modality, width): each modality from the others in z, which is zero where absent."""
        if self.modalities == 1:
            return torch.zeros_like(z)
        return torch.stack([net(concat_others(z, m)) for m, net in enumerate(self.hallucinators)], dim=1)

    def fill_missing(self, z: Tensor, hallucinated: Tensor, present: Tensor) -> Tensor:
        return torch.where(present.unsqueeze(-1), z, hallucinated)

    def translate_streams(self, x: Tensor) -> Tensor:
        """j (batch, stream, modality * width) of the streams x (batch, stream, width)."""
        return F.relu(torch.einsum("bkw,mvw->bkmv", x, self.weight) + self.bias).flatten(2)


def concat_others(z: Tensor, m: int) -> Tensor:
    """[z_k; k != m] (batch, (modality - 1) * width) of z (batch, modality, width)."""
    return torch.cat([z[:, :m], z[:, m + 1 :]], dim=1).flatten(1)
