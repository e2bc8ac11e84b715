"""`robustmm data`: check, recipe and demo, rightly used and misused."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robustmm.config.recipe import load_recipe
from robustmm.data import digits
from robustmm.data.check import ManifestFacts
from robustmm.data.manifest import read_manifest

Cli = Callable[..., Any]

HEAD = "id,split,label,vector\n"
ROWS = zip(["train", "train", "valid", "valid", "test", "test"], "ababab", strict=True)
SMALL = HEAD + "".join(f"s{i},{split},{label},v.npy#{i}\n" for i, (split, label) in enumerate(ROWS))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound manifest of six vectors."""
    np.save(tmp_path / "v.npy", np.random.default_rng(0).normal(size=(6, 3)))
    (tmp_path / "manifest.csv").write_text(SMALL)
    return tmp_path


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of the embedded data set, so that reading it takes no second."""
    folder = digits.write(tmp_path_factory.mktemp("demo") / "digits").parent
    lines = (folder / "manifest.csv").read_text().splitlines(keepends=True)
    (folder / "manifest.csv").write_text("".join([lines[0], *lines[1::7]]))
    return folder


def test_check_prints_what_a_manifest_holds(robustmm: Cli, demo: Path) -> None:
    result = robustmm("data", "check", demo)
    assert result.code == 0
    assert f"{demo / 'manifest.csv'}: 200 samples" in result.out.replace("\n", "")
    for word in ("Samples per class and split", "train", "valid", "test", "image", "audio", "16 x 16", "at 8000 Hz"):
        assert word in result.out
    assert "metadata columns: speaker" in result.out
    assert "cannot be read" not in result.out
    assert "class-tiny" not in result.out, "kinds are for machines"
    assert "nothing to object to" in result.out
    assert "error" not in result.err


def test_check_in_json(robustmm: Cli, folder: Path) -> None:
    result = robustmm("data", "check", folder / "manifest.csv", "--json")
    facts = ManifestFacts.model_validate(json.loads(result.out))
    assert (result.code, facts.samples, facts.format) == (0, 6, 2)
    assert facts.splits == {"train": {"a": 1, "b": 1}, "valid": {"a": 1, "b": 1}, "test": {"a": 1, "b": 1}}
    assert [(m.name, m.kind) for m in facts.modalities] == [("vector", "features")]


def test_check_finds_what_is_wrong_and_still_prints_everything(robustmm: Cli, folder: Path) -> None:
    (folder / "manifest.csv").write_text(
        SMALL + "s6,test,c,v.npy#0\ns7,test,a,v.npy#9\ns8,test,b,\ns9,[/red],b,x.npy\n"
    )
    result = robustmm("data", "check", folder)
    assert result.code == 3
    assert result.err.splitlines()[-1] == "error: 2 of the manifest's cells cannot be read (listed above)"
    shown = " ".join(result.out.split())
    assert "2 rows share vector with a row of another split" in shown
    assert "line 8, s6: test, the same cell as s0 of train" in shown
    assert "test has classes that train has not: c" in shown
    assert "2 cells of 9 cannot be read; --on-bad-input missing would leave" in shown
    assert "line 9, s7: " in shown
    assert "training and audit: stops here; with --on-bad-input missing it counts them as missing" in shown
    assert "[/red]" in result.out
    assert "nothing to object to" not in result.out
    again = robustmm("data", "check", folder, "--json")
    assert again.code == 3
    (found,) = [found for found in json.loads(again.out)["findings"] if found["severity"] == "error"]
    assert (found["kind"], found["about"], found["count"]) == ("unreadable", "vector", 2)
    assert [(row["line"], row["id"]) for row in found["rows"]] == [(9, "s7"), (11, "s9")]


def test_check_with_a_recipe_reads_as_it_does(robustmm: Cli, folder: Path) -> None:
    (folder / "own.toml").write_text(
        '[data]\n[modality.x]\nkind = "series"\ncolumn = "vector"\nsteps = 5\nchannels = 1\n'
    )
    facts = json.loads(robustmm("data", "check", "manifest.csv", "--recipe", "own.toml", "--json", cwd=folder).out)
    assert [(m["name"], m["kind"], m["sizes"]) for m in facts["modalities"]] == [("x", "series", {"3": 6})]
    assert facts["metadata"] == []


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ([], 2, "error: Missing argument"),
        (["none.csv"], 3, "error: the manifest none.csv does not exist"),
        (["manifest.csv", "--recipe", "digit"], 2, 'error: "digit" is not a recipe, did you mean "digits"?'),
        (["manifest.csv", "--recipe", "none.toml"], 2, "error: the recipe none.toml does not exist"),
        (["manifest.csv", "--recipe", "digits"], 3, 'manifest.csv has no column "image"'),
        (["manifest.csv", "--recipe", "bad.toml"], 2, "error: bad.toml: [train] epochs: should be greater than"),
        (["manifest.csv", "--jsn"], 2, "error: No such option"),
        (["manifest.csv", "more"], 2, "error: Got unexpected extra argument"),
        (["v.npy"], 3, "error: v.npy should end in .csv, .jsonl, .parquet"),
        (["empty"], 3, "error: empty should hold one manifest.csv, .jsonl or .parquet, found 0"),
        (["ragged.csv"], 3, "error: ragged.csv line 2 should have 4 cells, found 2"),
        (["plain.csv"], 3, "should have a column of paths or texts"),
        (["binary.csv"], 3, "error: binary.csv is not a UTF-8 CSV table"),
        (["n" * 3000], 3, "error: "),
    ],
)
def test_check_misused(robustmm: Cli, folder: Path, words: list[str], code: int, sentence: str) -> None:
    (folder / "empty").mkdir()
    (folder / "ragged.csv").write_text(HEAD + "s0,train\n")
    (folder / "plain.csv").write_text("id,split,label,site\ns0,train,a,north\n")
    (folder / "binary.csv").write_bytes(b"\xff\xfe\x00")
    (folder / "bad.toml").write_text('[data]\n[modality.x]\nkind = "text"\n[train]\nepochs = 0\n')
    result = robustmm("data", "check", *words, cwd=folder)
    assert result.code == code
    assert sentence in result.err
    assert "bug in robustmm" not in result.err
    assert result.out == ""


def test_recipe_drafts_what_loads(robustmm: Cli, demo: Path, tmp_path: Path) -> None:
    result = robustmm("data", "recipe", demo)
    assert result.code == 0
    content = tomllib.loads(result.out)
    assert content["modality"]["image"] == {"kind": "image", "size": [16, 16, 1]}
    assert content["modality"]["audio"]["rate"] == 8000
    (tmp_path / "my.toml").write_text(result.out)
    recipe = load_recipe(tmp_path / "my.toml")
    assert [m.name for m in recipe.modalities] == ["image", "audio"]
    assert len(read_manifest(Path(recipe.data.manifest))) == 200
    assert robustmm("data", "check", demo, "--recipe", tmp_path / "my.toml").code == 0


def test_the_embedded_data_set_goes_by_its_name(
    robustmm: Cli, demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digits, "unpack_to_cache", lambda: demo / "manifest.csv")
    assert robustmm("data", "recipe", "digits", cwd=tmp_path).out == robustmm("data", "recipe", demo).out
    assert json.loads(robustmm("data", "check", "digits", "--json", cwd=tmp_path).out)["samples"] == 200


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ([], 2, "Missing argument"),
        (["none.jsonl"], 3, "the manifest none.jsonl does not exist"),
        (["manifest.csv", "--json"], 2, "No such option"),
        (["lost.csv"], 3, "a column of paths or texts, vector: none of the files can be read, such as lost.npy"),
    ],
)
def test_recipe_misused(robustmm: Cli, folder: Path, words: list[str], code: int, sentence: str) -> None:
    (folder / "lost.csv").write_text(HEAD + "s0,train,a,lost.npy\n")
    result = robustmm("data", "recipe", *words, cwd=folder)
    assert (result.code, result.out) == (code, "")
    assert sentence in result.err


def test_demo_writes_real_files(robustmm: Cli, tmp_path: Path) -> None:
    result = robustmm("data", "demo", "new/digits", cwd=tmp_path)
    assert result.code == 0
    assert result.out == "new/digits/manifest.csv\n", "the path as it was typed"
    assert "look at it with: robustmm data check new/digits" in result.err
    assert len(read_manifest(tmp_path / "new" / "digits")) == 1400
    assert robustmm("data", "demo", "new/digits", cwd=tmp_path).code == 0, "the same again is no harm"


def test_demo_fills_the_current_folder(robustmm: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = robustmm("data", "demo", ".", cwd=tmp_path / "empty")
    assert (result.code, result.out) == (0, "manifest.csv\n")
    assert len(read_manifest(tmp_path / "empty")) == 1400


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Missing argument"),
        (["full"], "error: full: expected a new or empty folder for the digits, found something else there"),
        (["file"], "expected a new or empty folder"),
        (["file/below"], "error: file/below cannot hold the digits: Not a directory"),
        (["a", "b"], "Got unexpected extra argument"),
    ],
)
def test_demo_misused(robustmm: Cli, tmp_path: Path, words: list[str], sentence: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    (tmp_path / "file").touch()
    result = robustmm("data", "demo", *words, cwd=tmp_path)
    assert (result.code, result.out) == (3 if "cannot hold" in sentence else 2, "")
    assert sentence in result.err
    assert (tmp_path / "full" / "mine.txt").exists()


def test_data_alone_shows_its_commands(robustmm: Cli) -> None:
    for words in (["data", "--help"], ["data", "check", "-h"], ["--help"]):
        result = robustmm(*words)
        assert result.code == 0
        assert "Usage: " in result.out
    assert robustmm("data", "chek").err == "error: No such command 'chek'. Did you mean 'check'?\n"


HOSTILE = "v\x9b31m\u202ee\x7fé\u3000🎈"
"""A C1 control, a mark that turns the line's direction, DEL; an accent, a wide space and an emoji."""


@pytest.mark.parametrize("words", [("recipe",), ("check", "--json")])
def test_what_a_terminal_would_obey_is_escaped_and_reads_back(
    robustmm: Cli, folder: Path, words: tuple[str, ...]
) -> None:
    (folder / "manifest.csv").write_text(
        SMALL.replace("vector", HOSTILE).replace(",a,", f",{HOSTILE},"), encoding="utf-8"
    )
    result = robustmm("data", words[0], folder, *words[1:])
    assert all(c.isprintable() or c in "\n\u3000" for c in result.out)
    assert "é" in result.out
    assert "🎈" in result.out
    if words[0] == "check":
        assert HOSTILE in json.loads(result.out)["splits"]["train"]
    else:
        assert [m["column"] for m in tomllib.loads(result.out)["modality"].values()] == [HOSTILE]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_written_path_is_exact_in_a_pipe_and_harmless_on_a_terminal(
    robustmm: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setattr("robustmm.report.live.console.out._force_terminal", terminal)
    result = robustmm("data", "demo", tmp_path / "a\x1b[31mb\u202e")
    shown = "a�[31mb�" if terminal else "a\x1b[31mb\u202e"
    assert f"{tmp_path / shown / 'manifest.csv'}\n" in result.out
    assert "a�[31mb�" in result.err
    assert "\x1b[31m" not in result.err


def test_manifest_of_a_folder_is_written_and_checks(robustmm: Cli, tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        (tmp_path / "pets" / label).mkdir(parents=True)
        for i in range(40):
            vector = np.random.default_rng([i, len(label), ord(label[0])]).normal(size=3)
            np.save(tmp_path / "pets" / label / f"{i}.npy", vector)
    (tmp_path / "pets" / "notes.txt").write_text("mine")
    result = robustmm("data", "manifest", "pets", "-o", "pets.csv", cwd=tmp_path)
    assert (result.code, result.out) == (0, "pets.csv\n")
    for sentence in (
        "80 rows of 2 classes (cat, dog): 80 array (.npy)",
        "left out, since they belong to no row (1): notes.txt",
        "--split train=0.7,valid=0.15,test=0.15 --seed 0: train 56, valid 12, test 12",
        "look at it with: robustmm data check pets.csv",
    ):
        assert sentence in result.err
    facts = json.loads(robustmm("data", "check", "pets.csv", "--json", cwd=tmp_path).out)
    sizes = {"train": 28, "valid": 6, "test": 6}
    assert facts["splits"] == {split: {"cat": count, "dog": count} for split, count in sizes.items()}
    assert facts["findings"] == []
    before = (tmp_path / "pets.csv").read_bytes()
    again = robustmm("data", "manifest", "pets", "-o", "pets.csv", "--seed", 5, cwd=tmp_path)
    assert (again.code, again.err.splitlines()[-1]) == (2, "error: pets.csv exists already and is left as it is")
    assert (tmp_path / "pets.csv").read_bytes() == before
    assert robustmm("data", "manifest", "pets", "-o", "same.csv", cwd=tmp_path).code == 0
    assert (tmp_path / "same.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ([], 2, "Missing argument"),
        (["pets"], 2, "Missing option"),
        (["none", "-o", "m.csv"], 3, "none should be a folder, it does not exist"),
        (["pets", "-o", "m.csv"], 3, "pets should hold a folder for each class"),
        (["pets", "-o", "m.json"], 2, "the manifest's name should end in .csv, found m.json"),
        (["pets", "-o", "m.csv", "--split", "half"], 2, "--split should be such as train=0.7,valid=0.15,test=0.15"),
    ],
)
def test_manifest_misused(robustmm: Cli, tmp_path: Path, words: list[str], code: int, sentence: str) -> None:
    (tmp_path / "pets").mkdir()
    result = robustmm("data", "manifest", *words, cwd=tmp_path)
    assert (result.code, result.out) == (code, "")
    assert sentence in result.err


VITALS = "id,split,label,age,bp,hr\n" + "".join(
    f"s{i},{('train', 'valid', 'test')[i % 3]},{'ab'[i % 2]},{30 + i * 7 % 40},{110 + i * 5 % 30},{60 + i * 3 % 25}.5\n"
    for i in range(60)
)


def test_columns_of_numbers_are_features_when_asked_and_never_by_themselves(robustmm: Cli, tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text(VITALS)
    refused = robustmm("data", "recipe", "manifest.csv", cwd=tmp_path)
    assert refused.code == 3
    assert "to learn from its numbers: --features age,bp,hr" in refused.err
    result = robustmm("data", "recipe", "manifest.csv", "--features", "vitals=age,bp,hr", cwd=tmp_path)
    assert tomllib.loads(result.out)["modality"] == {
        "vitals": {"kind": "features", "column": ["age", "bp", "hr"], "length": 3}
    }
    some = robustmm("data", "recipe", "manifest.csv", "--features", "bp,hr", cwd=tmp_path)
    assert "left out as metadata: age; to learn from these numbers: --features age" in some.err
    facts = json.loads(robustmm("data", "check", "manifest.csv", "--features", "bp,hr", "--json", cwd=tmp_path).out)
    assert [(m["name"], m["sizes"]) for m in facts["modalities"]] == [("features", {"2": 60})]
    assert facts["metadata"] == ["age"]
    assert [found["kind"] for found in facts["findings"]] == ["numbers-not-read"]


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("age,split", 'the column "split" should hold numbers, found none'),
        ("age,site", 'the column "site" should hold numbers, found "north"'),
        ("age,bpp", 'has no column "bpp", did you mean "bp"?'),
        ("age,age", "--features age,age names a column twice"),
        ("", 'has no column ""'),
    ],
)
def test_features_misused(robustmm: Cli, tmp_path: Path, option: str, sentence: str) -> None:
    lines = VITALS.splitlines()
    (tmp_path / "manifest.csv").write_text("\n".join([lines[0] + ",site", *(line + ",north" for line in lines[1:])]))
    result = robustmm("data", "recipe", "manifest.csv", "--features", option, cwd=tmp_path)
    assert sentence in result.err
    assert result.code in (2, 3)
