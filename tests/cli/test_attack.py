"""`robustmm attack`, rightly used and misused."""

import errno
import json
import shutil
import sys
from collections.abc import Callable
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import jsonschema
import onnx
import onnxruntime
import pytest

from robustmm.cli import main
from robustmm.conditions.condition import Condition, Noise
from robustmm.data.manifest import read_manifest
from robustmm.evaluation import attack
from robustmm.runs import Run
from robustmm.runtime.session import Session

Cli = Callable[..., Any]

SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "attack.schema.json"


@pytest.fixture
def here(tmp_path: Path, world: Run) -> Path:
    """A folder with runs/world-001 in it, exported."""
    shutil.copytree(world.folder, tmp_path / "runs" / "world-001")
    return tmp_path


@pytest.fixture
def model(here: Path) -> Path:
    return here / "runs" / "world-001" / "model.onnx"


def changed(manifest: Path, folder: Path, old: str, new: str) -> Path:
    """A copy of the world's data with its table edited."""
    shutil.copytree(manifest.parent, folder)
    path = folder / manifest.name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def test_the_table(robustmm: Cli, here: Path) -> None:
    result = robustmm("attack", "--noise", "gaussian", "--level", "0.5", "--missing", "series=0.25", cwd=here)
    assert result.code == 0
    assert result.out.startswith("72 samples, split test, seed 0\n")
    shown = " ".join(result.out.split())
    for words in (
        "vector: gaussian 0.5 (standard deviation of the noise, in training standard deviations: 0.75)",
        "0.75), then missing 25%",
        "Accuracy",
        "macro-F1",
        "flip rate",
        "Modality contributions (exact Shapley)",
        "→ attacked",
        "Per class",
        "efficiency residual",
    ):
        assert words in shown
    assert all(f" {label} " in result.out for label in ("ant", "bee", "cat"))
    assert "model: " not in result.out


def test_the_json_is_the_librarys_and_stands_alone(robustmm: Cli, here: Path, world_manifest: Path) -> None:
    words = ["--noise", "gaussian", "--noise", "blank", "--level", "0.5", "--level", "0.2", "--on", "series"]
    result = robustmm("attack", *words, "--missing", "0.1", "--split", "valid", "--seed", "3", "--json", cwd=here)
    assert result.code == 0
    found = json.loads(result.out)
    jsonschema.validate(found, json.loads(SCHEMA.read_text()))
    session = Session(here / "runs/world-001/model.onnx")
    noises = (Noise("gaussian", 0.5, ("series",)), Noise("blank", 0.2, ("series",)))
    condition = Condition("attacked", noises, {"vector": 0.1, "series": 0.1})
    expected = attack.attack(session, read_manifest(world_manifest).split("valid"), condition, split="valid", seed=3)
    assert {**found, "model": ""} == {**json.loads(expected.model_dump_json()), "model": ""}
    assert found["model"] == "runs/world-001/model.onnx"
    assert "model: runs/world-001/model.onnx (the newest exported)" in result.err
    assert f"data: split valid of {world_manifest} (what the model was trained on)" in result.err


def test_one_level_serves_every_noise(robustmm: Cli, here: Path) -> None:
    words = ["--noise", "gaussian", "--noise", "blank", "--level", "0.4", "--limit", "9", "--json"]
    found = json.loads(robustmm("attack", *words, cwd=here).out)
    assert found["samples"] == 9
    assert [[n["name"], n["level"]] for n in found["modalities"][0]["noises"]] == [["gaussian", 0.4], ["blank", 0.4]]


def test_options_of_a_corruption_and_what_stands_in(robustmm: Cli, here: Path) -> None:
    words = ["--noise", "stale", "--level", "1", "--missing", "series=0.5", "--json", "--limit", "20"]
    plain, older, told = (
        json.loads(robustmm("attack", *words, *more, cwd=here).out)
        for more in ([], ["--set", "stale.age=3"], ["--fill", "zero"])
    )
    assert plain["attacked"] != older["attacked"]
    assert (plain["fill"], told["fill"]) == ("masked", "zero")
    assert plain["modalities"][1]["attacked"]["present"] == 0.5
    assert told["modalities"][1]["attacked"]["present"] == 1
    assert told["modalities"][1]["missing"] == 0.5


def test_a_stored_table_repeats_a_protocol(robustmm: Cli, here: Path, world_manifest: Path) -> None:
    words = ["data", "missing", world_manifest, "--rate", "series=0.25", "--out", "mask.csv"]
    result = robustmm(*words, cwd=here)
    assert (result.code, result.out) == (0, "mask.csv\n")
    assert "robustmm attack --missing mask.csv" in result.err
    stored = json.loads(robustmm("attack", "--missing", "mask.csv", "--json", "--seed", "9", cwd=here).out)
    drawn = json.loads(robustmm("attack", "--missing", "series=0.25", "--json", cwd=here).out)
    assert stored["attacked"]["accuracy"] == drawn["attacked"]["accuracy"], "drawn with the same seed, 0"
    assert stored["modalities"][1]["missing"] == 0.25
    again = robustmm(*words, cwd=here)
    assert (again.code, again.out) == (2, "")
    assert "mask.csv exists already and is left as it is" in again.err
    for more, code, sentence in (
        (["--rate", "serie=0.1", "--out", "b.csv"], 2, 'did you mean "series"'),
        (["--rate", "series=0.1", "--out", "b.txt"], 2, "should end in .csv, found b.txt"),
        (["--rate", "series=0.1", "--out", "no/b.csv"], 3, "no/b.csv cannot be written: No such file or directory"),
    ):
        result = robustmm("data", "missing", world_manifest, *more, cwd=here)
        assert result.code == code
        assert sentence in result.err


@pytest.mark.parametrize("name", ["sheet.png", "sheet.html"])
def test_a_preview_is_drawn_and_nothing_is_attacked(robustmm: Cli, here: Path, name: str) -> None:
    result = robustmm("attack", "--noise", "gaussian", "--preview", name, cwd=here)
    assert (result.code, result.out) == (0, f"{name}\n")
    assert (here / name).read_bytes()[:9] in (b"\x89PNG\r\n\x1a\n\x00", b"<!doctype")


def test_the_seed_decides(robustmm: Cli, here: Path) -> None:
    words = ["attack", "--missing", "series=0.5", "--json", "--seed"]
    first, again, other = (json.loads(robustmm(*words, seed, cwd=here).out) for seed in (1, 1, 10**30))
    assert first == again
    assert first["attacked"] != other["attacked"]


def test_without_an_attack_it_says_how(robustmm: Cli, here: Path) -> None:
    result = robustmm("attack", "--limit", "5", cwd=here)
    assert result.code == 0
    assert "no attack: give --noise NAME or --missing MODALITY=RATE" in result.out


def test_the_newest_model_is_taken(robustmm: Cli, here: Path, model: Path) -> None:
    shutil.copytree(model.parent, here / "runs" / "other-001")
    (here / "runs/other-001/model.onnx").touch()
    assert "model: runs/other-001/model.onnx (the newest exported)" in robustmm("attack", cwd=here).err
    assert robustmm("attack", model, cwd=here).err.startswith(f"model: {model}\n")


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--noise", "gausian", "--level", "0.5"], 2, '"gausian" is not a corruption, did you mean "gaussian"?'),
        (["--noise", "[/red]", "--level", "0.5"], 2, '"[/red]" is not a corruption'),
        (
            ["--noise", "fog", "--level", "0.5"],
            2,
            '"fog" serves image, video; the model has vector (features), series (series)',
        ),
        (["--noise", "gaussian"], 2, "--level should be given once or for each of the 1 --noise, found 0"),
        (["--noise", "gaussian", "--level", "0", "--level", "1"], 2, "each of the 1 --noise, found 2"),
        (["--level", "0.5"], 2, "--level and --on go with a --noise, found none"),
        (["--on", "vector"], 2, "--level and --on go with a --noise, found none"),
        (["--noise", "gaussian", "--level", "1.1"], 2, "the level of gaussian should be in [0, 1], found 1.1"),
        (["--noise", "gaussian", "--level", "-0.1"], 2, "should be in [0, 1], found -0.1"),
        (["--noise", "gaussian", "--level", "nan"], 2, "should be in [0, 1], found nan"),
        (["--noise", "gaussian", "--level", "high"], 2, "Invalid value for '--level'"),
        (["--noise", "gaussian", "--level", "1", "--on", "vectr"], 2, 'no modality "vectr", did you mean "vector"?'),
        (["--noise", "fog", "--level", "1", "--on", "vector"], 2, "fog"),
        (["--missing", "vectr=0.5"], 2, 'there is no modality "vectr", did you mean "vector"?'),
        (["--missing", "vector=2"], 2, "with a rate in [0, 1]"),
        (["--missing", "vector"], 2, "with a rate in [0, 1]"),
        (["--missing", "none.csv"], 3, "none.csv cannot be read"),
        (["--missing", "a.csv", "--missing", "b.csv"], 2, "--missing takes one table, found 2"),
        (["--missing", "vector=0.1", "--fill", "zeros"], 2, "Invalid value for '--fill'"),
        (["--noise", "stale", "--level", "1", "--set", "age=2"], 2, "--set is NOISE.OPTION=VALUE with a NOISE that is"),
        (["--noise", "stale", "--level", "1", "--set", "stale.aged=2"], 2, 'did you mean "age"?'),
        (["--noise", "stale", "--level", "1", "--set", "stale.age=x"], 2, "option age: "),
        (["--noise", "gaussian", "--preview", "a.pdf"], 2, "draws a .png or a .html, found a.pdf"),
        (["--missing", "vector=0.1", "--preview", "a.png"], 2, "--preview draws what a --noise does, found none"),
        (["--split", "tset"], 3, 'no rows in split "tset", did you mean "test"?'),
        (["--limit", "0"], 2, "Invalid value for '--limit'"),
        (["--limit", "-3"], 2, "Invalid value for '--limit'"),
        (["--seed", "-1"], 2, "Invalid value for '--seed'"),
        (["--provider", "gpu"], 2, '"gpu" is not a provider, did you mean "cpu"? (known: cpu, cuda, tensorrt)'),
        (["--on-bad-input", "skip"], 2, "'skip' is not one of 'error', 'missing'"),
        (["--data", "no.csv"], 3, "the manifest no.csv does not exist"),
        (["--data", "runs"], 3, "runs should hold one manifest.csv"),
        (["--runs", "no"], 2, "there should be an exported model in no/, found none; make one with: robustmm export"),
        (["no.onnx"], 3, "the model no.onnx does not exist"),
        (["runs"], 3, "the model runs does not exist"),
        (["empty.onnx"], 3, "empty.onnx is not an ONNX model"),
        (["text.onnx"], 3, "text.onnx is not a readable ONNX model"),
        (["cut.onnx"], 3, "cut.onnx is not a readable ONNX model"),
        (["foreign.onnx"], 3, "foreign.onnx was not exported by robustmm"),
        (["[/red] é.onnx"], 3, "[/red] é.onnx does not exist"),
    ],
)
def test_misused(robustmm: Cli, here: Path, model: Path, words: list[str], code: int, sentence: str) -> None:
    (here / "empty.onnx").touch()
    (here / "text.onnx").write_text("no model")
    (here / "cut.onnx").write_bytes(model.read_bytes()[:5000])
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    ends = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1]) for n in "xy"]
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "g", ends[:1], ends[1:])), here / "foreign.onnx")
    result = robustmm("attack", *words, cwd=here)
    assert (result.code, result.out) == (code, "")
    (error,) = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert sentence in error


def test_a_model_that_left_its_run_needs_data(robustmm: Cli, here: Path, model: Path, world_manifest: Path) -> None:
    moved = here / "[red]my é 🎈.onnx"
    model.rename(moved)
    result = robustmm("attack", moved.name, cwd=here)
    assert result.code == 2
    assert (
        f"{moved.name} does not stand in its run folder, so its data is not known; give --data MANIFEST" in result.err
    )
    result = robustmm("attack", moved.name, "--data", world_manifest.parent, "--limit", "5", cwd=here)
    assert result.code == 0
    assert result.err.startswith(f"model: {moved.name}\ndata: split test of {world_manifest.parent}\n")
    assert "found none; make one with: robustmm export" in robustmm("attack", cwd=here).err


def test_data_that_vanished(robustmm: Cli, here: Path, model: Path) -> None:
    Run(model.parent).update_facts(manifest=str(here / "gone.csv"))
    result = robustmm("attack", cwd=here)
    assert result.code == 2
    assert f"was trained on {here}/gone.csv, which is no longer there; give --data MANIFEST" in result.err


def test_a_label_the_model_does_not_know(robustmm: Cli, here: Path, world_manifest: Path) -> None:
    path = changed(world_manifest, here / "data", "test,bee", "test,beee")
    result = robustmm("attack", "--data", path, cwd=here)
    assert (result.code, result.out) == (3, "")
    assert "(id 's" in result.err
    assert '"beee" is not a class of the model, did you mean "bee"?' in result.err


def test_an_unreadable_input_is_an_error_or_missing(robustmm: Cli, here: Path, world_manifest: Path) -> None:
    path = changed(world_manifest, here / "data", "series.npy#15\n", "[/red]é 🎈.npy\n")
    result = robustmm("attack", "--data", path, cwd=here)
    assert (result.code, result.out) == (3, "")
    assert "line 17 (id 's015', series): " in result.err
    assert "[/red]é 🎈.npy does not exist" in result.err
    words = ["--data", path, "--on-bad-input", "missing"]
    result = robustmm("attack", *words, cwd=here)
    assert result.code == 0
    assert "1 unreadable input counted as missing" in result.out
    found = json.loads(robustmm("attack", *words, "--json", cwd=here).out)
    assert [("id 's015', series" in bad) for bad in found["bad_inputs"]] == [True]
    assert found["modalities"][1]["clean"]["present"] == pytest.approx(71 / 72, abs=1e-6)


def test_a_column_the_data_does_not_have(robustmm: Cli, here: Path, world_manifest: Path) -> None:
    path = changed(world_manifest, here / "data", "vector,series", "vector,serious")
    result = robustmm("attack", "--data", path, cwd=here)
    assert result.code == 3
    assert 'has no column "series", did you mean "serious"?' in result.err


def test_a_provider_that_is_not_there(robustmm: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    result = robustmm("attack", "--provider", "cuda", cwd=here)
    assert (result.code, result.out) == (2, "")
    assert "the provider cuda is not available here; see: robustmm doctor" in result.err


def test_a_provider_that_is_built_in_but_does_not_work(
    robustmm: Cli, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """onnxruntime falls back to the CPU by itself; an answer from there would be told as one from the GPU."""

    class Fallen(onnxruntime.InferenceSession):  # type: ignore[misc]
        def __init__(self, model: bytes, options: Any, providers: list[str]) -> None:
            super().__init__(model, options, providers=providers[-1:])

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Fallen)
    result = robustmm("attack", "--provider", "cuda", cwd=here)
    assert (result.code, result.out) == (2, "")
    assert (
        "CUDAExecutionProvider is built in but cannot be used here (are its libraries, CUDA and cuDNN, installed?)"
        in result.err
    )


def test_being_stopped(robustmm: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(attack, "attack", stopped)
    result = robustmm("attack", cwd=here)
    assert (result.code, result.out) == (5, "")


def test_an_output_that_cannot_be_written(robustmm: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(attack.AttackResult, "model_dump", full)
    result = robustmm("attack", "--json", cwd=here)
    assert result.code == 3
    assert result.err.endswith("error: a file could not be read or written: No space left on device\n")


def test_a_terminal_that_knows_only_ascii(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = BytesIO()
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(raw, encoding="ascii"))
    monkeypatch.setattr(sys, "argv", ["robustmm", "attack", "--limit", "9"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    sys.stdout.flush()
    assert b"Per class" in raw.getvalue()


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux only")
def test_a_name_that_is_no_text(robustmm: Cli, here: Path, model: Path, world_manifest: Path) -> None:
    name = b"\xff.onnx".decode(errors="surrogateescape")
    model.rename(here / name)
    result = robustmm("attack", name, "--data", world_manifest, "--limit", "5", "--json", cwd=here)
    assert result.code == 0
    assert json.loads(result.out)["model"] == "?.onnx"
    assert robustmm("attack", name, cwd=here).code == 2
