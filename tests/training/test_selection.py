"""The kept epoch by what it is selected by, and whether a training has come to its end."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from toys import fresh, toy
from worlds import Nobody, manifest, recipe

from robustmm.bench.torch_session import TorchSession
from robustmm.config.recipe import SELECTED, Select
from robustmm.data.loading import collate_signals, read_batches, targets
from robustmm.data.manifest import read_manifest
from robustmm.errors import DivergedError
from robustmm.metrics.classification import nll
from robustmm.training.data import TrainingSplit
from robustmm.training.run import train
from robustmm.training.validation import is_better, training_nll, validate


class Answers:
    """A model whose answers are given: logits (sample, class) by subset of two modalities."""

    modalities = ("a", "b")

    def __init__(self, by_subset: dict[tuple[bool, bool], list[list[float]]]) -> None:
        self.by_subset = by_subset

    def eval(self) -> "Answers":
        return self

    def embed(self, inputs: object) -> torch.Tensor:
        return torch.zeros(4, 2, 1)

    def decode_subsets(self, z: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        keys = [[tuple(row) for row in rows] for rows in masks.tolist()]
        return torch.tensor([[self.by_subset[key][i] for i, key in enumerate(rows)] for rows in keys])


class Rows:
    """Four samples of two classes; the last one lacks b."""

    target = torch.tensor([0, 0, 1, 1])
    present = torch.tensor([[True, True], [True, True], [True, True], [True, False]])

    def __len__(self) -> int:
        return 4

    def samples(self) -> "Iterator[Rows]":
        yield self

    inputs: object = None


def test_mean_and_worst_over_subsets_by_hand() -> None:
    """Right: all of them by a alone, one by b alone (which the last one lacks: it has the empty answer), three
    together, of which the last has a only."""
    zero, one = [3.0, 0.0], [0.0, 3.0]
    model = Answers({
        (False, False): [zero] * 4,
        (True, False): [zero, zero, one, one],
        (False, True): [zero, one, zero, one],
        (True, True): [zero, zero, zero, zero],
    })  # fmt: skip
    found = validate(model, Rows(), np.array([0.5, 0.5]))  # type: ignore[arg-type]
    assert found["valid_accuracy"] == 0.75
    assert found["valid_mean_over_subsets"] == pytest.approx((1.0 + 0.25 + 0.75) / 3)
    assert found["valid_worst_subset"] == 0.25
    assert training_nll(model, Rows()) == pytest.approx(  # type: ignore[arg-type]
        (3 * np.log1p(np.exp(-3)) + np.log1p(np.exp(3))) / 4
    )


@pytest.mark.parametrize(("select", "score"), SELECTED.items())
def test_an_epoch_is_better_by_what_is_selected_by_then_by_log_loss(select: Select, score: str) -> None:
    best = dict.fromkeys(SELECTED.values(), 0.5) | {"valid_nll": 1.0}
    assert is_better(best, None, select)
    assert not is_better(best, best, select)
    assert is_better({**best, score: 0.6, "valid_nll": 9.0}, best, select)
    assert is_better({**best, "valid_nll": 0.9}, best, select)
    for other in set(SELECTED.values()) - {score}:
        assert not is_better({**best, other: 0.9}, best, select)


@pytest.mark.parametrize("select", SELECTED)
def test_the_kept_epoch_is_the_best_by_what_was_asked_for(tmp_path: Path, select: Select) -> None:
    path = manifest(tmp_path / "data", samples=48)
    watcher = Nobody()
    run = train(recipe(path, epochs=5, select=select, threads=1), path, tmp_path / "runs", watcher)
    best = max(watcher.rows[-5:], key=lambda row: (row[SELECTED[select]], -row["valid_nll"]))
    assert run.read_facts()["progress"]["best_epoch"] == best["epoch"]


def test_a_run_says_its_cross_entropy_on_the_training_split_at_the_end(tmp_path: Path) -> None:
    """Of the answers to what training saw, not of the method's own term: dropout's is on fewer modalities."""
    path = manifest(tmp_path / "data", missing=0.2)
    settings = recipe(path, epochs=1, threads=1)
    settings = settings.model_copy(update={"method": {"name": "dropout"}})
    run = train(settings, path, tmp_path / "runs", Nobody())
    split, session = read_manifest(path).split("train"), TorchSession(run)
    parts = []
    for _, samples in read_batches(split, session.modalities, 64, "error"):
        inputs = {m.name: collate_signals(m, samples.signals[m.name]) for m in session.modalities}
        parts.append(session.decode(session.embeddings(inputs, 64), samples.present()))
    told = run.read_facts()["train_nll"]
    assert told == pytest.approx(nll(np.concatenate(parts), targets(split, session.classes)), rel=1e-5)
    assert told != pytest.approx(float(run.log()["fused"][-1]), rel=1e-3)


def test_answers_that_are_no_numbers_are_a_divergence() -> None:
    data = toy(2)
    model = fresh(data)
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))

    class Split(TrainingSplit):
        def __init__(self) -> None: ...

        def __len__(self) -> int:
            return len(data.target)

        def samples(self):  # type: ignore[no-untyped-def]
            return iter([data.batch(slice(0, len(data.target)))])

    split = Split()
    split.target, split.present = data.target, data.present
    with pytest.raises(DivergedError, match="stopped being numbers"):
        validate(model, split, np.full(3, 1 / 3))
