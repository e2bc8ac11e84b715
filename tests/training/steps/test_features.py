"""Frozen encoders run once: the weights are those of running them in every step, wherever the features are held."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import save, save_clip, save_waves, write_world
from worlds import Nobody

from robustmm.config.recipe import Recipe, build_recipe
from robustmm.data.manifest import read_manifest
from robustmm.data.storage import cache
from robustmm.data.storage.choice import StorageOptions, estimate_bytes
from robustmm.errors import InterruptedRun
from robustmm.model.encoders.backbone import Backbone
from robustmm.runs import Run
from robustmm.training import checkpoint
from robustmm.training.build import effective_recipe
from robustmm.training.run import draw_model, prepare_data, resume, train
from robustmm.training.steps import features
from robustmm.training.steps.features import FrozenEncoder, list_constant

RESNET = {"embedding_size": 4, "hidden_sizes": [4, 8], "depths": [1, 1], "layer_type": "basic"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("frozen")
    write_world(place, 36)
    save(place / "resnet", "resnet", RESNET)
    save_clip(place / "clip")
    save_waves(place / "waves", "wav2vec2")
    return place


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(cache, "SHARD_ROWS", 8)


def recipe(folder: Path, image: str = "resnet", method: str = "joint", **tables: Any) -> Recipe:
    """A frozen picture beside a sound that learns."""
    encoder = {"name": "transformers", "model": str(folder / image), "freeze": True}
    sound = {"kind": "audio", "rate": 16000, "seconds": 0.075}
    content: dict[str, Any] = {
        "data": {"manifest": str(folder / "manifest.csv")},
        "modality": {"image": {"kind": "image", "size": [8, 8, 3], "encoder": encoder}, "audio": sound},
        "model": {"width": 8},
        "method": {"name": method},
        "train": {"epochs": 2, "batch": 5, "threads": 1},
        **tables,
    }
    return build_recipe(content, "frozen", "frozen")


def run(given: Recipe, root: Path, mode: str = "memory") -> Run:
    return train(given, Path(given.data.manifest), root, Nobody(), storage=StorageOptions(mode=mode, workers=2))  # type: ignore[arg-type]


def weights(found: Run) -> dict[str, torch.Tensor]:
    return checkpoint.load_tensors(found.weights)[0]


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Batches that have gone through a backbone since it was last asked."""
    seen, forward = list[Backbone](), Backbone.pool_output

    def counted(self: Backbone, mask: Any = None, **inputs: torch.Tensor) -> torch.Tensor:
        seen.append(self)
        return forward(self, mask, **inputs)

    def ask() -> int:
        total = len(seen)
        seen.clear()
        return total

    monkeypatch.setattr(Backbone, "pool_output", counted)
    return ask


@pytest.mark.parametrize("method", ["joint", "mce"])
def test_weights_are_those_of_running_the_encoder_in_every_step(
    method: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: Callable[[], int]
) -> None:
    given = recipe(folder, method=method, data={"manifest": str(folder / "manifest.csv"), "missing": {"image": 0.3}})
    once = weights(run(given, tmp_path))
    measured = 1 if method == "joint" else 2  # on a blank, by every model that is built: the picture's teacher, too
    assert count() == measured + 2
    monkeypatch.setattr(features, "list_constant", lambda *_: [])
    often = weights(run(given, tmp_path))
    assert count() >= measured + 2 * 6
    assert list(once) == list(often)
    for name, tensor in once.items():
        torch.testing.assert_close(tensor, often[name], rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("rows", [1, 5, 32])
def test_features_of_a_row_do_not_depend_on_the_others(rows: int, folder: Path) -> None:
    """A transformer's do, by an ulp, where the size of the batch changes."""
    given = recipe(folder, "clip")
    prepared = prepare_data(given, read_manifest(folder / "manifest.csv"), Nobody(), "error")
    encoder = FrozenEncoder(draw_model(given, prepared).encoders["image"], prepared.modalities[0], given)
    drawn = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 3), dtype=np.uint8)
    whole = encoder.encode(drawn)
    parts = [encoder.encode(drawn[::-1][start : start + rows]) for start in range(0, 32, rows)]
    np.testing.assert_array_equal(np.concatenate(parts)[::-1], whole)
    with torch.no_grad():
        np.testing.assert_allclose(encoder.encoder(torch.from_numpy(drawn[:3])).numpy(), whole[:3], rtol=1e-5)


def test_they_are_the_same_wherever_they_are_held_and_are_made_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = {"manifest": str(folder / "manifest.csv"), "missing": {"image": 0.3}}
    given = recipe(folder, "clip", data=missing)
    runs = [run(given, tmp_path, mode).weights.read_bytes() for mode in ("memory", "decode", "cache")]
    assert len(set(runs)) == 1
    kinds = {(each.modality, each.kind): each.samples for each in cache.list_cache().sets}
    assert kinds == {("image", "image"): 36, ("image", "features"): 36, ("audio", "audio"): 36}
    monkeypatch.setattr(FrozenEncoder, "encode", None)  # another seed, method and missing table make none
    run(recipe(folder, "clip", "mce", train={"epochs": 1, "seed": 3, "threads": 1}), tmp_path, "cache")


def test_a_cache_without_room_for_them_leaves_them_in_memory(folder: Path, tmp_path: Path) -> None:
    given = recipe(folder)
    signals = estimate_bytes(given.modalities, 36)
    options = StorageOptions(mode="cache", limit=signals)
    found = train(given, folder / "manifest.csv", tmp_path, Nobody(), storage=options)
    assert "features" not in {each.kind for each in cache.list_cache().sets}
    assert found.weights.read_bytes() == run(given, tmp_path).weights.read_bytes()


@pytest.mark.parametrize("change", ["weights", "options", "damage", "signals"])
def test_stale_features_are_never_used(change: str, folder: Path, tmp_path: Path) -> None:
    write_world(tmp_path, 36)
    save(tmp_path / "resnet", "resnet", RESNET)
    given = recipe(tmp_path)
    before = run(given, tmp_path, "cache").weights.read_bytes()
    found = [path for path in cache.cache_folder().rglob("*.signals") if b'"kind": "features"' in path.read_bytes()]
    if change == "damage":
        for path in found:
            path.write_bytes(path.read_bytes()[:-1])
    elif change == "options":
        table = given.modality["image"]["encoder"]
        table["mean"] = [0.1, 0.2, 0.3]
    elif change == "signals":
        np.save(tmp_path / "image.npy", 255 - np.load(tmp_path / "image.npy"))
    else:
        save(tmp_path / "resnet", "resnet", {**RESNET, "hidden_act": "gelu"})
        path = tmp_path / "resnet" / "config.json"
        assert "gelu" in path.read_text()
    after = run(given, tmp_path, "cache").weights.read_bytes()
    assert after == run(given, tmp_path, "memory").weights.read_bytes()
    assert (after == before) == (change == "damage")


def test_an_interrupted_training_goes_on_with_them(folder: Path, tmp_path: Path) -> None:
    class Stops(Nobody):
        def epoch(self, row: Any) -> None:
            raise KeyboardInterrupt

    given = recipe(folder)
    whole = run(given, tmp_path / "whole", "cache")
    with pytest.raises(InterruptedRun):
        train(given, folder / "manifest.csv", tmp_path, Stops(), storage=StorageOptions(mode="cache"))
    assert resume(Run(tmp_path / "frozen-001"), Nobody()).weights.read_bytes() == whole.weights.read_bytes()


@pytest.mark.parametrize(
    ("image", "tables", "constant"),
    [
        ({}, {}, True),
        ({"freeze": False}, {}, False),
        ({"unfreeze": 1}, {}, False),
        ({}, {"corrupt": {"noise": ["gaussian"]}}, False),
        ({}, {"corrupt": {"noise": ["gaussian"], "on": ["image"], "probability": 0.5}}, False),
        ({}, {"corrupt": {"noise": ["gaussian"], "on": ["audio"]}}, True),
        ({}, {"corrupt": {"noise": ["gaussian"], "probability": 0.0}}, True),
        ({}, {"augment": {"image": {"crop": 0.5}}}, False),
        ({}, {"augment": {"image": {"crop": 0}, "audio": {"volume": 0.5}}}, True),
    ],
)
def test_what_changes_between_steps_is_run_in_every_one(
    image: dict[str, Any], tables: dict[str, Any], constant: bool, folder: Path
) -> None:
    given = recipe(folder, **tables)
    given.modality["image"]["encoder"] |= image
    effective = effective_recipe(given)
    prepared = prepare_data(effective, read_manifest(folder / "manifest.csv"), Nobody(), "error")
    assert list_constant(draw_model(effective, prepared), effective) == ["image"] * constant


def test_a_norm_in_front_of_a_backbone_learns(folder: Path) -> None:
    """An image backbone hears our spectrogram behind a BatchNorm; the front end of waves has nothing to learn."""
    found = {}
    for name in ("resnet", "waves"):
        given = recipe(folder)
        config = {"num_channels": 1} if name == "resnet" else {}
        if name == "resnet":
            save(folder / "mono", "resnet", {**RESNET, **config})
        model = str(folder / ("mono" if name == "resnet" else name))
        given.modality["audio"]["encoder"] = {"name": "transformers", "model": model, "freeze": True}
        prepared = prepare_data(given, read_manifest(folder / "manifest.csv"), Nobody(), "error")
        found[name] = list_constant(draw_model(given, prepared), given)
    assert found == {"resnet": ["image"], "waves": ["image", "audio"]}
