"""Contracts over the registries: every method and fusion learns, exports and agrees; every kind goes the whole way."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile
from worlds import Nobody, manifest, tables

from robustmm.conditions.condition import Condition, Noise
from robustmm.config import shelf
from robustmm.config.recipe import Recipe, build_recipe, load_recipe
from robustmm.corruptions import kinds, names
from robustmm.data.benchmarks import BENCHMARKS
from robustmm.data.manifest import read_manifest
from robustmm.evaluation import attack
from robustmm.evaluation.evaluate import evaluate
from robustmm.exporting import export
from robustmm.methods import METHODS
from robustmm.model.fusion import FUSIONS
from robustmm.runs import Run
from robustmm.runtime.session import Session
from robustmm.training.build import build_model, effective_recipe
from robustmm.training.run import train

CHAINS = ["cal+mce", "mce+cal", "joint+unimodal"]


def trained(folder: Path, content: dict[str, object], path: Path) -> tuple[Run, list[dict[str, float]]]:
    watcher = Nobody()
    return train(build_recipe(content, "contract", "contract"), path, folder / "runs", watcher), watcher.rows


OWN_PARTS = {"arm", "balm", "cal", "dmrnet", "guarded", "mce", "mla", "one-stage", "pdf", "qmf", "redcore"}
OWN_PARTS |= {"reconboost", "shaspec", "cal+mce", "mce+cal"}
"""Methods that put a part of their own into the model. The models of the others are exported as `joint`'s is."""


def of_method(folder: Path, name: str, epochs: int) -> tuple[dict[str, object], Path]:
    """A recipe that trains it, and its data."""
    path = manifest(folder / "data", samples=192)
    content = tables(path) | {"train": {"epochs": epochs, "batch": 16, "threads": 1, "learning_rate": 0.01}}
    content["method"] = {**content["method"], "name": name}  # type: ignore[dict-item]
    return content, path


@pytest.mark.slow
@pytest.mark.parametrize("name", [*METHODS, *CHAINS])
def test_every_method_learns(name: str, tmp_path: Path) -> None:
    content, path = of_method(tmp_path, name, 16)
    run, rows = trained(tmp_path, content, path)
    own = rows[-16:]
    first = METHODS[name].terms[0] if name in METHODS else "fused"
    assert name == "linear" or own[-1][first] < 0.8 * own[0][first]  # which is solved for, in no steps
    assert run.read_facts()["progress"]["best"]["valid_accuracy"] > 0.5  # of three classes


@pytest.mark.slow
@pytest.mark.parametrize("name", ["joint", *sorted(OWN_PARTS)])
def test_every_model_of_a_method_exports_and_agrees(name: str, tmp_path: Path) -> None:
    run, _ = trained(tmp_path, *of_method(tmp_path, name, 2))
    assert export.export(run, run.model).parity_error() is None


def test_the_models_of_all_other_methods_are_that_of_joint(tmp_path: Path) -> None:
    def parts(name: str) -> str:
        recipe = build_recipe(of_method(tmp_path / name, name, 1)[0], "contract", "contract")
        return str(export.assemble_model(recipe, recipe.modalities, ["a", "b", "c"]))

    assert {name for name in [*METHODS, *CHAINS] if parts(name) != parts("joint")} == OWN_PARTS


@pytest.mark.slow
@pytest.mark.parametrize("name", list(FUSIONS))
def test_every_fusion_trains_with_cal_and_exports(name: str, tmp_path: Path) -> None:
    path = manifest(tmp_path / "data", missing=0.2)
    content = tables(path) | {"model": {"width": 8, "fusion": name}, "method": {"name": "cal"}, "train": {"epochs": 2}}
    run, _ = trained(tmp_path, content, path)
    assert export.export(run, run.model).parity_error() is None


@pytest.mark.parametrize("name", sorted({*shelf.list_names("models")} - {*BENCHMARKS}))
def test_every_shipped_recipe_builds(name: str) -> None:
    """Those of the public benchmarks have the papers' backbones: see tests/cli/test_benchmark_recipes.py."""
    recipe = load_recipe(shelf.find_file("models", name))
    assert effective_recipe(recipe).train.learning_rate
    model = build_model(recipe, recipe.modalities, 3)
    assert 10_000 < sum(p.numel() for p in model.parameters()) < 5_000_000


def every_kind(folder: Path, samples: int = 48) -> Path:
    """All six kinds as real files."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    rows = []
    for i in range(samples):
        c = i % 2
        picture = rng.integers(0, 80, (12, 14, 3), dtype=np.uint8)
        picture[:, 7 * c : 7 * c + 7] += 120
        cv2.imwrite(str(folder / f"i{i}.png"), picture)
        tone = 0.3 * np.sin(2 * np.pi * (300 + 500 * c) * np.arange(1600) / 8000)
        soundfile.write(folder / f"a{i}.wav", tone + 0.05 * rng.normal(size=1600), 8000)
        clip = rng.integers(0, 80, (5, 8, 8), dtype=np.uint8)
        clip[np.arange(5), np.arange(5) if c else 4 - np.arange(5)] = 255
        np.save(folder / f"v{i}.npy", clip)
        np.save(folder / f"s{i}.npy", rng.normal(size=(9, 2)) + c)
        np.save(folder / f"f{i}.npy", rng.normal(size=4) + 2 * c)
        words = " ".join(rng.choice(["good", "fine", "day"] if c else ["bad", "poor", "day"], 5))
        split = ("train", "train", "valid", "test")[i // 2 % 4]
        rows.append(
            [f"k{i}", split, "yes" if c else "no", f"i{i}.png", f"a{i}.wav", f"v{i}.npy", f"s{i}.npy", f"f{i}.npy"]
        )
        rows[-1].append(words)
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "split", "label", "im", "au", "vi", "se", "fe", "tx"], *rows])
    return folder / "manifest.csv"


KINDS = {
    "im": {"kind": "image", "size": [12, 12, 1], "encoder": {"name": "conv", "channels": [4, 8]}},
    "au": {"kind": "audio", "rate": 8000, "seconds": 0.2, "encoder": {"name": "conv", "channels": [4, 8]}},
    "vi": {"kind": "video", "frames": 4, "size": [8, 8, 1], "encoder": {"name": "conv", "channels": [4, 8]}},
    "se": {"kind": "series", "steps": 8, "channels": 2, "encoder": {"name": "conv", "channels": [4, 8]}},
    "fe": {"kind": "features", "length": 4, "encoder": {"name": "mlp", "layers": [8]}},
    "tx": {"kind": "text", "length": 8},
}

WITHOUT_A_TARGET = {"axis-rotation", "casing", "chromatic-aberration", "echo", "numbers-to-words", "saturate"}
WITHOUT_A_TARGET |= {"white-balance"}
"""Those that cannot corrupt these signals: grey pictures, clips shorter than an echo, words without numbers."""


@pytest.mark.slow
def test_every_kind_goes_from_files_to_an_attack(tmp_path: Path) -> None:
    path = every_kind(tmp_path / "data")
    content = {"data": {"manifest": str(path)}, "modality": KINDS, "model": {"width": 8}, "method": {"name": "cal"}}
    run, _ = trained(tmp_path, content | {"train": {"epochs": 3, "batch": 12}}, path)
    assert export.export(run, run.model).parity_error() is None
    session = Session(run.model)
    rows = read_manifest(path).split("test")
    conditions = [Condition(name, (Noise(name, 1.0),)) for name in names()]
    (clean, *found), _ = evaluate(session, rows, [Condition("clean"), *conditions])
    for condition, records in zip(conditions, found, strict=True):
        corrupted = {session.modality(name).kind for name in condition.changed_modalities(session.modalities)}
        assert corrupted == set(kinds(condition.name))
        assert records.residual < 1e-9
        changed = not np.array_equal(records.probabilities, clean.probabilities)
        assert changed or condition.name in WITHOUT_A_TARGET, condition.name


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 10])
def test_one_and_ten_modalities(count: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    target = np.arange(64) % 2
    columns = {}
    for m in range(count):
        np.save(tmp_path / f"m{m}.npy", (rng.normal(size=(64, 3)) + target[:, None]).astype(np.float32))
        columns[f"m{m}"] = [f"m{m}.npy#{i}" for i in range(64)]
    splits = [("train", "train", "valid", "test")[i // 2 % 4] for i in range(64)]
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "split", "label", *columns])
        writer.writerows([i, splits[i], target[i], *(cells[i] for cells in columns.values())] for i in range(64))
    modalities = {m: {"kind": "features", "length": 3, "encoder": {"name": "mlp", "layers": [8]}} for m in columns}
    content = {"data": {"manifest": "x"}, "modality": modalities, "model": {"width": 8}, "train": {"epochs": 2}}
    run, _ = trained(tmp_path, content, tmp_path / "manifest.csv")
    assert export.export(run, run.model).parity_error() is None
    session = Session(run.model)
    rows = read_manifest(tmp_path / "manifest.csv").split("test")
    result = attack.attack(session, rows, Condition("a", (Noise("gaussian", 0.5),)), split="test", seed=0)
    assert result.exact == (count <= 8)
    assert len(result.modalities) == count
    assert result.efficiency_residual < 1e-9


def test_a_recipe_survives_its_own_facts(world: Run) -> None:
    recipe = Recipe.model_validate(world.read_facts()["recipe"])
    assert effective_recipe(recipe) == recipe


def test_modalities_called_like_a_modules_methods_train_and_export(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data")
    content = tables(path)
    vector, series = content["modality"].values()  # type: ignore[attr-defined]
    content["modality"] = {"values": {**vector, "column": "vector"}, "type": {**series, "column": "series"}}
    run, _ = trained(tmp_path, content | {"train": {"epochs": 1}}, path)
    assert export.export(run, run.model).parity_error() is None
    assert Session(run.model).names == ["values", "type"]
