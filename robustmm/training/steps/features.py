"""Features of encoders that stay frozen: run once before the first step, and read in every step in place of the input.

A row's features are made in a batch of a fixed size, so that they depend on the row alone: not on the training's batch,
order, missing table or storage. They are held where the signals are: in the cache, as shards beside theirs that every
training with the same encoder uses again; in memory where these are not there, or the cache has no room.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from robustmm.config.recipe import Recipe
from robustmm.config.tuning import Tuning
from robustmm.data.storage.cache import Content, find_derived, free_bytes, hold_shard
from robustmm.data.storage.rows import FedRows, Rows, ShardedSignals
from robustmm.data.storage.shards import Shard
from robustmm.data.storage.split import Split
from robustmm.modalities import Features, Modality
from robustmm.model.encoders.backbone import Backbone
from robustmm.model.fusion_model import FusionModel
from robustmm.progress import Watcher
from robustmm.training.changes.epoch import find_changed
from robustmm.training.checkpoint import checksum
from robustmm.training.data import look_ahead
from robustmm.version import __version__

ROWS = 32
"""Rows that go through an encoder at once."""


def list_constant(model: FusionModel, recipe: Recipe) -> list[str]:
    """The modalities whose encoders give a sample the same features in every step."""
    changed = find_changed(recipe)
    return [
        name
        for name in model.modalities
        if name not in changed and is_constant(model.encoders[name], recipe.tuning[name])
    ]


def is_constant(encoder: nn.Module, keys: Tuning) -> bool:
    """Whether an encoder is a pretrained backbone that stays frozen, with nothing around it that learns."""
    if not isinstance(encoder, Backbone) or not encoder.pretrained or not keys.freeze or keys.unfreeze is not None:
        return False
    return {*encoder.parameters()} == {*encoder.backbone.parameters()}


def replace_inputs(
    model: FusionModel, recipe: Recipe, modalities: Sequence[Modality], splits: Sequence[Split], watcher: Watcher
) -> list[Split]:
    """The splits with features as the inputs of constant encoders; the model takes them as such from now on."""
    model.precomputed = frozenset(list_constant(model, recipe))
    chosen = [m for m in modalities if m.name in model.precomputed]
    if not chosen:
        return list(splits)
    watcher.begin(f"features ({', '.join(m.name for m in chosen)})", 1, 0, len(chosen) * sum(map(len, splits)))
    found = []
    for split in splits:
        inputs = dict(split.inputs)
        for modality in chosen:
            run = FrozenEncoder(model.encoders[modality.name], modality, recipe)
            inputs[modality.name] = run.encode_split(split, list(inputs).index(modality.name), watcher)
        found.append(replace(split, inputs=inputs))
    return found


class FrozenEncoder:
    """An encoder of a modality as it runs on whole splits, and all that its features depend on beside the signals."""

    def __init__(self, encoder: nn.Module, modality: Modality, recipe: Recipe) -> None:
        self.encoder, self.modality, self.width = encoder.eval(), modality, int(encoder.width)  # type: ignore[arg-type]
        self.device = next(encoder.parameters()).device
        machine = [__version__, torch.__version__, str(self.device), torch.get_num_threads()]
        described = [describe_module(encoder), modality.model_dump(mode="json"), recipe.modality[modality.name]]
        tensors = {name: x.detach().cpu() for name, x in (*encoder.named_parameters(), *encoder.named_buffers())}
        self.key = checksum(tensors, json.dumps([*machine, *described], sort_keys=True))

    def encode_split(self, split: Split, column: int, watcher: Watcher) -> Rows:
        """Features (samples, width) of a split, whose modality stands in this column of `present`."""
        signals, name = split.signals.get(self.modality.name), self.modality.name
        if isinstance(signals, ShardedSignals) and self.count_bytes(signals.shards) <= free_bytes(split.limit):
            shards = []
            for shard in signals.shards:
                shards.append(self.open_shard(shard))
                watcher.step(len(shard))
            held = ShardedSignals(shards, signals.size, signals.present)
            return FedRows(Features(name=name, length=self.width), held)
        out = np.zeros((len(split), self.width), dtype=np.float32)
        rows = split.present[:, column].nonzero()[0]
        parts = [rows[start : start + ROWS] for start in range(0, len(rows), ROWS)]
        inputs = split.inputs[name]
        for part, values in zip(parts, look_ahead(inputs.__getitem__, parts, split.workers), strict=True):
            out[part] = self.encode(values)
            watcher.step(len(part))
        return out

    def count_bytes(self, shards: Sequence[Shard]) -> int:
        """What the features of these shards will take on disk."""
        return 4 * self.width * sum(len(each) for each in shards if not find_derived(each, self.key).is_file())

    def open_shard(self, signals: Shard) -> Shard:
        """The shard of features of a shard of signals, of all its rows, whatever this training keeps of them."""

        def make() -> Content:
            inputs = FedRows(self.modality, [signals.read(row) for row in range(len(signals))])
            features: list[Any] = [None] * len(signals)
            rows = np.flatnonzero(signals.present())
            for start in range(0, len(rows), ROWS):
                part = rows[start : start + ROWS]
                for row, vector in zip(part, self.encode(inputs[part]), strict=True):
                    features[row] = vector
            return features, {}

        return hold_shard(find_derived(signals, self.key), {**signals.about, "kind": "features"}, make)

    @torch.no_grad()
    def encode(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Features (rows, width) of at most ROWS rows, in a batch of ROWS."""
        batch = torch.from_numpy(values[np.arange(ROWS) % len(values)]).to(self.device)
        return np.asarray(self.encoder(batch)[: len(values)].float().cpu().numpy())


def describe_module(module: nn.Module) -> list[Any]:
    """What a module computes besides its tensors: its parts, and the settings of each that are plain values."""
    settings = {
        name: {key: value for key, value in vars(part).items() if is_plain(value)}
        for name, part in module.named_modules()
    }
    return [str(module), str(getattr(module, "config", "")), settings]


def is_plain(value: object) -> bool:
    return all(map(is_plain, value)) if isinstance(value, (tuple, list)) else isinstance(value, (bool, int, float, str))
