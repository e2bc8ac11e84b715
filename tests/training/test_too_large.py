"""Numbers of a recipe that no machine bears are a sentence, before and after they reach torch."""

from pathlib import Path
from typing import Any

import pytest
from worlds import recipe, tables

from robustmm.config.recipe import build_recipe
from robustmm.errors import UsageError
from robustmm.training.build import build_model, refuse_too_large


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("model.width", ("model", "width")),
        ("method.mce.hidden", ("method", "mce", "hidden")),
        ("modality.series.encoder.channels", ("modality", "series", "encoder", "channels")),
        ("modality.vector.length", ("modality", "vector", "length")),
    ],
)
@pytest.mark.parametrize("number", [2**31, 10**12, 10**30])
def test_a_whole_number_that_nothing_counts_with(key: str, place: tuple[str, ...], number: int) -> None:
    content: Any = tables(Path("m.csv"))
    table = content
    for part in place[:-1]:
        table = table[part]
    table[place[-1]] = [8, number] if place[-1] == "channels" else number
    digits = len(str(number))
    with pytest.raises(UsageError, match=f"{key} should be at most 2147483647, found a number of {digits} digits"):
        build_recipe(content, "w.toml", "w")


def test_a_seed_may_be_larger() -> None:
    content: Any = tables(Path("m.csv"))
    content["train"] = {"seed": 2**40}
    assert build_recipe(content, "w.toml", "w").train.seed == 2**40


def test_a_model_that_does_not_fit_names_its_largest_number() -> None:
    made = recipe(Path("m.csv"))
    wide = made.model_copy(update={"model": made.model.model_copy(update={"width": 2**31 - 1})})
    with pytest.raises(UsageError, match=r"the recipe world does not fit into memory.* model\.width = 2147483647"):
        build_model(wide, wide.modalities, 2**31 - 1)


def test_another_error_of_torch_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="a fault of its own"), refuse_too_large(recipe(Path("m.csv"))):
        raise RuntimeError("a fault of its own")
