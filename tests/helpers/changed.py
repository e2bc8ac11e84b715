"""Trainings that change their samples: recipes, splits that keep every signal, and what comes out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from worlds import SIX, Nobody, everything, tables

from robustmm.config.inputs import Corrupt
from robustmm.config.recipe import Recipe, build_recipe
from robustmm.corruptions import names
from robustmm.data.loading import collate_signals, read_samples
from robustmm.data.manifest import read_manifest
from robustmm.data.storage.split import Split, share_memory
from robustmm.methods import Method
from robustmm.modalities import Modality
from robustmm.runs import Run
from robustmm.training import checkpoint
from robustmm.training.build import effective_recipe
from robustmm.training.data import TrainingSplit
from robustmm.training.run import prepare_data


def recipe(path: Path, corrupt: dict[str, Any] | None, method: str = "joint", **train: object) -> Recipe:
    content: dict[str, Any] = tables(path) | {"method": {"name": method}}
    content["train"] = {"epochs": 3, "batch": 16, "threads": 1, **train}
    return build_recipe(content | ({} if corrupt is None else {"corrupt": corrupt}), "world", "world")


def weights(run: Run) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in checkpoint.load_tensors(run.weights)[0].items()}


def small_split(modalities: Sequence[Modality], folder: Path, samples: int = 6) -> Split:
    """A split of a sample of each kind, every signal kept."""
    table = everything(folder, samples)
    found = read_samples(table, modalities)
    inputs = {m.name: collate_signals(m, found.signals[m.name]) for m in modalities}
    kept = {m.name: share_memory(m, found.signals[m.name], inputs[m.name]) for m in modalities}
    return Split(table.ids, inputs, found.present(), np.arange(samples) % 2, [], kept)


def full_table(**keys: Any) -> Corrupt:
    """Every corruption of the catalogue, on every kind."""
    keys = {"probability": 1.0, "level": (0.5, 1.0), "noise": tuple(names()), "on": tuple(m.name for m in SIX)} | keys
    return Corrupt(**keys)


def fed_rows(given: Recipe, path: Path, size: int, epoch: int) -> dict[int, list[bytes]]:
    """What each training row of an epoch was fed, in batches of a size, whatever its batch."""
    prepared = prepare_data(effective_recipe(given), read_manifest(path), Nobody(), "error")
    data = TrainingSplit(prepared.training, 3, torch.device("cpu"), changes=prepared.changes)
    torch.manual_seed(size)
    found: dict[int, list[bytes]] = {}
    for batch in data.batches(Method().arrange(data.draw_order(None), size), 0.0, epoch):
        for place, row in enumerate(batch.index.tolist()):
            found[row] = [values[place].numpy().tobytes() for values in batch.inputs.values()]
    return found
