"""A command's options applied to a recipe: the first step of `train` and `bench`."""

from collections.abc import Sequence
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from robustmm.config.recipe import Recipe


class OverriddenRecipe(NamedTuple):
    recipe: "Recipe"
    path: Path
    manifest: Path


def apply_overrides(name: str, settings: Sequence[str], data: Path | None, missing: Sequence[str]) -> OverriddenRecipe:
    """The recipe called `name` under --set, --data and --missing, its path, and the manifest that it reads."""
    from robustmm.conditions import missing as rates
    from robustmm.config import recipe as recipes
    from robustmm.config import shelf
    from robustmm.evaluation import source

    path, over = shelf.find_file("models", name), list(settings)
    if data is not None:  # the run's recipe names what it was really trained on
        named = str(data) if str(data) == source.EMBEDDED else str(data.absolute())
        over.append(f"data.manifest={dumps(named, ensure_ascii=False)}")
    recipe = recipes.load_recipe(path, over)
    if missing:
        drawn = {f"data.missing.{m}={r}" for m, r in rates.parse_rates(missing, list(recipe.modality)).items()}
        recipe = recipes.load_recipe(path, [*over, *sorted(drawn)])
    return OverriddenRecipe(recipe, path, source.find_recipe_manifest(recipe, path, data))
