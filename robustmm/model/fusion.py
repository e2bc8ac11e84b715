"""Fusions: embeddings (batch, modality, width) and a presence mask to logits. Each defines what "only m" means."""

from math import gcd
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustmm.config.options import Positive, Rate, instantiate
from robustmm.config.registry import Registry
from robustmm.errors import UsageError

FUSIONS: Registry[type["Fusion"]] = Registry("fusion")

ROWS = 16_384
"""Rows decoded at once by `subsets` where a fusion has no shorter way, so that memory stays bounded."""


def build_fusion(name: str, modalities: int, width: int, classes: int, **options: Any) -> "Fusion":
    """The fusion registered as `name`. Raises UsageError that names an unknown or ill-typed option."""
    return instantiate("fusion", name, FUSIONS[name], modalities, width, classes, **options)


class Fusion(nn.Module):
    """Logits from the present modalities. Subclasses take further options as keywords."""

    def __init__(self, modalities: int, width: int, classes: int) -> None:
        super().__init__()
        self.modalities, self.width, self.classes = modalities, width, classes

    def forward(self, z: Tensor, present: Tensor) -> Tensor:
        """Logits (batch, class) of z (batch, modality, width), which is zero wherever `present` is false."""
        raise NotImplementedError

    def fuse(self, z: Tensor, present: Tensor) -> Tensor:
        """Fused features (batch, any): what the last linear layer reads. Here, as in every linear fusion, all of z."""
        return z.flatten(1)

    def decode_subsets(self, z: Tensor, present: Tensor) -> Tensor:
        """Logits (K, batch, class) for K presence masks (K, batch, modality) over one z, masked here."""
        decoded = []
        for masks in present.split(max(1, ROWS // max(1, len(z)))):
            each = apply_mask(z, masks).flatten(0, 1)  # (K' * batch, modality, width)
            decoded.append(self(each, masks.flatten(0, 1)).unflatten(0, masks.shape[:2]))
        return torch.cat(decoded)


class Additive(Fusion):
    """logits = sum over present m of terms_m(z_m), plus a bias: one product decodes all subsets."""

    bias: Tensor
    """(class,), the logits when nothing is present."""

    def terms(self, z: Tensor) -> Tensor:
        """(batch, modality, class): what each modality adds to the logits."""
        raise NotImplementedError

    def forward(self, z: Tensor, present: Tensor) -> Tensor:
        return apply_mask(self.terms(z), present).sum(1) + self.bias

    def decode_subsets(self, z: Tensor, present: Tensor) -> Tensor:
        terms = self.terms(apply_mask(z, present.any(0)))
        finite = terms.isfinite().all(-1)  # (batch, modality): a term that is not finite spoils the subsets with it
        summed = torch.einsum("kbm,bmc->kbc", present.to(terms.dtype), apply_mask(terms, finite))
        spoilt = (present & ~finite).any(-1, keepdim=True)
        return torch.where(spoilt, torch.full_like(summed, torch.nan), summed) + self.bias


@FUSIONS.register("concat")
class Concat(Additive):
    """A linear layer on [z_1;..;z_M]. Only m: W_m z_m + b, with the whole bias."""

    def __init__(self, modalities: int, width: int, classes: int) -> None:
        super().__init__(modalities, width, classes)
        self.weight = draw_parameter(modalities, classes, width, fan_in=modalities * width)
        self.bias = draw_parameter(classes, fan_in=modalities * width)

    def terms(self, z: Tensor) -> Tensor:
        return torch.einsum("bmw,mcw->bmc", z, self.weight)


@FUSIONS.register("sum")
class Sum(Additive):
    """A linear layer per modality, added up. Only m: W_m z_m + b_m; an absent modality's bias is absent too."""

    def __init__(self, modalities: int, width: int, classes: int) -> None:
        super().__init__(modalities, width, classes)
        self.weight = draw_parameter(modalities, classes, width, fan_in=width)
        self.biases = draw_parameter(modalities, classes, fan_in=width)
        self.register_buffer("bias", torch.zeros(classes), persistent=False)

    def terms(self, z: Tensor) -> Tensor:
        return torch.einsum("bmw,mcw->bmc", z, self.weight) + self.biases


@FUSIONS.register("gated")
class Gated(Fusion):
    """Gated Multimodal Unit (Arevalo et al. 2017): fc(sum over present m of g_m * h_m), where

    h_m = tanh(W_m z_m) and g_m = sigmoid(V_m [z_1;..;z_M]). Only m: fc(g_m * h_m), its gate seeing z_m and zeros.
    """

    def __init__(self, modalities: int, width: int, classes: int) -> None:
        super().__init__(modalities, width, classes)
        self.hidden = draw_parameter(modalities, width, width, fan_in=width)
        self.gates = nn.Linear(modalities * width, modalities * width, bias=False)
        self.head = nn.Linear(width, classes)

    def forward(self, z: Tensor, present: Tensor) -> Tensor:
        logits: Tensor = self.head(self.fuse(z, present))
        return logits

    def fuse(self, z: Tensor, present: Tensor) -> Tensor:
        h = torch.tanh(torch.einsum("bmw,mvw->bmv", z, self.hidden))
        g = torch.sigmoid(self.gates(z.flatten(1))).unflatten(1, (self.modalities, self.width))
        fused: Tensor = (g * h).sum(1)  # h is tanh(0) = 0 where absent
        return fused


@FUSIONS.register("attention")
class Attention(Fusion):
    """A pre-norm transformer over a class token and the present modalities' tokens z_m + e_m.

    Absent tokens are no keys, so no token attends to them. Only m: the class token attends to m and itself.
    """

    def __init__(
        self,
        modalities: int,
        width: int,
        classes: int,
        *,
        layers: Positive = 1,
        heads: Positive | None = None,
        dropout: Rate = 0.1,
    ) -> None:
        super().__init__(modalities, width, classes)
        heads = gcd(width, 4) if heads is None else heads
        if width % heads:
            raise UsageError(f'fusion "attention": heads should divide the width {width}, found {heads}')
        self.tokens = nn.Parameter(torch.randn(modalities + 1, width) * 0.02)  # the class token, then e_m
        self.layers = nn.ModuleList(AttentionLayer(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, z: Tensor, present: Tensor) -> Tensor:
        logits: Tensor = self.head(self.fuse(z, present))
        return logits

    def fuse(self, z: Tensor, present: Tensor) -> Tensor:
        x = F.pad(z, (0, 0, 1, 0)) + self.tokens  # (batch, 1 + modality, width)
        keys = F.pad(present, (1, 0), value=True)  # the class token is always present, so every row has a key
        for layer in self.layers:
            x = layer(x, keys)
        fused: Tensor = self.norm(x[:, 0])
        return fused


class AttentionLayer(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.drop = nn.Dropout(dropout)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Linear(2 * width, width),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor, keys: Tensor) -> Tensor:
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(self.norm(x)).chunk(3, -1))
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=keys[:, None, None, :])
        x = x + self.drop(self.out(mixed.transpose(1, 2).flatten(2)))
        out: Tensor = x + self.mlp(x)
        return out


def apply_mask(x: Tensor, kept: Tensor) -> Tensor:
    """x (.., n) where `kept` (..) is true and zero elsewhere, by selection and not by product: NaN * 0 is NaN."""
    return torch.where(kept.unsqueeze(-1), x, torch.zeros((), dtype=x.dtype, device=x.device))


def draw_parameter(*shape: int, fan_in: int) -> nn.Parameter:
    """A parameter drawn as nn.Linear draws its weight and bias: uniform within 1 / sqrt(fan_in)."""
    return nn.Parameter(torch.empty(shape).uniform_(-1, 1) * fan_in**-0.5)
