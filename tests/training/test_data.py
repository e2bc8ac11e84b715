"""Turns of an epoch as batches: which rows, in which order, and what is kept of each."""

from pathlib import Path

import torch
from toys import Turns
from worlds import Nobody, manifest, recipe

from robustmm.data.manifest import read_manifest
from robustmm.methods import Method, Turn
from robustmm.methods.base import split_rows
from robustmm.training.data import TrainingSplit
from robustmm.training.run import prepare_data


def split(folder: Path, missing: float = 0.3) -> TrainingSplit:
    path = manifest(folder, missing=missing)
    return TrainingSplit(
        prepare_data(recipe(path), read_manifest(path), Nobody(), "error").training, 3, torch.device("cpu")
    )


def test_a_plain_epoch_has_every_row_once_with_all_it_has(tmp_path: Path) -> None:
    data = split(tmp_path)
    torch.manual_seed(0)
    found = list(data.batches(Method().arrange(data.draw_order(None), 16), 0.0, 0))
    rows = torch.cat([batch.index for batch in found])
    assert sorted(rows.tolist()) == list(range(len(data)))
    assert rows.tolist() != list(range(len(data)))
    for batch in found:
        assert torch.equal(batch.present, data.present[batch.index])
        assert torch.equal(batch.target, data.target[batch.index])
        assert torch.equal(batch.inputs["vector"], torch.from_numpy(data.inputs["vector"][batch.index.numpy()]))


def test_what_a_turn_does_not_keep_is_missing_in_it(tmp_path: Path) -> None:
    data = split(tmp_path)
    whole, part, *_ = data.batches(Turns().arrange(torch.arange(len(data)), 16), 0.0, 0)
    assert torch.equal(part.index, whole.index)
    assert torch.equal(part.present[:, 0], whole.present[:, 0])
    assert whole.present[:, 1].any()
    assert not part.present[:, 1].any()


def test_a_kept_modality_that_a_sample_lacks_stays_missing(tmp_path: Path) -> None:
    data = split(tmp_path)
    rows = torch.arange(len(data))
    (batch,) = data.batches([Turn(rows, torch.ones(len(data), 2, dtype=torch.bool))], 0.0, 0)
    assert torch.equal(batch.present, data.present)
    assert not batch.present.all()


def test_dropout_takes_of_what_is_kept_and_never_the_last(tmp_path: Path) -> None:
    data = split(tmp_path, missing=0.0)
    rows = torch.arange(len(data))
    (plain,) = data.batches([Turn(rows)], 0.5, 0)
    assert not plain.present.all()
    assert plain.present.any(1).all()
    (kept,) = data.batches([Turn(rows, (torch.arange(2) == 1).expand(len(rows), 2))], 0.5, 0)
    assert kept.present[:, 1].all()


def test_sample_weights_are_drawn_with_replacement(tmp_path: Path) -> None:
    data = split(tmp_path)
    weights = torch.zeros(len(data))
    weights[[2, 5]] = 1.0
    order = data.draw_order(weights)
    assert len(order) == len(data)
    assert set(order.tolist()) == {2, 5}


def test_a_last_batch_of_one_joins_the_one_before() -> None:
    assert [len(rows) for rows in split_rows(torch.arange(9), 4)] == [4, 5]
    assert [len(rows) for rows in split_rows(torch.arange(10), 4)] == [4, 4, 2]
    assert [len(rows) for rows in split_rows(torch.arange(1), 4)] == [1]
