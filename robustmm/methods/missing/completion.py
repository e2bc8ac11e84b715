"""MCE's cross-modal interaction: a transformer that completes every modality's token from those present."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustmm.config.options import Positive, Rate
from robustmm.model.fusion import Fusion, apply_mask

HEADS = 8


class Completion(Fusion):
    """logits = W [h'_1;..;h'_M] + b, of tokens t_m = z_m + p_m, or p_m only where m is absent, completed by

    x = t + attention(norm(t)),  h' = x + ffn(norm(x)).

    The positions p are learned and begin at zero. Absent tokens take part, as queries and as keys. Only m: the
    same pass over z_m and empty places. Heads: the largest divisor of the width up to 8.
    """

    def __init__(
        self, modalities: int, width: int, classes: int, *, hidden: Positive | None = None, dropout: Rate = 0.1
    ) -> None:
        super().__init__(modalities, width, classes)
        hidden = hidden or 4 * width  # the paper: 1024 at width 320, 512 to 2048 elsewhere
        self.heads = max(heads for heads in range(1, HEADS + 1) if width % heads == 0)
        self.positions = nn.Parameter(torch.zeros(modalities, width))
        self.attention_norm, self.ffn_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.ffn = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))
        self.drop = nn.Dropout(dropout)
        self.decoder = nn.Linear(modalities * width, classes)

    def forward(self, z: Tensor, present: Tensor) -> Tensor:
        return self.decode(self.complete(z, present))

    def decode_subsets(self, z: Tensor, present: Tensor) -> Tensor:
        return self.decode(self.complete(z, present))

    def complete(self, z: Tensor, present: Tensor) -> Tensor:
        """h' (.., batch, modality, width) of z (batch, modality, width) cut to `present` (.., batch, modality)."""
        tokens = (apply_mask(z, present) + self.positions).flatten(0, -3)
        x = tokens + self.drop(self.attend(self.attention_norm(tokens)))
        completed: Tensor = x + self.drop(self.ffn(self.ffn_norm(x)))
        return completed.view(*present.shape, self.width)

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        mixed: Tensor = self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return mixed

    def decode(self, completed: Tensor) -> Tensor:
        """Logits (.., batch, class) of h' (.., batch, modality, width)."""
        logits: Tensor = self.decoder(completed.flatten(-2))
        return logits
