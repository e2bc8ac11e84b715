"""The recipe of a linear model: another recipe's data and modalities, handcrafted features, and a sum of logits."""

from robustmm.config.recipe import Recipe, Train, split_name_options

ENCODER, FUSION = "handcrafted", "sum"


def linear_recipe(recipe: Recipe) -> Recipe:
    """The recipe as method `linear` trains it: other encoders and another fusion, one epoch, nothing changed."""
    tables = {}
    for name, table in recipe.modality.items():
        given, options = split_name_options(table.get("encoder"))
        tables[name] = {**table, "encoder": {"name": ENCODER, **(options if given == ENCODER else {})}}
    kept = {key: getattr(recipe.train, key) for key in ("batch", "select", "threads", "seed")}
    return recipe.model_copy(
        update={
            "modality": tables,
            "model": recipe.model.model_copy(update={"fusion": FUSION}),
            "train": Train(epochs=1, **kept),
            "augment": {},
            "corrupt": None,
        }
    )


def widen_model(recipe: Recipe, classes: int) -> Recipe:
    """A linear recipe whose projections hold a number a class."""
    width = max(recipe.model.width, classes)
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"width": width})})
