"""A fresh model from a recipe: the one place where encoders and fusion meet."""

from collections.abc import Sequence

from robustmm.encoders import default_encoder, encoder
from robustmm.fusion import fusion
from robustmm.modalities import Modality
from robustmm.model import FusionModel
from robustmm.recipe import Recipe, named


def fused_model(recipe: Recipe, modalities: Sequence[Modality], classes: int) -> FusionModel:
    """The recipe's model over (fitted) `modalities`, with freshly drawn weights from torch's generator."""
    encoders = {}
    for modality in modalities:
        name, options = recipe.encoder(modality.name)
        encoders[modality.name] = encoder(modality, name or default_encoder(modality.kind), **options)
    name, options = named(recipe.model.fusion)
    width = recipe.model.width
    return FusionModel(encoders, fusion(name or "concat", len(encoders), width, classes, **options), width)
