"""`robustmm train`, rightly used and misused; and train, export, attack in order, with nothing named."""

import errno
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import worlds

from robustmm.api import training
from robustmm.config.toml import to_toml
from robustmm.report.live.training import Live
from robustmm.runs import Run
from robustmm.system import STOPPING
from robustmm.training import checkpoint

Cli = Callable[..., Any]


def recipe(folder: Path, manifest: object, **method: Any) -> Path:
    """A recipe file over the world's manifest that trains in a moment."""
    content = worlds.tables(Path(str(manifest)))
    content["train"] = {"epochs": 2, "batch": 16, "threads": 1}
    content["method"] = method or {"name": "joint"}
    (folder / "tiny.toml").write_text(to_toml(content), encoding="utf-8")
    return folder / "tiny.toml"


@pytest.fixture
def here(tmp_path: Path, world_manifest: Path) -> Path:
    """A folder with tiny.toml in it."""
    return recipe(tmp_path, world_manifest).parent


def weights(run: Run) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in checkpoint.load_tensors(run.weights)[0].items()}


@contextmanager
def stopped(title: str, epochs: int = 0) -> Iterator[None]:
    """Ctrl-C in the first step of what the live view calls `title`, after some epochs of it."""

    def step(self: Live, count: int = 1) -> None:
        if self.title == title and len(self.rows) >= epochs:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Live, "step", step)
        yield


@contextmanager
def full_disk(after: int = 0) -> Iterator[None]:
    """Nothing more can be written once `after` files are."""
    written = iter(range(after))

    def fsync(descriptor: int) -> None:
        if next(written, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        yield


def test_train_export_attack_and_predict_with_nothing_named(robustmm: Cli, here: Path, world_manifest: Path) -> None:
    trained = robustmm("train", "tiny.toml", cwd=here)
    assert trained.code == 0
    assert trained.err.startswith(f"training tiny (tiny.toml) with joint on {world_manifest}\n")
    assert "runs/tiny-001: kept epoch" in trained.out
    line = Run(here / "runs/tiny-001").read_facts()["line"]
    each = ", ".join(f"{m} {line[f'valid_accuracy_{m}']:.1%}" for m in ("vector", "series"))
    told = f"linear models on simple features reach {line['valid_accuracy']:.1%} on valid ({each}): the line to beat"
    assert trained.err.splitlines()[1] == told
    said = f"to beat: linear models {line['valid_accuracy']:.1%} ({each})"
    assert trained.out.splitlines()[1] == said
    assert trained.out.endswith("next: robustmm export\n")
    exported = robustmm("export", cwd=here)
    assert exported.code == 0
    assert exported.err == "exporting runs/tiny-001 (the newest finished run)\n"
    assert "runs/tiny-001/model.onnx, 0." in exported.out
    attacked = robustmm("attack", "--noise", "gaussian", "--level", "0.5", cwd=here)
    assert attacked.code == 0
    assert attacked.err.splitlines()[:2] == [
        "model: runs/tiny-001/model.onnx (the newest exported)",
        f"data: split test of {world_manifest} (what the model was trained on)",
    ]
    predicted = robustmm("predict", f"--vector={world_manifest.parent}/vector.npy#5", cwd=here)
    assert predicted.code == 0
    assert predicted.err == "model: runs/tiny-001/model.onnx (the newest exported)\n"
    assert str(world_manifest.parent).encode() not in (here / "runs/tiny-001/model.onnx").read_bytes()


def test_the_epochs_are_told_where_there_is_no_screen(robustmm: Cli, here: Path) -> None:
    result = robustmm("train", "tiny.toml", cwd=here)
    lines = [line for line in result.err.splitlines() if line.startswith("training: epoch")]
    assert [line.split()[2] for line in lines] == ["1", "2"]
    for word in ("fused", "valid", "vector", "series", "share(vector)", "share(series)"):
        assert f" {word} " in lines[0]
    assert "training" not in result.out


def test_options_lie_over_the_recipe(robustmm: Cli, tmp_path: Path, world_manifest: Path) -> None:
    recipe(tmp_path, tmp_path / "no.csv")
    words = ["--data", world_manifest, "--method", "mce", "--epochs", "1", "--seed", "7", "--missing", "series=0.5"]
    settings = ["train.batch=8", "modality.series.encoder.channels=[4]", "method.mce.hidden=8", "train.schedule=step"]
    settings.append("train.threads=2")
    sets = [word for setting in settings for word in ("--set", setting)]
    result = robustmm("train", tmp_path / "tiny.toml", *words, *sets, "--runs", tmp_path / "elsewhere")
    assert result.code == 0
    assert "with mce on" in result.err
    run = Run(tmp_path / "elsewhere" / "tiny-001")
    assert result.out.endswith(f"next: robustmm export {run.folder}\n")
    found = run.read_facts()["recipe"]
    assert found["method"]["name"] == "mce"
    assert found["method"]["mce"]["hidden"] == 8
    assert found["data"] == {"manifest": str(world_manifest), "source": "", "missing": {"series": 0.5}}
    train = {key: found["train"][key] for key in ("epochs", "seed", "batch", "schedule", "threads")}
    assert train == {"epochs": 1, "seed": 7, "batch": 8, "schedule": "step", "threads": 2}
    assert found["modality"]["series"]["encoder"]["channels"] == [4]
    rows = (run.folder / "missing.csv").read_text().split()[1:]
    assert sum(row.endswith(",1,0") for row in rows) == len(rows) // 2


def test_a_bare_rate_is_for_every_modality(robustmm: Cli, here: Path) -> None:
    assert robustmm("train", "tiny.toml", "--epochs", "1", "--missing", "0.25", cwd=here).code == 0
    found = Run(here / "runs/tiny-001").read_facts()["recipe"]["data"]["missing"]
    assert found == {"vector": 0.25, "series": 0.25}


def test_the_largest_seed_trains(robustmm: Cli, here: Path) -> None:
    result = robustmm("train", "tiny.toml", "--epochs", "1", "--method", "cal", "--seed", 2**63 - 1, cwd=here)
    assert result.code == 0


def test_a_runs_own_recipe_can_be_trained_again(robustmm: Cli, tmp_path: Path, world_manifest: Path) -> None:
    shutil.copytree(world_manifest.parent, tmp_path / "data")
    recipe(tmp_path, "data/manifest.csv")
    assert robustmm("train", "tiny.toml", cwd=tmp_path).code == 0
    assert robustmm("train", "runs/tiny-001/recipe.toml", "--runs", "again", cwd=tmp_path).code == 0
    assert weights(Run(tmp_path / "again/tiny-001")) == weights(Run(tmp_path / "runs/tiny-001"))


def test_stopped_and_continued_as_told(robustmm: Cli, tmp_path: Path, world_manifest: Path) -> None:
    recipe(tmp_path, world_manifest, name="cal+mce", mce={"hidden": 16})
    run = Run(tmp_path / "my runs" / "tiny-001")
    assert robustmm("train", tmp_path / "tiny.toml", "--runs", tmp_path / "whole").code == 0
    with stopped("training", 1):
        result = robustmm("train", tmp_path / "tiny.toml", "--runs", run.folder.parent)
    assert (result.code, result.out) == (5, "")
    assert not run.is_finished
    assert len(run.log_file.read_text().splitlines()) == 2, "a heading and one whole epoch"
    sentence, _, command = result.err.splitlines()[-1].partition("continue with: ")
    assert sentence == "error: stopped; every whole epoch is kept, "
    resumed = robustmm(*shlex.split(command)[1:])
    assert resumed.code == 0
    assert resumed.err.startswith(f"resuming {run.folder}\n")
    assert weights(run) == weights(Run(tmp_path / "whole/tiny-001"))


def test_resume_takes_the_newest_unfinished_run_and_can_be_stopped_again(robustmm: Cli, here: Path) -> None:
    for _ in range(2):
        with stopped("training"):
            assert robustmm("train", "tiny.toml", cwd=here).code == 5
    assert robustmm("train", "tiny.toml", "--epochs", "1", cwd=here).code == 0
    with stopped("reading"):
        result = robustmm("train", "--resume", cwd=here)
    assert result.code == 5
    assert result.err.endswith("continue with: robustmm train --resume runs/tiny-002\n")
    result = robustmm("train", "--resume", cwd=here)
    assert result.code == 0
    assert result.err.startswith("resuming runs/tiny-002\n")
    assert [Run(here / f"runs/tiny-00{i}").is_finished for i in (1, 2, 3)] == [False, True, True]


def test_stopped_before_there_is_a_run(robustmm: Cli, here: Path) -> None:
    with stopped("reading"):
        result = robustmm("train", "tiny.toml", cwd=here)
    assert result.code == 5
    assert result.err.endswith("error: interrupted before there was anything to keep\n")
    assert not (here / "runs").exists()


@pytest.mark.parametrize("number", STOPPING, ids=[number.name for number in STOPPING])
def test_a_real_interrupt(robustmm: Cli, here: Path, number: signal.Signals) -> None:
    """Ctrl-C, a scheduler's or a container's end, a terminal that is closed."""
    run = Run(here / "runs/tiny-001")

    def stop_after(epoch: int, *words: str) -> int:
        """Stops a training that is past an epoch; the last one that it wrote down."""
        command = [sys.executable, "-m", "robustmm", "train", *words]
        with subprocess.Popen(command, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            deadline = time.monotonic() + 120
            while not run.checkpoint.exists() or last_epoch() <= epoch:
                assert process.poll() is None, "it ended before it could be stopped"
                assert time.monotonic() < deadline
                time.sleep(0.01)
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
        assert process.returncode == 5
        assert out == ""
        assert "Traceback" not in err
        assert err.splitlines()[-1].endswith("continue with: robustmm train --resume runs/tiny-001")
        return last_epoch()

    def last_epoch() -> int:
        return int(run.log_file.read_text().splitlines()[-1].split(",")[0])

    first = stop_after(0, "tiny.toml", "--epochs", "100000")
    second = stop_after(first, "--resume", "runs/tiny-001")
    epochs = [int(line.split(",")[0]) for line in run.log_file.read_text().splitlines()[1:]]
    assert epochs == list(range(1, second + 1)), "none is lost and none is twice"


@pytest.mark.parametrize(
    "words",
    [
        ["--data", "digits"],
        ["--method", "joint"],
        ["--missing", "0.1"],
        ["--epochs", "3"],
        ["--seed", "0"],
        ["--set", "train.batch=8"],
        ["--on-bad-input", "missing"],
    ],
)
def test_resume_takes_no_other_option(robustmm: Cli, tmp_path: Path, words: list[str]) -> None:
    result = robustmm("train", "--resume", *words, cwd=tmp_path)
    assert (result.code, result.out) == (2, "")
    assert result.err == f"error: --resume continues a run as it was started, without {words[0]}\n"


def test_what_cannot_be_resumed(robustmm: Cli, here: Path) -> None:
    assert "there should be an unfinished run in runs/, found none" in robustmm("train", "--resume", cwd=here).err
    assert "tiny.toml is not a run" in robustmm("train", "tiny.toml", "--resume", cwd=here).err
    assert robustmm("train", "tiny.toml", cwd=here).code == 0
    assert "there should be an unfinished run in runs/, found none" in robustmm("train", "--resume", cwd=here).err
    result = robustmm("train", "--resume", "runs/tiny-001", cwd=here)
    assert result.code == 2
    assert "runs/tiny-001 has finished; train anew with: robustmm train" in result.err


def test_resuming_on_data_that_vanished(robustmm: Cli, tmp_path: Path, world_manifest: Path) -> None:
    shutil.copytree(world_manifest.parent, tmp_path / "data")
    recipe(tmp_path, "data/manifest.csv")
    with stopped("training"):
        assert robustmm("train", "tiny.toml", cwd=tmp_path).code == 5
    shutil.rmtree(tmp_path / "data")
    result = robustmm("train", "--resume", cwd=tmp_path)
    assert result.code == 3
    assert "data/manifest.csv does not exist" in result.err


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["no.toml"], 2, "the recipe no.toml does not exist"),
        (["dgits"], 2, '"dgits" is not a recipe, did you mean "digits"?'),
        (["broken.toml"], 2, "broken.toml is not valid TOML"),
        (["tiny.toml", "digits"], 2, "Got unexpected extra argument"),
        (["tiny.toml", "--fast"], 2, "No such option: --fast"),
        (["tiny.toml", "--epoch", "3"], 2, "No such option: --epoch (Possible options: --epochs)"),
        (["tiny.toml", "--method", "jont"], 2, '"jont" is not a method, did you mean "joint"?'),
        (["tiny.toml", "--method", "cal+mc"], 2, '"mc" is not a method, did you mean "mce"?'),
        (["tiny.toml", "--method", ""], 2, '"" is not a method'),
        (["tiny.toml", "--method", "7"], 2, "[method] name should be a name, found 7"),
        (["tiny.toml", "--method", "[/red]"], 2, "[/red]"),
        (["tiny.toml", "--set", "model.fusion=concatt"], 2, '"concatt" is not a fusion, did you mean "concat"?'),
        (["tiny.toml", "--set", "modality.series.encoder=conw"], 2, 'is not an encoder, did you mean "conv"?'),
        (
            ["tiny.toml", "--set", "modality.series.encoder.chanels=[4]"],
            2,
            '"chanels" is not an option of encoder "conv", did you mean "channels"?',
        ),
        (["tiny.toml", "--set", "modality.series.encoder.channels=[0]"], 2, "channels.0: input should be greater"),
        (["tiny.toml", "--set", "modality.series.encoder.unfreeze=1"], 2, "unfreeze = 1 needs freeze = true"),
        (["tiny.toml", "--set", "modality.series.encoder.freeze=true"], 2, "freeze would keep the random weights"),
        (["tiny.toml", "--method", "mla", "--set", "train.accumulate=2"], 2, "mla decides itself what learns in a"),
        (["tiny.toml", "--set", "modality.series.steps=0"], 2, "[modality.series] steps: should be greater than 0"),
        (["tiny.toml", "--set", "method.call.gamma=1"], 2, 'options are given for "call", which is not a method'),
        (["tiny.toml", "--set", "train.epoch=1"], 2, '[train] "epoch" is not a key here, did you mean "epochs"?'),
        (["tiny.toml", "--set", "trian.epochs=1"], 2, '"trian" is not a key here, did you mean "train"?'),
        (["tiny.toml", "--set", "train.epochs"], 2, "--set should be KEY=VALUE"),
        (["tiny.toml", "--set", "train.epochs.x=1"], 2, '"epochs" is not a table'),
        (["tiny.toml", "--set", 'data.manifest=""'], 2, "tiny.toml names no manifest; give yours with --data"),
        (["tiny.toml", "--epochs", "0"], 2, "[train] epochs: should be greater than or equal to 1, found 0"),
        (["tiny.toml", "--epochs", "many"], 2, "Invalid value for '--epochs'"),
        (["tiny.toml", "--seed", "-1"], 2, "Invalid value for '--seed'"),
        (["tiny.toml", "--seed", str(2**63)], 2, "[train] seed: should be less than 9223372036854775808"),
        (["tiny.toml", "--missing", "vector"], 2, 'MODALITY=RATE with a rate in [0, 1], found "vector"'),
        (["tiny.toml", "--missing", "vector=1.5"], 2, 'with a rate in [0, 1], found "vector=1.5"'),
        (["tiny.toml", "--missing", "vector=nan"], 2, 'with a rate in [0, 1], found "vector=nan"'),
        (["tiny.toml", "--missing", "vector=1"], 2, "[data.missing] vector: should be less than 1, found 1.0"),
        (["tiny.toml", "--missing", "vectr=0.5"], 2, 'there is no modality "vectr", did you mean "vector"?'),
        (["tiny.toml", "--on-bad-input", "ignore"], 2, "'ignore' is not one of 'error', 'missing'"),
        (["tiny.toml", "--data", "no.csv"], 3, "the manifest no.csv does not exist"),
        (["tiny.toml", "--data", "."], 3, "should hold one manifest.csv, .jsonl or .parquet, found 0"),
        (["tiny.toml", "--data", "tiny.toml"], 3, "tiny.toml should end in .csv, .jsonl, .parquet"),
        (["tiny.toml", "--set", "modality.vector.length=6"], 3, "should be a vector of 6 numbers, found shape (5,)"),
        (["tiny.toml", "--set", "modality.vector.column=vectr"], 3, 'no column "vectr", did you mean "vector"?'),
        (["tiny.toml", "--runs", "tiny.toml"], 3, "tiny.toml can hold no new run: File exists"),
        (["tiny.toml", "--runs", "tiny.toml/x"], 3, "tiny.toml/x can hold no new run: Not a directory"),
    ],
)
def test_misused(robustmm: Cli, here: Path, words: list[str], code: int, sentence: str) -> None:
    (here / "broken.toml").write_text("[train\n")
    result = robustmm("train", *words, cwd=here)
    assert (result.code, result.out) == (code, "")
    (told,) = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert sentence in told
    assert not (here / "runs").exists(), "nothing is left of a run that could not start"


def test_all_errors_of_a_recipe_are_told_at_once(robustmm: Cli, here: Path) -> None:
    words = ["--epochs", "0", "--set", "train.bach=3", "--set", "modality.series.kind=seris"]
    errors = robustmm("train", "tiny.toml", *words, cwd=here).err.splitlines()
    assert len(errors) == 3
    assert all(error.startswith("error: tiny.toml: ") for error in errors)


def changed(manifest: Path, folder: Path, old: str, new: str, count: int = -1) -> Path:
    """A copy of the world's data with its table edited."""
    shutil.copytree(manifest.parent, folder)
    path = folder / manifest.name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, count))
    return path


def test_an_unreadable_input_is_an_error_or_missing(robustmm: Cli, tmp_path: Path, world_manifest: Path) -> None:
    path = changed(world_manifest, tmp_path / "data", "series.npy#0\n", "[/red]é 🎈.npy\n")
    recipe(tmp_path, path)
    result = robustmm("train", "tiny.toml", cwd=tmp_path)
    assert (result.code, result.out) == (3, "")
    assert "line 2 (id 's000', series): " in result.err
    assert "[/red]é 🎈.npy does not exist" in result.err
    result = robustmm("train", "tiny.toml", "--on-bad-input", "missing", cwd=tmp_path)
    assert result.code == 0
    assert "1 unreadable input counted as missing; the first: " in result.out
    assert "[/red]é 🎈.npy does not exist" in result.out


def test_a_label_the_train_split_does_not_have(robustmm: Cli, tmp_path: Path, world_manifest: Path) -> None:
    path = changed(world_manifest, tmp_path / "data", "valid,bee", "valid,[bold]bea")
    recipe(tmp_path, path)
    result = robustmm("train", "tiny.toml", cwd=tmp_path)
    assert result.code == 3
    assert '"[bold]bea" is not a class of the model (known: ant, bee, cat)' in result.err


def test_a_modality_no_valid_sample_has(robustmm: Cli, tmp_path: Path, world_manifest: Path) -> None:
    shutil.copytree(world_manifest.parent, tmp_path / "data")
    path = tmp_path / "data" / "manifest.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line.rpartition(",")[0] + "," if ",valid," in line else line for line in lines) + "\n")
    recipe(tmp_path, path)
    result = robustmm("train", "tiny.toml", cwd=tmp_path)
    assert result.code == 0
    assert ", series –)" in result.out
    assert "nan" not in result.out + result.err


def test_hostile_names_are_shown_as_they_are(robustmm: Cli, here: Path) -> None:
    (here / "tiny.toml").rename(here / "[red]é 🎈.toml")
    (here / "own.py").write_text("raise RuntimeError('[/red]')")
    result = robustmm("train", "[red]é 🎈.toml", "--runs", "[/bold]", "--epochs", "1", cwd=here)
    assert result.code == 0
    assert result.out.startswith("[/bold]/[red]é 🎈-001: kept epoch 1 of 1")
    assert "training [red]é 🎈 ([red]é 🎈.toml) with joint" in result.err
    command = result.out.splitlines()[-1].removeprefix("next: robustmm ")
    assert shlex.split(command) == ["export", "[/bold]/[red]é 🎈-001"]
    result = robustmm("train", "[red]é 🎈.toml", "--method", "own:[/red]", cwd=here)
    assert result.code == 2
    assert "[/red]" in result.err


def test_a_disk_that_fills_up_keeps_what_was_whole(robustmm: Cli, here: Path) -> None:
    assert robustmm("train", "tiny.toml", "--epochs", "3", "--runs", "whole", cwd=here).code == 0
    with full_disk():
        result = robustmm("train", "tiny.toml", cwd=here)
    assert (result.code, result.out) == (3, "")
    assert "run.json cannot be written: No space left on device" in result.err
    shutil.rmtree(here / "runs")
    with full_disk(after=6):  # run.json twice, recipe.toml, missing.csv, the first epoch's log and checkpoint
        result = robustmm("train", "tiny.toml", "--epochs", "3", cwd=here)
    assert result.code == 3
    assert (
        "log.csv cannot be written: No space left on device; every whole epoch is kept, continue with: " in result.err
    )
    assert not list((here / "runs").rglob("*.part"))
    assert robustmm("train", "--resume", cwd=here).code == 0
    assert weights(Run(here / "runs/tiny-001")) == weights(Run(here / "whole/tiny-001"))


def test_a_folder_that_cannot_be_written_to(robustmm: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mkdir(self: Path, **_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    result = robustmm("train", "tiny.toml", cwd=here)
    assert result.code == 3
    assert result.err.endswith("error: runs can hold no new run: Permission denied\n")


@pytest.mark.parametrize("command", ["train", "export"])
def test_without_torch_it_says_so(robustmm: Cli, here: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setattr(training, "find_spec", lambda name: None)
    result = robustmm(command, cwd=here)
    assert result.code == 2
    assert "this command needs torch, found none; get it with: pip install 'robustmm[train]'" in result.err


@pytest.mark.parametrize(
    ("words", "units"),
    [
        (["train"], ["MODALITY=RATE", "share of training samples", "Epochs to train", "KEY=VALUE"]),
        (["export"], ["Half-precision", "int8", "File to write"]),
        (["attack"], ["level in [0, 1]", "that share of samples", "Samples at most"]),
        (["predict"], ["--MODALITY FILE", "left out is missing"]),
        (["data"], ["check", "recipe", "demo"]),
        (["list"], ["recipes", "physical levels"]),
        (["show"], ["levels"]),
        (["copy"], [".toml"]),
        (["doctor"], ["providers"]),
        ([], ["train", "export", "attack", "predict", "data", "list", "show", "copy", "doctor"]),
    ],
)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help(robustmm: Cli, words: list[str], units: list[str], option: str) -> None:
    result = robustmm(*words, option)
    assert (result.code, result.err) == (0, "")
    shown = " ".join(result.out.replace("│", " ").split())
    for unit in units:
        assert unit in shown


def test_json_says_which_epoch_was_kept(robustmm: Callable[..., Any], tmp_path: Path, world_manifest: Path) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(to_toml(worlds.tables(world_manifest)))
    done = robustmm("train", path, "--epochs", 1, "--method", "joint", "--json", cwd=tmp_path)
    assert done.code == 0
    found = json.loads(done.out)
    jsonschema.validate(found, json.loads((Path(__file__).parents[2] / "docs/schemas/train.schema.json").read_text()))
    assert found["kept_epoch"] == found["epochs"] == 1
    assert Path(tmp_path / found["run"]).is_dir()
