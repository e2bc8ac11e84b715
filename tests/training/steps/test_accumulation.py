"""A step of n batches is the step of a batch n times as large, in parts."""

from pathlib import Path

import pytest
import torch
from nets import fit_epochs, world_recipe
from torch import nn
from worlds import manifest

from robustmm.config.recipe import Train
from robustmm.errors import UsageError
from robustmm.methods import Turn
from robustmm.training.build import effective_recipe
from robustmm.training.steps.accumulation import Part, accumulate, split_turns

PLAIN = {"coupled": False}
"""Encoders without BatchNorm and dropout."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("world")
    manifest(place)
    return place


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
@pytest.mark.parametrize("method", ["joint", "joint+unimodal", "valuation"])
def test_the_numbers_are_those_of_the_large_batch(folder: Path, method: str, optimiser: str) -> None:
    """48 samples: steps of 18 rows in parts of 9, the last one of 12 in parts of 9 and 3."""
    runs = [
        fit_epochs(world_recipe(folder, PLAIN, method, optimiser=optimiser, clip=0.5, **sizes))
        for sizes in ({"batch": 18}, {"batch": 9, "accumulate": 2})
    ]
    (large, rows, _, _), (parts, others, _, _) = runs
    moved = (large[-1]["projections.vector.weight"] - large[0]["projections.vector.weight"]).norm()
    assert moved > 0.005
    torch.testing.assert_close(parts[-1], large[-1], rtol=1e-4, atol=1e-5)
    for one, two in zip(rows, others, strict=True):
        assert one["learning_rate"] == two["learning_rate"]
        assert one == pytest.approx(two, rel=1e-4, abs=1e-5)


def test_one_batch_a_step_is_bit_for_bit_what_it_was(folder: Path) -> None:
    plain, one = (fit_epochs(world_recipe(folder, {}, **each))[0][-1] for each in ({}, {"accumulate": 1}))
    for name, tensor in plain.items():
        assert torch.equal(tensor, one[name])


def test_parts_are_batches_with_their_masks_and_shares() -> None:
    rows, kept = torch.arange(10, 19), torch.arange(18).reshape(9, 2) % 3 == 0
    turns = [Turn(rows, kept), Turn(torch.tensor([3, 4]))]
    parts = split_turns(turns, Train(batch=4, accumulate=3))
    assert [part.turn.rows.tolist() for part in parts] == [[10, 11, 12, 13], [14, 15, 16, 17, 18], [3, 4]]
    assert torch.equal(torch.cat([part.turn.kept for part in parts[:2]]), kept)  # type: ignore[misc]
    assert [part[1:] for part in parts] == [(0, 4 / 9, False), (0, 5 / 9, True), (1, 1.0, True)]
    whole = split_turns(turns, Train(batch=4))
    assert [len(part.turn.rows) for part in whole] == [9, 2], "a method's own batches are not split"


def test_gradients_are_summed_by_share_and_a_part_sees_its_own_alone() -> None:
    used, unused = (nn.Parameter(torch.zeros(2)) for _ in range(2))
    held: dict[nn.Parameter, torch.Tensor] = {}
    for value, share, ends in ((1.0, 0.25, False), (None, 0.25, False), (3.0, 0.5, True)):
        assert used.grad is None
        used.grad = None if value is None else torch.full((2,), value)
        accumulate([used, unused], held, Part(Turn(torch.arange(1)), 0, share, ends))
    assert used.grad.tolist() == [1.75, 1.75]  # type: ignore[union-attr]
    assert unused.grad is None
    assert not held


def test_a_method_that_takes_turns_in_a_step_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"mla decides itself what learns in a step, .* should be 1, found 2"):
        effective_recipe(world_recipe(folder, {}, "mla", accumulate=2))
