"""`wide-deep`: simple features beside a small network (Cheng et al. 2016, Wide & Deep Learning), for little data, where
a linear model on the same features finds what the network alone does not.
"""

from typing import Any

import torch
from torch import Tensor, nn

from robustmm.config.options import Positive, Rate, instantiate
from robustmm.modalities import Modality, Text
from robustmm.model.encoders.base import BatchNorm, Encoder
from robustmm.model.encoders.conv import CONV
from robustmm.model.encoders.handcrafted import HANDCRAFTED, hash_words
from robustmm.model.encoders.mlp import MLPS


class WideDeep(Encoder):
    """[the kind's small network, its handcrafted features under a norm and dropout]. `deep` holds options of the
    network: `conv`, or `mlp` for features."""

    def __init__(self, modality: Modality, *, dropout: Rate = 0.5, deep: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.deep = build_deep(modality, deep)
        self.features = HANDCRAFTED[modality.kind](modality)
        self.norm = BatchNorm(self.features.width, affine=False)
        self.drop = nn.Dropout(dropout)
        self.width = self.deep.width + self.features.width

    def forward(self, x: Tensor) -> Tensor:
        wide = self.drop(self.norm(self.features(x)))
        return torch.cat([self.deep(x), wide], 1)


class WideDeepText(Encoder):
    """[TextCNN, a bag of words and of pairs of neighbouring words], the latter as in fastText (Joulin et al. 2017): the
    sum of their vectors, pairs in `buckets` by a hash, over the root of how many there are."""

    def __init__(
        self,
        modality: Text,
        *,
        dimensions: Positive = 128,
        buckets: Positive = 16_384,
        dropout: Rate = 0.5,
        deep: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.deep = build_deep(modality, deep)
        self.words, self.buckets, self.padding = modality.vocabulary_size, buckets, modality.padding_id
        self.bag = nn.Embedding(self.words + buckets, dimensions)
        self.drop = nn.Dropout(dropout)
        self.width = self.deep.width + dimensions

    def forward(self, x: Tensor) -> Tensor:
        found, there = hash_words(x, self.padding, self.words, self.buckets)
        vectors = torch.where(there.unsqueeze(2), self.bag(found), 0.0)
        count = there.sum(1, keepdim=True).clamp(min=1)
        return torch.cat([self.deep(x), self.drop(vectors.sum(1) / count.sqrt())], 1)


def build_deep(modality: Modality, options: dict[str, Any] | None) -> Encoder:
    """The small network of a kind."""
    name, family = ("conv", CONV) if modality.kind in CONV else ("mlp", MLPS)
    built: Encoder = instantiate("encoder", name, family[modality.kind], modality, **(options or {}))
    return built


WIDE_DEEP = {kind: WideDeepText if kind == "text" else WideDeep for kind in HANDCRAFTED}
