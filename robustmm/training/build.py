"""A fresh model from a recipe: the one place where encoders and fusion meet, and where every default is named."""

from collections.abc import Mapping, Sequence
from typing import Any

from robustmm.config.options import effective
from robustmm.config.recipe import Recipe, named
from robustmm.methods import hyperparameters, method
from robustmm.modalities import Modality
from robustmm.model.encoders import ENCODERS, default_encoder, encoder
from robustmm.model.fusion import FUSIONS, fusion
from robustmm.model.fusion_model import FusionModel
from robustmm.training.optimiser import DEFAULT_RATE, optimiser_name


def fused_model(recipe: Recipe, modalities: Sequence[Modality], classes: int) -> FusionModel:
    """The recipe's model over (fitted) `modalities`, with freshly drawn weights from torch's generator."""
    encoders = {}
    for modality in modalities:
        name, options = recipe.encoder(modality.name)
        encoders[modality.name] = encoder(modality, name or default_encoder(modality.kind), **options)
    name, options = named(recipe.model.fusion)
    width = recipe.model.width
    return FusionModel(encoders, fusion(name or "concat", len(encoders), width, classes, **options), width)


def effective_recipe(recipe: Recipe) -> Recipe:
    """The recipe with every default filled in, so that a number can be replayed."""
    chosen = method(recipe.method_name, recipe.method_options)
    tables = {m.name: {**recipe.modality[m.name], "encoder": _encoder(recipe, m)} for m in recipe.modalities}
    fused, options = named(recipe.model.fusion)
    head = {"name": fused or "concat", **effective(FUSIONS[fused or "concat"], options)}
    optimiser = optimiser_name(recipe.train, chosen)
    rate = recipe.train.learning_rate or DEFAULT_RATE[optimiser]
    return recipe.model_copy(
        update={
            "modality": tables,
            "model": recipe.model.model_copy(update={"fusion": head}),
            "method": {"name": recipe.method_name, **hyperparameters(recipe.method_name, recipe.method_options)},
            "train": recipe.train.model_copy(update={"optimiser": optimiser, "learning_rate": rate}),
        }
    )


def _encoder(recipe: Recipe, modality: Modality) -> dict[str, Any]:
    given, options = recipe.encoder(modality.name)
    name = given or default_encoder(modality.kind)
    entry = ENCODERS[name]
    constructor = entry.get(modality.kind) if isinstance(entry, Mapping) else entry
    return {"name": name, **(effective(constructor, options) if constructor else options)}
