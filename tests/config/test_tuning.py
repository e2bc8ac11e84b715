"""Keys that every encoder's table takes, and the sentences about those that make no sense together."""

from typing import Any

import pytest

from robustmm.config.recipe import build_recipe
from robustmm.config.tuning import Tuning, shorten_freezing
from robustmm.errors import UsageError


def recipe(encoder: Any, **train: Any) -> Any:
    table = {"kind": "features", "length": 3, "encoder": encoder}
    content = {"data": {"manifest": "m.csv"}, "modality": {"a": table}, "train": {"epochs": 5, **train}}
    return build_recipe(content, "my.toml", "my")


def test_the_keys_are_not_the_encoders_own() -> None:
    made = recipe({"name": "mlp", "layers": [4], "freeze": True, "unfreeze": 4, "learning_rate_factor": 0.1})
    assert made.encoder("a") == ("mlp", {"layers": [4]})
    assert made.tuning == {"a": Tuning(freeze=True, unfreeze=4, learning_rate_factor=0.1)}
    assert [made.tuning["a"].is_frozen(epoch) for epoch in range(5)] == [True, True, True, True, False]
    assert recipe("mlp").tuning == {"a": Tuning()}
    assert not Tuning().is_frozen(0)
    assert Tuning(freeze=True).is_frozen(10**9)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"unfreeze": 2}, "unfreeze = 2 needs freeze = true: this encoder learns from the first epoch"),
        ({"freeze": False, "unfreeze": 2}, "unfreeze = 2 needs freeze = true: this encoder learns from the first"),
        ({"freeze": True, "unfreeze": 5}, "unfreeze: should be below the 5 epochs of [train], found 5; leave it out"),
        ({"freeze": True, "learning_rate_factor": 0.5}, "learning_rate_factor = 0.5 has no use for an encoder that st"),
        ({"freeze": "perhaps"}, "freeze: should be a valid boolean, unable to interpret input, found 'perhaps'"),
        ({"freeze": True, "unfreeze": 0}, "unfreeze: should be greater than or equal to 1, found 0"),
        ({"learning_rate_factor": 0}, "learning_rate_factor: should be greater than 0, found 0"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        recipe({"name": "mlp", **keys})
    assert str(error.value).startswith(f"my.toml: [modality.a.encoder] {sentence}")
    assert "\n" not in str(error.value)


def test_accumulate_is_a_number_of_batches() -> None:
    assert recipe("mlp").train.accumulate == 1
    with pytest.raises(UsageError, match=r"\[train\] accumulate: should be greater than or equal to 1, found 0"):
        recipe("mlp", accumulate=0)


def test_a_shorter_training_freezes_for_the_same_share() -> None:
    tables = {"a": {"encoder": {"name": "mlp", "freeze": True, "unfreeze": 6}}, "b": {"encoder": "mlp"}, "c": {}}
    half = shorten_freezing(tables, 0.5)
    assert half == {"a": {"encoder": {"name": "mlp", "freeze": True, "unfreeze": 3}}, "b": {"encoder": "mlp"}, "c": {}}
    assert shorten_freezing(tables, 0.1)["a"] == {"encoder": {"name": "mlp"}}, "less than an epoch is none"
    assert tables["a"]["encoder"]["unfreeze"] == 6  # type: ignore[index]
