"""Which trainings a bench needs, each under a key that names all its numbers depend on; checked before the first one.

Training sees the train and valid splits only; of the test split, its labels are checked here, and the worker of a cell
reads it when its training has finished. A trial of a search never does.
"""

import copy
import hashlib
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import torch

from robustmm.bench.cell import environment, subset_names
from robustmm.bench.worker import BenchSpec, Cell, Setting
from robustmm.config.recipe import Recipe
from robustmm.config.tuning import shorten_freezing
from robustmm.data.loading import targets
from robustmm.data.manifest import Manifest, class_names, read_manifest
from robustmm.errors import UsageError
from robustmm.exporting.export import BlankData
from robustmm.methods import Batch, build_method
from robustmm.metrics.paired import CLEAN, MEAN
from robustmm.modalities import Modality
from robustmm.training.build import build_model, effective_recipe, refuse_too_large

PROTOCOL = 3
"""Increased when the same cell would be trained or scored otherwise, so that old cells are not mixed with new ones."""
TUNING_SEED = 1_000_000
"""Of every trial of a search: none of the seeds that are reported."""


class Task(NamedTuple):
    """The data of a bench, as far as it is known before any of it is read."""

    table: Manifest
    classes: list[str]
    modalities: list[Modality]

    @classmethod
    def read(cls, recipe: Recipe, setting: BenchSpec) -> "Task":
        table = read_manifest(setting.manifest, setting.inside)
        modalities = [m.fit_to(["text"] if m.kind == "text" else []) for m in recipe.modalities]  # what training learns
        return cls(table, class_names(table.split("train").labels), modalities)

    def batch(self, rows: torch.Tensor) -> Batch:
        """As many samples of nothing."""
        n = len(rows)
        inputs = {m.name: torch.from_numpy(m.blank_input()).expand(n, *m.shape).contiguous() for m in self.modalities}
        present = torch.ones(n, len(self.modalities), dtype=torch.bool)
        return Batch(inputs, present, torch.arange(n) % len(self.classes), rows)


def plan_cells(
    recipe: Recipe,
    methods: Sequence[str],
    seeds: Sequence[int],
    setting: BenchSpec,
    chosen: Mapping[str, Setting] | None = None,
) -> list[Cell]:
    """The cells, with the setting `chosen` for a method. Raises UsageError with every method's refusal at once, before
    anything is trained.

    A method's seeds follow each other: workers then train teachers of different seeds, none twice.
    """
    task = Task.read(recipe, setting)
    table, classes, modalities = task
    for split in ("valid", "test"):
        targets(table.split(split), classes)  # an unknown label is reported now, not after the training
    for condition in setting.conditions:
        condition.changed_modalities(modalities)
        if condition.name in {CLEAN, MEAN, *subset_names([m.name for m in modalities])}:
            raise UsageError(f'the bench has a column "{condition.name}" of its own; call the condition otherwise')
    blank = build_model(recipe, modalities, len(classes))
    shared = [*shared_facts(table, setting), [asdict(c) for c in setting.conditions]]
    refusals, cells = [], []
    for name in methods:
        own = apply_setting(recipe, name, (chosen or {}).get(name, {}))
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                own = effective_recipe(own)
            method = build_method(own.method_name, own.method_options)
            with refuse_too_large(own):
                method.setup(copy.deepcopy(blank), BlankData(modalities, {"classes": classes}))
        except UsageError as error:
            refusals.append(f"{name}: {error}")
            continue
        for warning in caught:
            warnings.warn(f"{name}: {warning.message}", stacklevel=2)
        cells += [build_cell(own, name, seed, shared) for seed in seeds]
    if refusals:
        raise UsageError("\n".join(refusals))
    return cells


def plan_trials(
    recipe: Recipe, settings: Mapping[str, Sequence[Setting]], epochs: int, setting: BenchSpec
) -> list[Cell]:
    """A training of `epochs` for each of a method's settings, in their order. Methods and options are known to fit."""
    shared = ["trial", *shared_facts(read_manifest(setting.manifest, setting.inside), setting)]
    cells = []
    for method, own in settings.items():
        for each in own:
            content = apply_setting(recipe, method, each)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # plan_cells has told
                content = effective_recipe(shorten_training(content, epochs))
            cells.append(build_cell(content, method, TUNING_SEED, shared, each))
    return cells


def shared_facts(table: Manifest, setting: BenchSpec) -> list[Any]:
    """What the numbers of every training depend on beside its recipe."""
    return [PROTOCOL, environment(), hashlib.sha256(table.path.read_bytes()).hexdigest(), setting.on_bad]


def build_cell(own: Recipe, method: str, seed: int, shared: Sequence[Any], setting: Setting | None = None) -> Cell:
    """A cell of an effective recipe."""
    content = own.with_train(seed=seed, threads=own.train.threads or 1).model_dump()
    text = json.dumps([{**content, "name": ""}, method, *shared], sort_keys=True)
    return Cell(method, seed, content, hashlib.sha256(text.encode()).hexdigest()[:20], setting)


def apply_setting(recipe: Recipe, method: str, setting: Setting) -> Recipe:
    """The recipe with this method and setting: keys of [train], and `METHOD.OPTION`."""
    table, train = {**recipe.method, "name": method}, {}
    for key, value in setting.items():
        part, _, option = key.rpartition(".")
        if part:
            table[part] = {**table.get(part, {}), option: value}
        else:
            train[key] = value
    return recipe.model_copy(update={"method": table, "train": recipe.train.model_copy(update=train)})


def shorten_training(recipe: Recipe, epochs: int) -> Recipe:
    """What makes a whole training of fewer epochs: the warm-up and frozen encoders keep their share, the schedule comes
    to its end."""
    share = epochs / recipe.train.epochs
    shorter = recipe.with_train(epochs=epochs, warmup=recipe.train.warmup * epochs / recipe.train.epochs)
    return shorter.model_copy(update={"modality": shorten_freezing(recipe.modality, share)})


def list_rungs(epochs: int) -> list[int]:
    """Epochs of a search's rungs: a quarter of the budget, a half and the whole, each once."""
    return sorted({math.ceil(epochs / 4), math.ceil(epochs / 2), epochs})
