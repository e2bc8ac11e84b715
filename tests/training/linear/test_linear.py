"""Linear models on simple features, on data with a planted truth; the method, and the line that others have to beat."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import worlds
from worlds import Nobody

from robustmm.bench.cell import run_cell
from robustmm.bench.planning import plan_cells
from robustmm.bench.torch_session import TorchSession
from robustmm.bench.worker import BenchSpec
from robustmm.config.recipe import build_recipe
from robustmm.data.manifest import read_manifest
from robustmm.data.storage.choice import StorageOptions
from robustmm.exporting.export import export
from robustmm.metrics.paired import CellResult
from robustmm.runs import Run
from robustmm.training import checkpoint
from robustmm.training.build import effective_recipe
from robustmm.training.linear import solving
from robustmm.training.linear.logistic import fit_logistic
from robustmm.training.run import train

WORDS = ("red", "blue", "green", "old", "new", "big")


class Listener(Nobody):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def note(self, text: str) -> None:
        self.told.append(text)


def write_world(folder: Path, samples: int = 240) -> Path:
    """Two classes: `text` tells them by a pair of words whose words each class has, `wave` by its frequency at any
    phase; the test split names files that are not there."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    rows, waves = [], []
    for i in range(samples):
        c, split = i % 2, ("train", "train", "valid", "test")[i // 2 % 4]
        words = [*rng.choice(WORDS[2:], 3), *(("red", "blue") if c else ("blue", "red")), *rng.choice(WORDS[2:], 2)]
        phase = 2 * np.pi * np.arange(40) * (3 + 2 * c) / 40 + rng.uniform(0, 6.28)
        waves.append(np.stack([np.sin(phase), rng.normal(size=40)], 1) + 0.3 * rng.normal(size=(40, 2)))
        rows.append([f"s{i}", split, "ab"[c], " ".join(words), "gone.npy#0" if split == "test" else f"w.npy#{i}"])
    np.save(folder / "w.npy", np.stack(waves).astype(np.float32))
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "split", "label", "text", "wave"], *rows])
    return folder / "manifest.csv"


TABLES: dict[str, Any] = {
    "text": {"kind": "text", "length": 9},
    "wave": {"kind": "series", "steps": 40, "channels": 2},
}


def run_linear(folder: Path, path: Path, tables: dict[str, Any] = TABLES, **content: Any) -> Run:
    recipe = build_recipe({"modality": tables, "method": {"name": "linear"}, "data": {}, **content}, "r", "r")
    return train(recipe, path, folder / "runs", Nobody())


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    folder = tmp_path_factory.mktemp("linear")
    path = write_world(folder / "data")
    return path, run_linear(folder, path)


def test_a_pair_of_words_and_a_frequency_are_found_and_test_is_not_read(planted: tuple[Path, Run]) -> None:
    best = planted[1].read_finished()["progress"]["best"]
    assert best["valid_accuracy"] == 1.0
    assert best["valid_accuracy_text"] == 1.0
    assert best["valid_accuracy_wave"] > 0.95


def test_its_file_answers_as_it_does(planted: tuple[Path, Run], tmp_path: Path) -> None:
    assert export(planted[1], tmp_path / "linear.onnx").parity_error() is None


def test_the_fused_answer_multiplies_the_classifiers(planted: tuple[Path, Run]) -> None:
    session, rows = TorchSession(planted[1]), read_manifest(planted[0]).split("valid")
    signals = {m.name: [m.read(c, rows.folder) for c in rows.columns[m.name]] for m in session.modalities}
    z = {m.name: session.embed(m.name, np.stack([m.feed(s) for s in signals[m.name]])) for m in session.modalities}
    both, text, wave = (
        session.decode(z, np.tile(mask, (len(rows), 1))) for mask in ([True, True], [True, False], [False, True])
    )
    product = text * wave
    np.testing.assert_allclose(both, product / product.sum(1, keepdims=True), atol=1e-5)


def test_the_recipe_says_what_was_trained(planted: tuple[Path, Run]) -> None:
    recipe = planted[1].read_facts()["recipe"]
    assert {table["encoder"]["name"] for table in recipe["modality"].values()} == {"handcrafted"}
    assert recipe["model"]["fusion"]["name"] == "sum"
    assert planted[1].read_facts()["line"] is None, "it is the line itself"


def test_it_takes_the_place_of_any_encoder_and_fusion() -> None:
    encoder = {"name": "conv", "channels": [4], "learning_rate_factor": 0.5}
    tables = {"wave": {**TABLES["wave"], "encoder": encoder}, "text": {**TABLES["text"]}}
    tables["text"]["encoder"] = {"name": "handcrafted", "buckets": 32}
    content = {"modality": tables, "method": {"name": "linear"}, "data": {}, "model": {"fusion": "attention"}}
    content |= {"augment": {"wave": {"jitter": 1.0}}, "corrupt": {"noise": ["gaussian"]}}
    train = {"accumulate": 4, "epochs": 9, "class_weights": "balanced", "seed": 3}
    found = effective_recipe(build_recipe({**content, "train": train}, "r", "r"))
    assert found.modality["wave"]["encoder"] == {"name": "handcrafted"}
    assert found.modality["text"]["encoder"] == {"name": "handcrafted", "buckets": 32}
    assert (found.train.epochs, found.train.accumulate, found.train.seed) == (1, 1, 3)
    assert found.train.class_weights == "none"
    assert (found.augment, found.corrupt) == ({}, None), "its features are measured once"


def test_more_classes_than_the_model_is_wide(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "v.npy", np.eye(6)[np.arange(60) % 6] + 0.1 * rng.normal(size=(60, 6)))
    with (tmp_path / "m.csv").open("w", newline="") as file:
        rows = [[f"s{i}", ("train", "valid")[i // 6 % 2], i % 6, f"v.npy#{i}"] for i in range(60)]
        csv.writer(file).writerows([["id", "split", "label", "v"], *rows])
    run = run_linear(tmp_path, tmp_path / "m.csv", {"v": {"kind": "features", "length": 6}}, model={"width": 2})
    assert run.read_finished()["recipe"]["model"]["width"] == 6
    assert run.read_finished()["progress"]["best"]["valid_accuracy"] == 1.0
    assert export(run, tmp_path / "m.onnx").parity_error() is None


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return worlds.manifest(tmp_path_factory.mktemp("world"), missing=0.2)


def test_the_line_is_told_and_kept_and_moves_no_weight(world: Path, tmp_path: Path) -> None:
    listener = Listener()
    measured = train(worlds.recipe(world), world, tmp_path, listener, line=True)
    plain = train(worlds.recipe(world), world, tmp_path, Nobody())
    line, sentence = measured.read_facts()["line"], listener.told[0]
    linear = worlds.recipe(world).model_copy(update={"method": {"name": "linear"}})
    best = train(linear, world, tmp_path, Nobody()).read_finished()["progress"]["best"]
    assert line == {name: best[name] for name in line}
    assert set(line) == {"valid_accuracy", "valid_accuracy_vector", "valid_accuracy_series"}
    assert sentence.startswith(f"linear models on simple features reach {line['valid_accuracy']:.1%} on valid (vector ")
    assert measured.result().line == pytest.approx(line, rel=1e-5)
    assert plain.result().line is None
    tensors = [checkpoint.load_tensors(run.weights)[0] for run in (measured, plain)]
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])


def test_a_bench_has_it_as_a_row_whose_seeds_agree(world: Path, tmp_path: Path) -> None:
    class Pipe:
        def send(self, event: tuple[str, Any]) -> None:
            assert event[0] in ("begin", "epoch"), event

    setting, scores = BenchSpec(world), []
    for cell in plan_cells(worlds.recipe(world), ["linear"], [0, 1], setting):
        run_cell(cell, setting, tmp_path, tmp_path / "answers", Pipe())  # type: ignore[arg-type]
        scores.append(CellResult.model_validate_json(cell.result_file(tmp_path).read_bytes()))
    assert scores[0].accuracy == scores[1].accuracy
    assert (scores[0].method, scores[0].epochs, scores[0].kept_epoch) == ("linear", 1, 1)
    assert scores[0].accuracy["clean"] > 0.6
    assert list(scores[0].accuracy) == ["clean", "only vector", "only series", "mean over subsets"]


def test_it_is_not_measured_where_data_are_not_in_memory(world: Path, tmp_path: Path) -> None:
    listener = Listener()
    run = train(
        worlds.recipe(world, epochs=1), world, tmp_path, listener, line=True, storage=StorageOptions(mode="decode")
    )
    assert run.read_facts()["line"] is None
    assert "not measured, since the data are not held in memory" in " ".join(listener.told)


def test_the_penalty_is_the_best_on_valid() -> None:
    rng = np.random.default_rng(1)
    target, wanted = np.arange(40) % 2, np.arange(400) % 2
    x, seen = (torch.from_numpy(rng.normal(size=(len(t), 30)) + 0.4 * t[:, None]).float() for t in (target, wanted))

    class Plain(solving.Handcrafted):
        def measure(self, x: torch.Tensor) -> torch.Tensor:
            return x

    encoder = Plain(30)
    found = solving.choose_classifier(encoder, lambda: iter([x]), target, lambda: iter([seen]), wanted, 2)
    scaled, there = encoder(x).double(), encoder(seen).double()
    each = {p: fit_logistic(scaled, target, 2, p).log_probabilities(there) for p in solving.PENALTIES}
    right = {p: (answers.argmax(1) == wanted).mean() for p, answers in each.items()}
    assert right[found.penalty] == max(right.values())
    assert found.penalty > min(solving.PENALTIES), "noise asks for more than the weakest"
    unjudged = solving.choose_classifier(Plain(30), lambda: iter([x]), target, lambda: iter([]), wanted[:0], 2)
    assert unjudged.penalty == solving.UNJUDGED


def test_of_many_rows_a_part_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Data:
        present, target, modalities = torch.ones(50, 1, dtype=torch.bool), torch.arange(50), ("v",)
        inputs = {"v": np.arange(50.0)[:, None]}
        device = torch.device("cpu")

    draws = [solving.read_rows(Data(), 0, 20)[1].tolist() for _ in range(2)]  # type: ignore[arg-type]
    assert draws[0] == draws[1] == sorted(set(draws[0]))
    assert len(draws[0]) == 20
    read, target = solving.read_rows(Data(), 0)  # type: ignore[arg-type]
    assert torch.equal(torch.cat(list(read())).flatten().long(), torch.from_numpy(target))
