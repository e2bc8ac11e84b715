"""`robustmm list`, `show` and `copy`, rightly used and misused."""

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from robustmm import corruptions
from robustmm.catalogue import details, listing
from robustmm.conditions.suite import load_suite
from robustmm.config import shelf
from robustmm.errors import UsageError
from robustmm.runtime.session import Session

Cli = Callable[..., Any]

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
SORTS = ["recipes", "suites", "corruptions", "augmentations", "methods", "fusions", "encoders"]


def flat(shown: str) -> str:
    """What is shown, whatever the lines it is broken into."""
    return " ".join(shown.split())


def test_list_has_every_sort(robustmm: Cli) -> None:
    result = robustmm("list")
    assert result.code == 0
    for word in ("digits", "gaussian", "blank", "joint", "cal", "mce", "concat", "conv"):
        assert f" {word} " in result.out
    for sort in SORTS:
        assert sort.capitalize() in result.out


@pytest.mark.parametrize("sort", SORTS)
def test_list_one_sort(robustmm: Cli, sort: str) -> None:
    result = robustmm("list", sort)
    assert result.code == 0
    titles = {line.split(" at ")[0].strip() for line in result.out.splitlines()}
    assert {other for other in SORTS if other.capitalize() in titles} == {sort}
    if sort == "recipes":
        for name in shelf.list_names("models"):
            assert listing.first_comment(shelf.read_text(shelf.find_file("models", name)))[:20] in flat(result.out)
    elif sort == "corruptions":
        assert all(f" {name} " in result.out for name in corruptions.names())
    elif sort != "suites":
        for name, entry in listing.registry_entries(sort).items():
            assert f" {name} " in result.out
            for kind, made in listing.by_kind(entry).items():
                assert kind in result.out
                assert " ".join((inspect.getdoc(made) or "").split()[:2]) in result.out
        assert "dict()" not in result.out


def test_the_levels_of_a_corruption_are_physical(robustmm: Cli) -> None:
    result = robustmm("show", "gaussian")
    assert result.code == 0
    for kind in corruptions.kinds("gaussian"):
        c = corruptions.find_corruption("gaussian", kind)
        assert f"gaussian on {kind}" in result.out
        assert c.unit.split()[0] in result.out
        assert flat(c.source)[:30] in flat(result.out)
        assert f"{c.table[-1]:.4g}" in result.out
    assert "gaussian" in robustmm("list", "corruptions").out


def test_show_a_recipe_and_a_users_own(robustmm: Cli, tmp_path: Path) -> None:
    result = robustmm("show", "digits")
    assert result.code == 0
    assert "[modality.image]" in result.out
    assert 'kind = "image"' in result.out
    (tmp_path / "own.toml").write_text('# mine\nx = "[red]y[/red]" # 🎈\n[/red]\n', encoding="utf-8")
    result = robustmm("show", "own.toml", cwd=tmp_path)
    assert result.code == 0
    assert '"[red]y[/red]" # 🎈' in result.out


@pytest.mark.parametrize("name", shelf.list_names("attacks"))
def test_show_a_suite(robustmm: Cli, name: str) -> None:
    result = robustmm("show", name)
    assert result.code == 0
    suite = load_suite(shelf.find_file("attacks", name))
    for condition in suite.condition:
        assert f'name = "{condition.name}"' in result.out
    for kind, stand_in in details.EXAMPLES.items():
        try:
            made = len(suite.conditions([stand_in]))
        except UsageError:
            made = 0
        assert re.search(rf"^ {kind} +{made} *$", result.out, re.MULTILINE)
    assert f" {name} " in robustmm("list", "suites").out


def test_show_what_a_suite_costs_on_a_model(robustmm: Cli, world_model: Path) -> None:
    result = robustmm("show", "missing", "--model", world_model)
    assert result.code == 0
    session = Session(world_model)
    made = load_suite(shelf.find_file("attacks", "missing")).conditions(session.modalities)
    assert f"{len(made)} conditions on {world_model}" in flat(result.out).replace("- ", "")
    assert "encodings per sample, clean included: 1 of vector, 1 of series" in flat(result.out), "no encoder runs again"
    assert f"decodings per sample, contributions included: {4 * (1 + len(made))}" in result.out
    assert re.search(r"72 samples: about \d+:\d\d:\d\d", result.out)
    noisy = robustmm("show", "quick", "--model", world_model)
    assert "clean included: 5 of vector, 5 of series" in flat(noisy.out)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["missing", "--model", "none.onnx"], 3, "none.onnx does not exist"),
        (["imagenet-c", "--model", "MODEL"], 2, "none of the suite's conditions serves features, series"),
        (["digits", "--model", "MODEL"], 2, '"digits" is not a suite'),
        (["wrong.toml"], 2, 'wrong.toml:2: "gausian" is not a corruption, did you mean "gaussian"'),
    ],
)
def test_show_a_suite_misused(
    robustmm: Cli, tmp_path: Path, world_model: Path, words: list[str], code: int, sentence: str
) -> None:
    (tmp_path / "wrong.toml").write_text('[[grid]]\nnoise = ["gausian"]\n')
    result = robustmm("show", *[str(world_model) if w == "MODEL" else w for w in words], cwd=tmp_path)
    assert result.code == code
    assert sentence in flat(result.err)


@pytest.mark.parametrize("kind", corruptions.KINDS)
def test_list_the_corruptions_of_a_kind(robustmm: Cli, kind: str) -> None:
    result = robustmm("list", "corruptions", "--on", kind)
    assert result.code == 0
    for name in corruptions.names():
        listed = re.search(rf"^ {re.escape(name)} ", result.out, re.MULTILINE) is not None
        assert listed == (kind in corruptions.kinds(name)), name


def test_show_a_corruption_of_whole_samples_and_one_with_two_tables(robustmm: Cli) -> None:
    result = robustmm("show", "stale")
    assert result.code == 0
    assert "stale on whole samples" in result.out
    assert "option age, default 1" in result.out
    result = robustmm("show", "defocus_blur")
    assert "defocus-blur on image, 224 px" in flat(result.out)
    assert "defocus-blur on image, 32 px" in flat(result.out)
    assert "option scale, default 'by size'" in flat(result.out)


@pytest.mark.parametrize(
    ("name", "sort"), [("cal", "methods"), ("concat", "fusions"), ("conv", "encoders"), ("shift", "augmentations")]
)
def test_show_what_is_registered(robustmm: Cli, name: str, sort: str) -> None:
    result = robustmm("show", name)
    assert result.code == 0
    for kind, entry in listing.by_kind(listing.registry_entries(sort)[name]).items():
        assert f"{name} ({kind or sort.removesuffix('s')})" in result.out
        assert (inspect.getdoc(entry) or "").split("\n")[0][:40] in flat(result.out)
        parameters = inspect.signature(entry).parameters.values()
        assert all(p.name in result.out for p in parameters if p.default is not p.empty)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["list", "recipe"], "'recipe' is not one of 'recipes', 'suites'"),
        (["list", "recipes", "suites"], "Got unexpected extra argument"),
        (["list", "--all"], "No such option"),
        (["list", "suites", "--on", "image"], "--on goes with corruptions or augmentations: robustmm list corr"),
        (["list", "corruptions", "--on", "imag"], '"imag" is not a kind, did you mean "image"?'),
        (["show"], "Missing argument"),
        (["show", "gausian"], 'nothing is called "gausian", did you mean "gaussian"?'),
        (["show", "dgits"], 'did you mean "digits"?'),
        (["show", ""], 'nothing is called ""'),
        (["show", "[/red]"], 'nothing is called "[/red]"'),
        (["show", "none.toml"], "the recipe none.toml does not exist"),
        (["show", "binary.toml"], "binary.toml is not UTF-8 text"),
        (["show", "a", "b"], "Got unexpected extra argument"),
    ],
)
def test_list_and_show_misused(robustmm: Cli, tmp_path: Path, words: list[str], sentence: str) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    result = robustmm(*words, cwd=tmp_path)
    assert (result.code, result.out) == (2, "")
    assert sentence in result.err


def read_json(result: Any, schema: str) -> Any:
    """A command's JSON, held against its published schema."""
    assert result.code == 0, result.err
    found = json.loads(result.out)
    jsonschema.validate(found, json.loads((SCHEMAS / f"{schema}.schema.json").read_text()))
    return found


def test_list_for_machines(robustmm: Cli) -> None:
    found = read_json(robustmm("list", "--json"), "list")
    assert [e["name"] for e in found["recipes"]] == shelf.list_names("models")
    assert [e["name"] for e in found["suites"]] == shelf.list_names("attacks")
    for sort in ("augmentations", "methods", "fusions", "encoders"):
        assert {e["name"] for e in found[sort]} == set(listing.registry_entries(sort))
    assert {e["name"] for e in found["corruptions"]} == {*corruptions.names(), *corruptions.pairs.names()}
    blur = next(e for e in found["corruptions"] if e["name"] == "gaussian" and "audio" in e["kinds"])
    assert blur["strengths"] == [30, 20, 10, 5, 0]
    audio = read_json(robustmm("list", "augmentations", "--on", "audio", "--json"), "list")
    assert {e["name"] for e in audio["augmentations"]} == {"frequency-mask", "shift", "time-mask", "volume"}
    audio = read_json(robustmm("list", "corruptions", "--on", "audio", "--json"), "list")
    assert {tuple(e["kinds"]) for e in audio["corruptions"]} == {("audio",)}
    assert audio["recipes"] is audio["methods"] is None, "what was not asked for is null, not empty"


def test_show_for_machines(robustmm: Cli, world_model: Path) -> None:
    recipe = read_json(robustmm("show", "digits", "--json"), "show")
    assert (recipe["sort"], recipe["content"]["modality"]["image"]["kind"]) == ("recipe", "image")
    suite = read_json(robustmm("show", "missing", "--json"), "show")
    assert suite["conditions"]["image"] == len(
        load_suite(shelf.find_file("attacks", "missing")).conditions([details.EXAMPLES["image"]])
    )
    assert suite["cost"] is None
    priced = read_json(robustmm("show", "missing", "--model", world_model, "--json"), "show")
    assert priced["cost"]["encodings"] == {"vector": 1, "series": 1}
    assert priced["cost"]["modalities"] == ["vector", "series"]
    blur = read_json(robustmm("show", "defocus_blur", "--json"), "show")
    assert (blur["sort"], blur["name"]) == ("corruption", "defocus-blur")
    image = next(kind for kind in blur["kinds"] if kind["kind"] == "image")
    large, small = image["tables"]
    assert (large["scale"], small["scale"]) == ("224", "32")
    assert [row[0] for row in large["strengths"]] == [3, 4, 6, 8, 10], "ImageNet-C's radii"
    assert image["options"] == {"scale": "by size"}
    method = read_json(robustmm("show", "cal", "--json"), "show")
    (only,) = method["kinds"]
    assert method["sort"] == "method"
    assert only["options"].keys() >= {"warmup"}
    encoder = read_json(robustmm("show", "conv", "--json"), "show")
    assert {kind["kind"] for kind in encoder["kinds"]} == set(listing.registry_entries("encoders")["conv"])


def test_list_and_show_for_machines_misused(robustmm: Cli) -> None:
    for words in (["list", "recipe", "--json"], ["show", "gausian", "--json"], ["show", "--json"]):
        result = robustmm(*words)
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith("error: ")


def test_without_torch_what_needs_it_says_so(robustmm: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (listing, details):
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    result = robustmm("list")
    assert result.code == 0
    assert "methods: need torch: pip install 'robustmm[train]'" in result.out
    assert "gaussian" in result.out
    result = robustmm("list", "methods")
    assert (result.code, result.out) == (2, "")
    assert "listing methods needs torch: pip install 'robustmm[train]'" in result.err
    assert robustmm("show", "gaussian").code == 0
    assert 'nothing is called "cal"' in robustmm("show", "cal").err


def test_copy_is_the_file_itself(robustmm: Cli, tmp_path: Path) -> None:
    result = robustmm("copy", "digits", "my.toml", cwd=tmp_path)
    assert (result.code, result.out) == (0, "my.toml\n")
    assert (tmp_path / "my.toml").read_text() == shelf.read_text(shelf.find_file("models", "digits"))
    result = robustmm("copy", "my.toml", "again.toml", cwd=tmp_path)
    assert (tmp_path / "again.toml").read_text() == (tmp_path / "my.toml").read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["digits"], "Missing argument"),
        (["digit", "my.toml"], '"digit" is not a recipe or a suite, did you mean "digits"?'),
        (["digits", "my.tml"], "the copy's name should end in .toml, found my.tml"),
        (["digits", "there.toml"], "there.toml exists already and is left as it is"),
        (["digits", "folder.toml"], "folder.toml exists already and is left as it is"),
        (["digits", "no/such/my.toml"], "no/such/my.toml cannot be written: No such file or directory"),
        (["digits", "n" * 300 + ".toml"], "nn.toml cannot be written: File name too long"),
        (["none.toml", "my.toml"], "the recipe none.toml does not exist"),
        (["binary.toml", "my.toml"], "binary.toml is not UTF-8 text"),
        (["gaussian", "my.toml"], '"gaussian" is not a recipe or a suite'),
    ],
)
def test_copy_misused(robustmm: Cli, tmp_path: Path, words: list[str], sentence: str) -> None:
    (tmp_path / "there.toml").write_text("mine")
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    result = robustmm("copy", *words, cwd=tmp_path)
    assert (result.code, result.out) == (3 if "cannot be written" in sentence else 2, "")
    assert sentence in result.err
    assert (tmp_path / "there.toml").read_text() == "mine"
    assert not (tmp_path / "my.toml").exists()


def test_a_bug_shows_its_traceback_and_exits_70(robustmm: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr(details, "describe_name", broken)
    result = robustmm("show", "digits")
    assert result.code == 70
    assert "Traceback" in result.err
    assert "this is a bug in robustmm; please report it with the lines above" in result.err


def test_being_stopped_is_told(robustmm: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(details, "describe_name", stopped)
    result = robustmm("show", "digits")
    assert result.code == 5
    assert result.err == "error: interrupted before there was anything to keep\n"


def test_a_closed_pipe_is_no_error() -> None:
    command = [sys.executable, "-m", "robustmm", "list", "corruptions"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(60) == 0
