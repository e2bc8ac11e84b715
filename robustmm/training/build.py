"""A fresh model from a recipe: the only module that joins encoders and fusion, and that fills in every default."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from robustmm.config.options import effective_options
from robustmm.config.recipe import Recipe, list_integers, split_name_options
from robustmm.errors import UsageError
from robustmm.methods import build_method, hyperparameters
from robustmm.modalities import Modality, Text
from robustmm.model.encoders import ENCODERS, build_encoder, default_encoder
from robustmm.model.encoders.source import find_tokenizer_folder
from robustmm.model.fusion import FUSIONS, build_fusion
from robustmm.model.fusion_model import FusionModel
from robustmm.training.changes.augmentation import effective_augmentation
from robustmm.training.changes.noise import effective_noise
from robustmm.training.linear.recipe import linear_recipe
from robustmm.training.optimiser import DEFAULT_RATE, optimiser_name


def build_model(recipe: Recipe, modalities: Sequence[Modality], classes: int) -> FusionModel:
    """The recipe's model over `modalities`, fitted to training data, with weights drawn from torch's generator."""
    encoders = {}
    with refuse_too_large(recipe):
        for modality in modalities:
            name, options = recipe.encoder(modality.name)
            name = name or default_encoder(modality.kind)
            encoder = encoders[modality.name] = build_encoder(modality, name, **options)
            if recipe.tuning[modality.name].freeze and not getattr(encoder, "pretrained", ":" in name):
                raise UsageError(
                    f'modality "{modality.name}": freeze would keep the random weights that encoder "{name}" begins '
                    "with; give it a pretrained model, or leave freeze out"
                )
        name, options = split_name_options(recipe.model.fusion)
        width = recipe.model.width
        return FusionModel(encoders, build_fusion(name or "concat", len(encoders), width, classes, **options), width)


@contextmanager
def refuse_too_large(recipe: Recipe) -> Iterator[None]:
    """Turns an allocation that fails into a sentence that names the largest number of the recipe."""
    try:
        yield
    except (MemoryError, OverflowError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not re.search("memory|overflow|storage size", str(error), re.IGNORECASE):
            raise
        tables = {"modality": recipe.modality, "model": recipe.model.model_dump(), "method": recipe.method}
        key, number = max(list_integers(tables), key=lambda entry: entry[1])
        raise UsageError(
            f"the model of the recipe {recipe.name} does not fit into memory; its largest number is {key} = {number}"
        ) from error


def effective_recipe(recipe: Recipe) -> Recipe:
    """The recipe with every default filled in, so that a number can be replayed."""
    chosen = build_method(recipe.method_name, recipe.method_options)
    if chosen.linear:
        recipe = linear_recipe(recipe)
    if chosen.alone and recipe.train.accumulate > 1:
        raise UsageError(
            f"{recipe.method_name} decides itself what learns in a step, which cannot be made in parts: "
            f"train.accumulate should be 1, found {recipe.train.accumulate}"
        )
    tables = {
        m.name: {**recipe.modality[m.name], **find_tokenizer(recipe, m), "encoder": _effective_encoder(recipe, m)}
        for m in recipe.modalities
    }
    fused, options = split_name_options(recipe.model.fusion)
    head = {"name": fused or "concat", **effective_options(FUSIONS[fused or "concat"], options)}
    optimiser = optimiser_name(recipe.train, chosen)
    rate = recipe.train.learning_rate or DEFAULT_RATE[optimiser]
    return recipe.model_copy(
        update={
            "modality": tables,
            "model": recipe.model.model_copy(update={"fusion": head}),
            "method": {"name": recipe.method_name, **hyperparameters(recipe.method_name, recipe.method_options)},
            "train": recipe.train.model_copy(update={"optimiser": optimiser, "learning_rate": rate}),
            "augment": effective_augmentation(recipe),
            "corrupt": effective_noise(recipe, chosen),
        }
    )


def find_tokenizer(recipe: Recipe, modality: Modality) -> dict[str, str]:
    """The tokenizer that stands in the folder of a pretrained text backbone, or on the hub under its name, for a
    modality that names none. Raises UsageError where there is none: words that are learned from the training texts
    would be other tokens."""
    name, options = recipe.encoder(modality.name)
    model = options.get("model")
    if not isinstance(modality, Text) or modality.tokenizer or modality.tokenizer_json:
        return {}
    if name != "transformers" or not isinstance(model, str) or not model or options.get("pretrained") is False:
        return {}
    if (Path(model) / "tokenizer.json").is_file():
        return {"tokenizer": model}
    folder = None if Path(model).is_dir() else find_tokenizer_folder(model)
    if folder is None:
        raise UsageError(
            f'modality "{modality.name}": the backbone "{model}" knows its own tokens only, and is no folder with a '
            "tokenizer.json, nor a name under which one can be fetched from the Hugging Face hub; give the modality "
            "that file, as tokenizer = PATH"
        )
    return {"tokenizer": str(folder)}


def list_found_tokenizers(given: Recipe, effective: Recipe) -> Iterator[str]:
    """A sentence for every tokenizer that was taken from a backbone's folder."""
    for name, table in effective.modality.items():
        if table.get("tokenizer") != given.modality[name].get("tokenizer"):
            yield f"tokenizer of {name}: the backbone's own, in {table['tokenizer']}"


def _effective_encoder(recipe: Recipe, modality: Modality) -> dict[str, Any]:
    given, options = recipe.encoder(modality.name)
    name = given or default_encoder(modality.kind)
    entry = ENCODERS[name]
    constructor = entry.get(modality.kind) if isinstance(entry, Mapping) else entry
    tuning = recipe.tuning[modality.name].model_dump(exclude_defaults=True)
    return {"name": name, **(effective_options(constructor, options) if constructor else options), **tuning}
