"""Recipes: every error at once, each with its file and key; settings; and TOML that reads back as it was."""

import json
import math
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustmm.config import shelf
from robustmm.config.recipe import RESERVED, Recipe, build_recipe, load_recipe, split_name_options
from robustmm.config.toml import read_toml, to_toml
from robustmm.errors import UsageError
from robustmm.modalities import Audio, Image

IMAGE: dict[str, Any] = {"kind": "image", "size": [8, 8, 1]}
AUDIO: dict[str, Any] = {"kind": "audio", "rate": 8000, "seconds": 1.0}
A_LIST = "should be a list of names, or a table of one for each modality"
A_CHANCE = "should be a probability from 0 to 1, or a table with a probability"
SMALL: dict[str, Any] = {"data": {"manifest": "m.csv"}, "modality": {"image": IMAGE, "audio": AUDIO}}


def sentences(content: dict[str, Any]) -> list[str]:
    with pytest.raises(UsageError) as error:
        build_recipe(content, "my.toml", "my")
    found = str(error.value).split("\n")
    assert all(sentence.startswith("my.toml: ") for sentence in found)
    return [sentence.removeprefix("my.toml: ") for sentence in found]


def laid(*given: str, content: str = to_toml(SMALL), folder: Path) -> Recipe:
    (folder / "my.toml").write_text(content, encoding="utf-8")
    return load_recipe(folder / "my.toml", given)


def test_a_recipe_says_what_it_leaves_out() -> None:
    recipe = build_recipe(SMALL, "my.toml", "my")
    assert recipe.name == "my"
    assert recipe.modalities == [
        Image(name="image", size=(8, 8, 1)),
        Audio(name="audio", rate=8000, seconds=1.0),
    ]
    assert (recipe.method_name, recipe.method_options) == ("joint+unimodal", {})
    assert (recipe.train.epochs, recipe.train.seed, recipe.model.fusion) == (30, 0, "concat")
    assert recipe.encoder("image") == (None, {})


def test_encoders_and_method_options_come_by_name() -> None:
    content = {
        **SMALL,
        "modality": {"a": {**IMAGE, "encoder": "conv"}, "b": {**IMAGE, "encoder": {"name": "conv", "depth": 2}}},
        "method": {"cal": {"weight": 2}},
    }
    recipe = build_recipe(content, "my.toml", "my")
    assert [recipe.encoder(m) for m in "ab"] == [("conv", {}), ("conv", {"depth": 2})]
    assert recipe.method_name == "joint+unimodal", "options alone keep the default method"
    assert recipe.method_options == {"cal": {"weight": 2}}
    assert split_name_options(None) == (None, {})


def test_every_error_is_told_at_once() -> None:
    content = {
        "dat": {},
        "data": {"manifest": 3, "mising": {}, "missing": {"image": 1.5, "sond": 0.1}},
        "modality": {
            "image": {"kind": "image", "size": [8, 0], "sise": 1},
            "sound": {"kind": "adio"},
            "2": {"kind": "features", "length": 3},
            "flat": 5,
        },
        "model": {"width": 0, "fusion": 7},
        "method": {"name": 5, "cal": 3},
        "train": {"epochs": -1, "optimizer": "adam", "schedule": "cosin", "learning_rate": math.inf},
    }
    known = {"encoder", *(key for key in Image.model_fields if key != "name")}
    assert sentences(content) == [
        "[modality.image] size[1]: should be greater than 0, found 0",
        "[modality.image] size[2] is missing",
        f'[modality.image] "sise" is not a key here, did you mean "size"? (known: {", ".join(sorted(known))})',
        '[modality.sound] "adio" is not a kind, did you mean "audio"? '
        "(known: audio, features, image, series, text, video)",
        "[modality.2] name: string should match pattern '^[A-Za-z][A-Za-z0-9_-]{0,63}$', found '2'",
        "[modality.flat] should be a table, found 5",
        "[method] name should be a name, found 5",
        "[method] cal should be a table, found 3",
        "[data] manifest: should be a valid string, found 3",
        "[data.missing] image: should be less than 1, found 1.5",
        '[data] "mising" is not a key here, did you mean "missing"? (known: manifest, missing, source)',
        "[model] width: should be greater than or equal to 1, found 0",
        "[model] fusion: should be a name or a table with a name, found 7",
        "[train] epochs: should be greater than or equal to 1, found -1",
        "[train] learning_rate: should be a finite number, found inf",
        "[train] schedule: should be 'cosine', 'constant' or 'step', found 'cosin'",
        '[train] "optimizer" is not a key here, did you mean "optimiser"? (known: accumulate, batch, class_weights, '
        "clip, epochs, learning_rate, modality_dropout, optimiser, patience, precision, schedule, seed, select, "
        "threads, warmup, weight_decay)",
        '"dat" is not a key here, did you mean "data"? (known: augment, corrupt, data, method, modality, model, train)',
        '[data] missing names "sond", did you mean "sound"? (known: 2, flat, image, sound)',
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"modality": {}}, "[modality.NAME] should describe at least one modality, found none"),
        ({"modality": 5}, "[modality.NAME] should describe at least one modality, found 5"),
        (
            {"modality": {f"m{i}": IMAGE for i in range(11)}},
            "[modality] should describe 1 to 10 modalities, found 11",
        ),
        ({"modality": {"a": {"size": [1, 1, 1]}}}, "[modality.a] kind is missing (known: audio, features"),
        ({"modality": {"a": {"kind": [1]}}}, '[modality.a] "[1]" is not a kind'),
        ({"modality": {"a": {**IMAGE, "name": "b"}}}, '[modality.a] "name" is not a key here'),
        ({"modality": {"a": {**IMAGE, "size": [8, 8, 2]}}}, "[modality.a] size[2]: should be 1 or 3, found 2"),
        ({"modality": {"a": {**IMAGE, "encoder": 3}}}, "[modality.a] encoder: should be a name or a table with a name"),
        ({"modality": {"a": {**IMAGE, "encoder": {"name": 3}}}}, "[modality.a] encoder: should be a name or a table"),
        ({"modality": {"a": {**AUDIO, "rate": 10}}}, "[modality.a] rate: should be greater than or equal to 1000"),
        ({"modality": {"a": {**AUDIO, "seconds": math.nan}}}, "[modality.a] seconds: "),
        ({"model": {"fusion": {"name": []}}}, "[model] fusion: should be a name or a table with a name"),
        ({"data": 5}, "[data] should be a table, found 5"),
        ({"data": {"missing": 5}}, "[data.missing] should be a table, found 5"),
        (
            {"data": {"missing": {"vidoe": 0.5, "audoi": 0.1}}},
            '[data] missing names "audoi", did you mean "audio"? (known: audio, image)',
        ),
        ({"data": {"missing": {"vidoe": 0.5, "audoi": 0.1}}}, '[data] missing names "vidoe"'),
        ({"data": {"missing": {"audio": math.nan}}}, "[data.missing] audio: should be"),
        ({"method": "cal"}, "[method] should be a table, found 'cal'"),
        ({"train": []}, "[train] should be a table, found []"),
        ({"corrupt": 5}, "[corrupt] should be a table, found 5"),
        ({"corrupt": {"probability": 1.5}}, "[corrupt] probability: should be less than or equal to 1, found 1.5"),
        ({"corrupt": {"level": [0, 2]}}, "[corrupt] level[1]: should be less than or equal to 1, found 2"),
        ({"corrupt": {"level": [-1, 1]}}, "[corrupt] level[0]: should be greater than or equal to 0, found -1"),
        (
            {"corrupt": {"level": [1, 0.5]}},
            "[corrupt] level: should be two levels, the lower one first, found [1, 0.5]",
        ),
        ({"corrupt": {"level": 0.5}}, "[corrupt] level: should be a valid tuple, found 0.5"),
        ({"corrupt": {"noise": "fog"}}, f"[corrupt] noise: {A_LIST}, found 'fog'"),
        ({"corrupt": {"noise": {"image": "fog"}}}, f"[corrupt] noise: {A_LIST}, found {{'image': 'fog'}}"),
        ({"corrupt": {"noise": {"imag": []}}}, '[corrupt] noise names "imag", did you mean "image"?'),
        ({"augment": 3}, "[augment] should be a table, found 3"),
        ({"augment": {"image": 0.5}}, "[augment.image] should be a table, found 0.5"),
        ({"augment": {"imag": {"crop": 1}}}, '[augment] names "imag", did you mean "image"? (known: audio, image)'),
        ({"augment": {"image": {"crop": 1.5}}}, f"[augment.image] crop: {A_CHANCE}, found 1.5"),
        ({"augment": {"image": {"crop": True}}}, f"[augment.image] crop: {A_CHANCE}, found True"),
        ({"augment": {"image": {"crop": {"scale": 1}}}}, f"[augment.image] crop: {A_CHANCE}, found {{'scale': 1}}"),
        ({"augment": {"image": {"crop": math.nan}}}, f"[augment.image] crop: {A_CHANCE}, found nan"),
        ({"corrupt": {"levels": 1}}, '[corrupt] "levels" is not a key here, did you mean "level"?'),
        ({"corrupt": {"on": ["audoi"]}}, '[corrupt] on names "audoi", did you mean "audio"? (known: audio, image)'),
        ({"train": {"seed": 2**63}}, "[train] seed: should be less than 9223372036854775808"),
        ({"name": "../../etc"}, "name: string should match pattern"),
        ({"name": "a\0b"}, "name: string should match pattern"),
        ({"name": ""}, "name: string should match pattern"),
    ],
)
def test_each_wrong_key_has_its_sentence(change: dict[str, Any], sentence: str) -> None:
    found = sentences({**SMALL, **change})
    assert sum(each.startswith(sentence) for each in found) == 1, found


def test_a_recipe_needs_data_and_modalities() -> None:
    assert sentences({}) == [
        "[modality.NAME] should describe at least one modality, found none",
        "data is missing",
    ]


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("image"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "kind", "size", "manifest", "missing", "a"]), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(["name", "data", "modality", "model", "method", "train", "x"])


@given(st.dictionaries(KEYS, ODD, max_size=4), st.sampled_from([*SMALL["modality"], "new", "2"]), ODD)
@settings(max_examples=200, deadline=None)
def test_wrong_types_anywhere_are_sentences(change: dict[str, Any], modality: str, table: Any) -> None:
    content = {**SMALL, "modality": {**SMALL["modality"], modality: table}, **change}
    try:
        recipe = build_recipe(content, "my.toml", "my")
    except UsageError:
        return
    assert [m.name for m in recipe.modalities] == list(recipe.modality)
    assert all(isinstance(recipe.encoder(name)[1], dict) for name in recipe.modality)


# Files


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"epochs", "is not valid TOML"),
        (b"a = 1\na = 2", "is not valid TOML: Cannot overwrite a value"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"a = " + b"9" * 5000, "is not valid TOML"),
        (b"a = " + b"[" * 100_000, "is not valid TOML"),
    ],
)
def test_files_that_are_no_toml(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "my.toml").write_bytes(content)
    with pytest.raises(UsageError, match=sentence):
        read_toml(tmp_path / "my.toml")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path, Path("a\0b.toml"), Path("n" * 5000)):
        with pytest.raises(UsageError, match="cannot be read"):
            read_toml(path)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    assert laid(content="\ufeff" + to_toml(SMALL), folder=tmp_path).name == "my"


@pytest.mark.parametrize("name", shelf.list_names("models"))
def test_every_shipped_recipe_loads_and_reads_back(name: str) -> None:
    recipe = load_recipe(shelf.find_file("models", name))
    assert recipe.name == name
    assert recipe.modalities
    assert shelf.read_text(shelf.find_file("models", name)).startswith("# "), "its first line says what it is"
    assert build_recipe(tomllib.loads(to_toml(recipe.model_dump())), "again", "again") == recipe


# Settings


def test_settings_lie_over_the_file(tmp_path: Path) -> None:
    recipe = laid(
        "train.epochs=3", "train.precision='bf16'", " train.schedule = constant", "train.learning_rate=1e-2",
        "modality.image.size=[4, 4, 3]", "modality.image.encoder=conv", "modality.image.encoder.depth=2",
        "modality.audio.encoder.name=spectrogram", "data.missing.audio=0.5", "method.name=cal", "method.cal.warmup=0",
        "model.fusion.heads=2", "name=other", "data.manifest=a=b.csv",
        folder=tmp_path,
    )  # fmt: skip
    assert (recipe.train.epochs, recipe.train.precision, recipe.train.learning_rate) == (3, "bf16", 0.01)
    assert recipe.modality["image"]["size"] == [4, 4, 3]
    assert recipe.encoder("image") == ("conv", {"depth": 2}), "a name becomes its table"
    assert recipe.encoder("audio") == ("spectrogram", {})
    assert recipe.data.missing == {"audio": 0.5}
    assert (recipe.method_name, recipe.method_options) == ("cal", {"cal": {"warmup": 0}})
    assert split_name_options(recipe.model.fusion) == (None, {"heads": 2})
    assert recipe.name == "other"
    assert recipe.data.manifest == "a=b.csv"


def test_a_later_setting_wins(tmp_path: Path) -> None:
    assert laid("train.epochs=3", "train.epochs=4", folder=tmp_path).train.epochs == 4


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("train.epochs", '--set should be KEY=VALUE with a dotted key such as train.epochs=3, found "train.epochs"'),
        ("", "--set should be KEY=VALUE"),
        ("=3", "--set should be KEY=VALUE"),
        ("train..epochs=3", "--set should be KEY=VALUE"),
        (".=3", "--set should be KEY=VALUE"),
        ("data.manifest.x=3", '--set data.manifest.x=3: "manifest" is not a table'),
        ("train.epochs=three", "[train] epochs: should be a valid integer"),
        ("train.epochs=", "[train] epochs: should be a valid integer"),
        ("train.epochs=" + "9" * 5000, "[train] epochs: "),
        ("train.epochs=" + "[" * 100_000, "[train] epochs: "),
        ("train.epoch=3", '[train] "epoch" is not a key here, did you mean "epochs"?'),
        ("modality.video.kind=vdeo", '[modality.video] "vdeo" is not a kind, did you mean "video"?'),
        ("train=3", "[train] should be a table, found 3"),
    ],
)
def test_wrong_settings_are_sentences(tmp_path: Path, setting: str, sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        laid(setting, folder=tmp_path)
    assert sentence in str(error.value)


@given(st.text(max_size=30))
@settings(max_examples=100, deadline=None)
def test_any_setting_is_a_recipe_or_a_sentence(setting: str) -> None:
    folder = Path(shelf.find_file("models", "digits"))
    for given_ in (setting, f"train.{setting}", f"train.epochs={setting}", f"{setting}=1"):
        with suppress(UsageError):
            load_recipe(folder, [given_])


# Writing

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ['"', "\\", "\x7f", "\x00\x1f\x85", "\r\n", "'''", '"""', "🎈", "a.b", "[x]", "# x", "\u2028"]
)
VALUES = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXT
TABLES = st.recursive(
    st.dictionaries(TEXT, VALUES | st.lists(VALUES, max_size=3), max_size=3),
    lambda inner: st.dictionaries(TEXT, inner | VALUES | st.lists(inner | VALUES, max_size=2), max_size=3),
    max_leaves=8,
)


@given(TABLES)
@settings(max_examples=200, deadline=None)
def test_what_is_written_reads_back_as_it_was(content: dict[str, Any]) -> None:
    again = tomllib.loads(to_toml(content))
    assert again == content
    assert json.dumps(again, sort_keys=True) == json.dumps(content, sort_keys=True), "1 is not 1.0 and not true"


def test_what_toml_has_not_is_left_out_or_named() -> None:
    assert to_toml({}) == ""
    assert to_toml({"a": None, "t": {"b": None}, "c": 1}) == "c = 1\n"
    assert math.isnan(tomllib.loads(to_toml({"a": math.nan}))["a"])
    assert to_toml({"t": {"u": {"x": (1, 2)}}, "a": 1}) == "a = 1\n\n[t.u]\nx = [1, 2]\n"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.integers(0, 2**63 - 1), st.floats(0, 0.99))
@settings(max_examples=50, deadline=None)
def test_the_effective_recipe_is_the_recipe(manifest: str, seed: int, rate: float) -> None:
    content = {
        **SMALL,
        "data": {"manifest": manifest, "missing": {"audio": rate}},
        "method": {"name": "cal", "cal": {"x": manifest}},
        "train": {"seed": seed, "modality_dropout": rate},
        "corrupt": {"noise": [manifest], "probability": rate, "level": [rate / 2, rate]},
    }
    recipe = build_recipe(content, "my.toml", "my")
    assert build_recipe(tomllib.loads(to_toml(recipe.model_dump())), "again", "again") == recipe
    assert Recipe.model_validate(json.loads(json.dumps(recipe.model_dump()))) == recipe


@pytest.mark.parametrize("name", RESERVED)
def test_a_reserved_name_is_refused_before_anything_is_trained(name: str) -> None:
    (sentence,) = sentences({**SMALL, "modality": {name: IMAGE, "audio": AUDIO}})
    assert sentence == f'[modality.{name}] "{name}" {RESERVED[name]}; call the modality otherwise'
    alike = {f"{name}_": IMAGE, name.upper(): AUDIO}
    assert [m.name for m in build_recipe({**SMALL, "modality": alike}, "my.toml", "my").modalities] == list(alike)


@pytest.mark.parametrize("column", ["label", "split"])
def test_a_modality_is_not_told_the_answer(column: str) -> None:
    said = f'it would read the column "{column}", which is no input; give its own with: column = "NAME"'
    for name, table in ((column, IMAGE), ("image", {**IMAGE, "column": column})):
        assert sentences({**SMALL, "modality": {name: table, "audio": AUDIO}}) == [f"[modality.{name}] {said}"]
    named = {column: {**IMAGE, "column": "photo"}, "audio": AUDIO}
    assert build_recipe({**SMALL, "modality": named}, "my.toml", "my").modalities[0].column_name == "photo"
