"""Warm-ups are shares of the run's epochs, and a number of epochs, as recipes had before, is refused in a sentence."""

from pathlib import Path
from typing import get_type_hints

import pytest
from toys import ready, toy
from worlds import Nobody, manifest, recipe

from robustmm.config.options import EpochShare, keyword_parameters
from robustmm.errors import UsageError
from robustmm.methods import METHODS, Chain, Method, TrainingData, build_method
from robustmm.model.fusion_model import FusionModel
from robustmm.training import run

SHARES = [
    ("agm", "end"),
    ("arl", "warmup"),
    ("arm", "warmup"),
    ("cal", "warmup"),
    ("dmrnet", "warmup"),
    ("inforeg", "share"),
    ("mmanet", "begin"),
    ("ogm-ge", "begin"),
    ("ogm-ge", "end"),
    ("remix", "warmup"),
    ("shaspec", "full"),
    ("valuation", "warmup"),
]


def test_no_method_counts_epochs_of_its_own() -> None:
    found = []
    for name in METHODS:
        hints = get_type_hints(METHODS[name].__init__, include_extras=True)
        options = [p.name for p in keyword_parameters(METHODS[name])]
        found += [
            (name, key) for key in options if EpochShare.__metadata__[0] in getattr(hints[key], "__metadata__", ())
        ]
        assert not {"epochs", "start"} & set(options)
    assert sorted(found) == SHARES


@pytest.mark.parametrize(("name", "option"), SHARES)
def test_a_number_of_epochs_is_refused_and_what_is_expected_said(name: str, option: str) -> None:
    for old in (5, 1, 7.0):
        with pytest.raises(UsageError) as told:
            build_method(name, {name: {option: old}})
        assert str(told.value) == (
            f'method "{name}", option {option}: expected a share of the run\'s epochs from 0.0 to 1.0 '
            f"(0.05: 5 of 100), not a number of epochs, found {old}"
        )
    for share in (0.25, 1.0) if name == "mmanet" else (0.25, 1.0, 0, 0.0):
        assert getattr(build_method(name, {name: {option: share}}), option) == share
    for wrong in (-0.1, float("nan"), "half"):
        with pytest.raises(UsageError, match=f'method "{name}", option {option}: '):
            build_method(name, {name: {option: wrong}})


@pytest.mark.parametrize(
    ("epochs", "share", "counted"),
    [
        (100, 0.05, 5),
        (100, 0.07, 7),
        (100, 0.0, 0),
        (100, 1.0, 100),
        (12, 0.05, 1),
        (12, 0.5, 6),
        (15, 0.08, 2),
        (3, 1 / 3, 1),
    ],
)
def test_a_share_is_whole_epochs_and_never_none_unless_it_is_zero(epochs: int, share: float, counted: int) -> None:
    _, method = ready("joint+unimodal", toy(2, epochs=epochs))
    assert isinstance(method, Chain)
    assert method.count_epochs(share) == method.order[1].count_epochs(share) == counted


def test_mmanet_begins_after_some_epoch() -> None:
    with pytest.raises(UsageError, match="option begin: input should be greater than 0"):
        build_method("mmanet", {"mmanet": {"begin": 0}})


def test_the_budget_is_that_of_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen, setup = manifest(tmp_path), {}, Method.setup

    def noting(self: Method, model: FusionModel, data: TrainingData) -> None:
        setup(self, model, data)
        seen[type(self).__name__] = self.budget

    monkeypatch.setattr(Method, "setup", noting)
    run.train(recipe(path, epochs=2), path, tmp_path / "runs", Nobody())
    assert seen == {"Method": 2, "Chain": 2, "CAL": 2, "MCE": 2}  # Method: MCE's teachers
