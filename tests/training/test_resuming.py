"""Resuming on what somebody damaged: a sentence, or the run as if nothing had happened; never anything else."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from worlds import Nobody, manifest, recipe

import robustmm as rm
from robustmm.config.recipe import Recipe
from robustmm.errors import DataError, InterruptedRun, RobustmmError
from robustmm.runs import Run
from robustmm.training.checkpoint import Damage, load_tensors, save_tensors
from robustmm.training.run import resume, train

FILES = ("last.safetensors", "log.csv", "run.json")


class Stops(Nobody):
    """Ctrl-C after the second epoch of the training itself."""

    def note(self, text: str) -> None: ...

    def begin(self, title: str, epochs: int, done: int, steps: int) -> None:
        self.title = title

    def epoch(self, row: object) -> None:
        super().epoch(row)
        if self.title == "training" and self.rows[-1]["epoch"] == 2:
            raise KeyboardInterrupt


def settings(path: Path, optimiser: str) -> Recipe:
    """SGD with the buffers of MCE, or AdamW with none."""
    found = recipe(path, optimiser=optimiser)
    return found if optimiser == "sgd" else found.model_copy(update={"method": {"name": "joint"}})


@pytest.fixture(scope="module", params=["sgd", "adamw"])
def interrupted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """A run stopped after two of three epochs, and the same one that was not."""
    folder = tmp_path_factory.mktemp(request.param)
    path = manifest(folder / "data")
    whole = train(settings(path, request.param), path, folder / "whole", Nobody())
    with pytest.raises(InterruptedRun):
        train(settings(path, request.param), path, folder / "runs", Stops())
    return Run(folder / "runs" / "world-001"), whole


def copied(run: Run, tmp_path: Path) -> Run:
    return Run(Path(shutil.copytree(run.folder, tmp_path / "run", dirs_exist_ok=True)))


def refusal(run: Run) -> str:
    """The sentence that a resume ends with; empty where it goes on."""
    try:
        resume(run, Nobody())
    except RobustmmError as error:
        found = str(error)
    else:
        found = ""
    assert "\n" not in found
    return found


def resumed(run: Run, whole: Run) -> str:
    """The sentence; empty where the run went on, which must then be the one that nobody touched."""
    if sentence := refusal(run):
        return sentence
    assert run.weights.read_bytes() == whole.weights.read_bytes()
    assert run.log_file.read_bytes() == whole.log_file.read_bytes()
    return ""


def damaged_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    """A byte changed, a part gone, doubled, emptied or of noise, the end cut off."""
    start = int(rng.integers(len(content)))
    stop, what = start + int(rng.integers(1, 40)), int(rng.integers(6))
    if what == 0:
        return content[:start] + bytes([content[start] ^ int(rng.integers(1, 256))]) + content[start + 1 :]
    middle = [b"", 2 * content[start:stop], bytes(stop - start), rng.bytes(stop - start), b""][what - 1]
    return content[:start] + middle + (b"" if what == 5 else content[stop:])


@pytest.mark.parametrize("name", FILES)
def test_whatever_byte_is_damaged(interrupted: tuple[Run, Run], tmp_path: Path, name: str) -> None:
    """Nothing of the checkpoint and of the log goes unnoticed; much of run.json is only remembered."""
    run, whole = interrupted
    told = 0
    for seed in range(25):
        copy, rng = copied(run, tmp_path), np.random.default_rng(seed)
        path = copy.folder / name
        content = path.read_bytes()
        path.write_bytes(damaged_bytes(content, rng))
        told += bool(resumed(copy, whole)) and path.read_bytes() != content
        shutil.rmtree(copy.folder)
    assert told >= (5 if name == "run.json" else 24)


def places(tree: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON tree."""
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [place for key, value in inside for place in [(*at, key), *places(value, (*at, key))]]


def put(tree: Any, place: tuple[Any, ...], value: Any) -> None:
    for key in place[:-1]:
        tree = tree[key]
    tree[place[-1]] = value


VALUES = (None, -1, 0, 10**30, 1e308, float("nan"), "", "\x1b[31m", "\0", [], {}, True, [[]], {"a": None})


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"{}", b'{"started": "today"}', b'{"inside": 3}'])
def test_run_json_is_damaged(
    interrupted: tuple[Run, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """By its path, as a user resumes it: the sentence names the file and says how to start again."""
    copied(interrupted[0], tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("run/run.json").write_bytes(content)
    with pytest.raises(DataError, match=r"run/run\.json .*; start again with: robustmm train run/recipe\.toml$"):
        rm.resume("run")
    assert Path("run/run.json").read_bytes() == content


@pytest.mark.parametrize("seed", range(40))
def test_run_json_says_something_else(interrupted: tuple[Run, Run], tmp_path: Path, seed: int) -> None:
    run, whole = interrupted
    copy, rng = copied(run, tmp_path), np.random.default_rng(seed)
    facts = copy.read_facts()
    facts["finished"] = False
    wanted = [place for place in places(facts) if place[0] in ("recipe", "manifest", "on_bad")]
    put(facts, wanted[rng.integers(len(wanted))], VALUES[seed % len(VALUES)])
    (copy.folder / "run.json").write_text(json.dumps(facts))
    resumed(copy, whole)


@pytest.mark.parametrize("seed", range(40))
def test_facts_under_a_right_checksum(interrupted: tuple[Run, Run], tmp_path: Path, seed: int) -> None:
    copy, rng = copied(interrupted[0], tmp_path), np.random.default_rng(seed)
    tensors, facts = load_tensors(copy.checkpoint)
    found = places(facts)
    put(facts, found[rng.integers(len(found))], VALUES[seed % len(VALUES)])
    save_tensors(copy.checkpoint, tensors, facts)
    refusal(copy)


def drop(tensors: dict[str, Any], name: str) -> None:
    del tensors[name]


def lengthen(tensors: dict[str, Any], name: str) -> None:
    tensors[name] = torch.zeros(7, *tensors[name].shape)


def rename(tensors: dict[str, Any], name: str) -> None:
    tensors[name + "x"] = tensors.pop(name)


def retype(tensors: dict[str, Any], name: str) -> None:
    tensors[name] = tensors[name].to(torch.complex64)


def number(tensors: dict[str, Any], name: str) -> None:
    tensors["optimiser.x.step"] = tensors["optimiser.99999.step"] = tensors[name]


CHANGES = [
    (c, prefix) for c in (drop, lengthen, rename, number) for prefix in ("model.", "method.", "optimiser.", "best.")
]


@pytest.mark.parametrize(("change", "prefix"), [*CHANGES, (retype, "optimiser."), (retype, "best.")])
def test_tensors_that_are_not_the_runs_under_a_right_checksum(
    interrupted: tuple[Run, Run], tmp_path: Path, change: Callable[[dict[str, Any], str], None], prefix: str
) -> None:
    run, whole = interrupted
    copy = copied(run, tmp_path)
    tensors, facts = load_tensors(copy.checkpoint)
    name = next(name for name in sorted(tensors) if name.startswith(prefix))
    if change is drop and name.endswith("momentum_buffer"):
        pytest.skip("a parameter without momentum is one that no gradient has reached")
    change(tensors, name)
    save_tensors(copy.checkpoint, tensors, facts)
    sentence = resumed(copy, whole)
    assert sentence.startswith("the checkpoint is damaged: ")
    assert sentence.endswith(f"; start again with: robustmm train {copy.folder}/recipe.toml")


def test_a_log_is_the_checkpoints(interrupted: tuple[Run, Run], tmp_path: Path) -> None:
    """A digit changed in a row that stays; rows beyond the checkpoint, which a kill leaves, are written anew."""
    run, whole = interrupted
    content = run.log_file.read_bytes()
    for beyond in (b"3,half a ro", bytes(900) + b"x", b"\xff,\r\n", b'"', b"x" * 200_000, b"1,2" + 99 * b",3"):
        copy = copied(run, tmp_path)
        copy.log_file.write_bytes(content + beyond)
        assert resumed(copy, whole) == ""
    copy = copied(run, tmp_path)
    copy.log_file.write_bytes(content.replace(b"\r\n1,0.", b"\r\n1,1."))
    assert copy.log_file.read_bytes() != content
    assert f"{copy.log_file} is not as it was written; start again with" in resumed(copy, whole)
    copy.log_file.unlink()
    assert f"{copy.log_file}: No such file or directory; start again with" in resumed(copy, whole)


def test_another_recipe_in_run_json(interrupted: tuple[Run, Run], tmp_path: Path) -> None:
    run, whole = interrupted
    copy = copied(run, tmp_path)
    facts = copy.read_facts()
    facts["recipe"]["train"]["learning_rate"] = 0.5
    copy.update_facts(recipe=facts["recipe"])
    assert "run.json holds another recipe than the one that was trained; start" in resumed(copy, whole)


def test_weights_without_a_checksum_are_read_and_with_a_wrong_one_are_not(tmp_path: Path) -> None:
    from safetensors.torch import save

    tensors = {"a": torch.ones(2, 3), "b": torch.tensor(1.5, dtype=torch.bfloat16), "c": torch.zeros(0)}
    path = tmp_path / "w.safetensors"
    path.write_bytes(save(tensors, {"facts": "{}"}))
    assert load_tensors(path)[0]["a"].tolist() == tensors["a"].tolist()
    path.write_bytes(save(tensors, {"facts": "0 {}"}))
    with pytest.raises(Damage, match=r"w\.safetensors is not a readable checkpoint \(its content does not have"):
        load_tensors(path)
    save_tensors(path, tensors, {"x": 1})
    found, facts = load_tensors(path)
    assert facts == {"x": 1}
    assert {name: t.dtype for name, t in found.items()} == {name: t.dtype for name, t in tensors.items()}
    path.unlink()
    path.mkdir()
    with pytest.raises(DataError, match="is not a readable checkpoint"):
        load_tensors(path)


def test_damaged_answers_of_teachers_are_made_again(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data")
    whole = train(settings(path, "sgd"), path, tmp_path / "runs", Nobody(), answers=tmp_path / "answers")
    files = sorted((tmp_path / "answers").iterdir())
    contents = [file.read_bytes() for file in files]
    assert files
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    again = train(settings(path, "sgd"), path, tmp_path / "runs", Nobody(), answers=tmp_path / "answers")
    assert again.weights.read_bytes() == whole.weights.read_bytes()
    for file, content in zip(files, contents, strict=True):
        assert file.read_bytes()[-64:] == content[-64:]
