"""The fused model: encoders, a bottleneck, a fusion; two calls, `embed` and `decode`.

Modules of the model are exported; modules of the method exist only in training.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from robustmm import distributed
from robustmm.errors import UsageError
from robustmm.metrics.contribution import subset_masks
from robustmm.model.encoders.base import Encoder
from robustmm.model.fusion import Concat, Fusion


class Coalitions(NamedTuple):
    """phi = weights @ v for the values v (K,) of K coalitions; float64, which autocast does not cast."""

    masks: Tensor  # (K, modality) bool
    weights: Tensor  # (modality, K)
    singletons: Tensor  # (modality,) rows of the coalitions {m}
    logits: Tensor  # (K, batch, class), each coalition cut to what is present; no gradient


@dataclass
class Embedding:
    """A batch after one pass through the encoders, with a bottleneck's mean and log-variance."""

    z: Tensor  # (batch, modality, width), what decode reads
    present: Tensor  # (batch, modality) bool
    encoded: Tensor  # (batch, modality, width), before the bottleneck: where gradient gates are hooked
    mean: Tensor | None = None  # (batch, modality, width) of a variational bottleneck
    logvar: Tensor | None = None
    subset_logits: Tensor | None = None  # (2**modality, batch, class), filled by FusionModel.subset_logits
    quality: Tensor | None = None  # (batch, modality) of a bottleneck that weighs z by it, as a logit
    coalitions: Coalitions | None = None  # shared by the methods of a step, filled by methods.coalitions


class Bottleneck(nn.Module):
    """The module between encoders and fusion; this one is the identity."""

    def forward(self, encoded: Tensor, present: Tensor) -> Embedding:
        return Embedding(encoded, present, encoded)

    def embed_one(self, encoded: Tensor, modality: int) -> Tensor:
        """z (batch, width) of one modality's encoding, as in evaluation and in the exported graph.

        Must depend on that modality only; otherwise the file could not be cut into encoders.
        """
        return encoded


class ModulesByName(nn.Module):
    """Modules by modality. A name that every module has as an attribute (`type`, `train`, `half`) is kept under
    another, since torch and its exporter look submodules up as attributes."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.keys: dict[str, str] = {}
        for name, module in modules.items():
            key = name
            while hasattr(self, key) or (key != name and key in modules):
                key += "_"
            self.keys[name] = key
            self.add_module(key, module)

    def __getitem__(self, name: str) -> nn.Module:
        module: nn.Module = getattr(self, self.keys[name])
        return module


class FusionModel(nn.Module):
    """Encoders, projections to one width, a bottleneck and a fusion.

    `encoders` map a modality's name to a module (batch, *shape) -> (batch, encoder.width). The inputs of modalities
    that are `precomputed` are what their encoders gave: training runs a frozen encoder once.
    """

    bottleneck: Bottleneck
    fusion: Fusion

    def __init__(self, encoders: Mapping[str, Encoder], fusion: Fusion, width: int) -> None:
        super().__init__()
        self.modalities = tuple(encoders)
        self.width = width
        self.encoders = ModulesByName(encoders)
        self.projections = ModulesByName({m: nn.Linear(e.width, width) for m, e in encoders.items()})
        self.bottleneck = Bottleneck()
        self.fusion = fusion
        self.precomputed: frozenset[str] = frozenset()
        self._placed: dict[str, str] = {}
        self._wrapped: set[str] = set()

    def place(self, where: str, module: nn.Module, by: str, *, wraps: bool = False) -> None:
        """Puts a method's module into a named place ("bottleneck", "fusion"); a place is filled once, but a bottleneck
        may wrap one that another method has placed before.

        A fusion that does not wrap the model's own replaces it. Raises UsageError when the recipe asked for another
        fusion than `concat`.
        """
        if where in self._placed and not (where == "bottleneck" and wraps):
            first = self._placed[where]
            if where in self._wrapped and where == "bottleneck":
                raise UsageError(f"{first} wraps the bottleneck that {by} brings; chain them as {by}+{first}")
            raise UsageError(f"methods {first} and {by} both fill the model's {where}; chain only one")
        if where == "fusion" and not wraps and not isinstance(self.fusion, Concat):
            own = type(self.fusion).__name__.lower()
            raise UsageError(f'{by} brings its own fusion and has no use for "{own}"; leave model.fusion at "concat"')
        self._placed[where] = by
        self._wrapped |= {where} if wraps else set()
        setattr(self, where, module)

    def embed(self, inputs: Mapping[str, Tensor], present: Tensor | None = None) -> Tensor:
        """z (batch, modality, width). `present` is needed in training only (see `encode`)."""
        return self.embedding(inputs, present).z

    def embed_one(self, modality: str, x: Tensor) -> Tensor:
        """z (batch, width) of one modality in evaluation: a column of `embed`."""
        return self.bottleneck.embed_one(self._encode_one(modality, x, None), self.modalities.index(modality))

    def embedding(self, inputs: Mapping[str, Tensor], present: Tensor | None = None) -> Embedding:
        encoded = self.encode(inputs, present)
        if present is None:
            present = encoded.new_ones(encoded.shape[:2], dtype=torch.bool)
        embedding: Embedding = self.bottleneck(encoded, present)
        return embedding

    def encode(self, inputs: Mapping[str, Tensor], present: Tensor | None = None) -> Tensor:
        """(batch, modality, width). Where `present` is given, encoders see present rows only: BatchNorm must not
        learn from the blanks of absent inputs, and absent rows come out as zeros."""
        return torch.stack(
            [
                self._encode_one(m, inputs[m], None if present is None else present[:, i])
                for i, m in enumerate(self.modalities)
            ],
            dim=1,
        )

    def _encode_one(self, modality: str, x: Tensor, rows: Tensor | None) -> Tensor:
        projection = self.projections[modality]
        encoder = nn.Identity() if modality in self.precomputed else self.encoders[modality]
        if rows is None:
            encoded: Tensor = projection(encoder(x))
            return encoded
        seen, out = rows.nonzero()[:, 0], torch.zeros(len(x), self.width, device=x.device)
        if not distributed.global_size(
            seen
        ):  # a rank without rows still runs: the others' batch statistics wait for it
            return out
        if len(seen) == len(x):
            return self._encode_one(modality, x, None)
        return out.index_put((seen,), projection(encoder(x[seen])).to(out.dtype))

    def decode(self, z: Tensor, present: Tensor) -> Tensor:
        """Logits (batch, class) from the present modalities of z (batch, modality, width).

        Masks with `where`, never by multiplying: what an absent modality contains does not matter, NaN included.
        """
        masked = torch.where(present.unsqueeze(-1), z, torch.zeros((), dtype=z.dtype, device=z.device))
        logits: Tensor = self.fusion(masked, present)
        return logits

    def subset_logits(self, embedding: Embedding) -> Tensor:
        """Logits (2**modality, batch, class) of every subset S of modalities, each cut to what is present.

        Subset k holds modality m iff (k >> m) & 1. Computed once per embedding, with gradients.
        """
        if embedding.subset_logits is None:
            masks = torch.from_numpy(subset_masks(len(self.modalities))).to(embedding.z.device)
            embedding.subset_logits = self.decode_subsets(embedding.z, masks[:, None] & embedding.present)
        return embedding.subset_logits

    def decode_subsets(self, z: Tensor, present: Tensor) -> Tensor:
        """Logits (K, batch, class) for K presence masks (K, batch, modality) over one z (batch, modality, width)."""
        kept = present.any(0).unsqueeze(-1)  # a modality that no subset holds may contain anything
        return self.fusion.decode_subsets(
            torch.where(kept, z, torch.zeros((), dtype=z.dtype, device=z.device)), present
        )
