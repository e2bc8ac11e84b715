"""The files of a Hugging Face checkpoint beside a model fill its draft in."""

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import Inputs, linear
from tokenizers import Tokenizer, models

from robustmm.modalities import KINDS
from robustmm.runtime.foreign.drafting.draft import DescriptionDraft, draft_graph
from robustmm.runtime.foreign.drafting.writing import format_draft
from robustmm.runtime.foreign.session import open_session

IMAGE = {
    "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.25, 0.5], "do_resize": True, "resample": 3, "size": {"shortest_edge": 8},
}  # fmt: skip
PIXELS: Inputs = {"pixel_values": ("f", [None, 3, 8, 8])}
SOUND: Inputs = {"input_values": ("f", [None, 16000])}


def drafted(folder: Path, inputs: Inputs, **files: Any) -> DescriptionDraft:
    for name, content in files.items():
        (folder / f"{name}.json").write_text(content if isinstance(content, str) else json.dumps(content))
    path, _ = linear(folder, inputs)
    return draft_graph(path, folder)


@pytest.mark.parametrize(
    ("change", "subtract", "divide"),
    [
        ({}, [127.5, 102.0, 76.5], [51.0, 63.75, 127.5]),
        ({"image_mean": [0.5] * 3, "image_std": [0.5] * 3}, 127.5, 127.5),
        ({"do_normalize": False}, 0.0, 255.0),
        ({"do_normalize": False, "do_rescale": False}, 0.0, 1.0),
        ({"do_rescale": False, "image_mean": [123, 117, 104], "image_std": [1, 1, 1]}, [123.0, 117.0, 104.0], 1.0),
        ({"rescale_factor": 1 / 127.5, "image_mean": [1, 1, 1], "image_std": [1, 1, 1]}, 127.5, 127.5),
    ],
)
def test_scaling_is_the_processors(tmp_path: Path, change: dict[str, Any], subtract: Any, divide: Any) -> None:
    """And what a pixel becomes is what the processor makes of it."""
    config = IMAGE | change
    draft = drafted(tmp_path, PIXELS, preprocessor_config=config)
    (picture,) = draft.modalities
    assert (picture.table["subtract"], picture.table["divide"]) == (subtract, divide)
    assert "divide" not in picture.checks
    (tmp_path / "d.toml").write_text(format_draft(draft))
    x = np.full((1, 8, 8, 3), 200, np.uint8)
    found = open_session(tmp_path / "theirs.onnx", tmp_path / "d.toml").embed("pixel_values", x)[0, :, 0, 0]
    expected = np.full(3, 200.0) * (config["rescale_factor"] if config["do_rescale"] else 1)
    if config["do_normalize"]:
        expected = (expected - config["image_mean"]) / config["image_std"]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "expected", "side"),
    [
        ({"crop_size": {"height": 8, "width": 8}, "do_center_crop": True}, "crop", None),
        ({"crop_size": {"height": 8, "width": 8}, "do_center_crop": True, "size": {"shortest_edge": 9}}, "crop", 9),
        ({"crop_size": 8, "do_center_crop": True, "size": 8}, "crop", None),
        ({"size": {"height": 8, "width": 8}}, "stretch", None),
    ],
)
def test_pictures_are_brought_to_size_as_the_processor_does(
    tmp_path: Path, change: dict[str, Any], expected: str, side: int | None
) -> None:
    (picture,) = drafted(tmp_path, PIXELS, preprocessor_config=IMAGE | change).modalities
    assert (picture.table["resize"], picture.table["interpolation"]) == (expected, "cubic")
    assert picture.table.get("shorter_side") == side
    assert "resize" not in picture.checks
    (picture,) = drafted(tmp_path, PIXELS, preprocessor_config=IMAGE | change | {"resample": 0}).modalities
    assert picture.table["interpolation"] == "nearest"


def test_an_open_size_is_the_processors(tmp_path: Path) -> None:
    config = IMAGE | {"crop_size": {"height": 24, "width": 32}, "do_center_crop": True, "size": {"shortest_edge": 24}}
    (picture,) = drafted(tmp_path, {"x": ("f", [None, 3, None, None])}, preprocessor_config=config).modalities
    assert picture.table["size"] == [24, 32, 3]
    assert "size" not in picture.checks


@pytest.mark.parametrize("normalise", [True, False])
def test_a_feature_extractor_of_sound(tmp_path: Path, normalise: bool) -> None:
    config = {"sampling_rate": 8000, "do_normalize": normalise, "padding_side": "left", "padding_value": 0.0}
    (sound,) = drafted(tmp_path, SOUND, preprocessor_config=config).modalities
    assert (sound.table["rate"], sound.table["seconds"]) == (8000, 2.0)
    assert sound.table["normalise"] == ("clip" if normalise else "none")
    assert sound.table["pad"] == "start"
    assert "rate" not in sound.checks


def test_a_processor_of_several_and_a_folder_called_onnx(tmp_path: Path) -> None:
    """Newer checkpoints hold all in one file; exports of them stand in a folder of their own."""
    (tmp_path / "onnx").mkdir()
    config = {"image_processor": IMAGE, "feature_extractor": {"sampling_rate": 8000}, "processor_class": "X"}
    (tmp_path / "processor_config.json").write_text(json.dumps(config))
    path, _ = linear(tmp_path / "onnx", {**PIXELS, **SOUND})
    picture, sound = draft_graph(path).modalities
    assert picture.table["subtract"] == [127.5, 102.0, 76.5]
    assert sound.table["rate"] == 8000


NOTHING = ["not json", "[1, 2]", "{}", '{"image_mean": "x"}', '{"image_mean": [1, 2]}', '{"rescale_factor": null}']


@pytest.mark.parametrize("content", [*NOTHING, '{"rescale_factor": 0}', '{"image_mean": [null, 1, 2]}'])
def test_files_that_say_nothing_change_nothing(tmp_path: Path, content: str) -> None:
    (picture,) = drafted(tmp_path, PIXELS, preprocessor_config=content).modalities
    assert (picture.table["subtract"], picture.table["divide"]) == (0.0, 255.0)


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ({"2": "cat", "0": "ant", "1": "bee"}, ["ant", "bee", "cat"]),
        ({"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}, []),
        ({"0": "ant", "1": "bee"}, []),
        ({"0": "ant", "1": "ant", "2": "bee"}, []),
        ({"0": "ant", "7": "bee", "2": "cat"}, []),
        (["ant"], []),
    ],
)
def test_labels_of_the_checkpoint(tmp_path: Path, labels: Any, found: list[str]) -> None:
    """In the order of their numbers, where there is one for each column."""
    draft = drafted(tmp_path, PIXELS, config={"id2label": labels})
    assert draft.own_labels == found
    assert ("classes" in draft.checks) is not bool(found)
    assert draft.classes == (found or ["class 0", "class 1", "class 2"])


def test_the_tokenizer_beside_the_model_is_taken(tmp_path: Path) -> None:
    """By its path from where the description will stand."""
    (tmp_path / "model").mkdir()
    tokenizer = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1}, unk_token="[UNK]"))
    tokenizer.save(str(tmp_path / "model" / "tokenizer.json"))
    path, _ = linear(tmp_path / "model", {"input_ids": ("q", [None, 4])})
    draft = draft_graph(path, tmp_path)
    assert draft.modalities[0].table["tokenizer"] == "model/tokenizer.json"
    assert "tokenizer" not in draft.modalities[0].checks
    (tmp_path / "d.toml").write_text(format_draft(draft))
    assert open_session(path, tmp_path / "d.toml").names == ["input_ids"]
    (tmp_path / "model" / "tokenizer.json").unlink()
    assert "tokenizer" in draft_graph(path, tmp_path).modalities[0].checks


@pytest.mark.parametrize("mask", [True, False])
def test_a_tokenizer_without_padding_is_told_where_it_matters(tmp_path: Path, mask: bool) -> None:
    Tokenizer(models.WordLevel({"!": 0, "a": 1}, unk_token="a")).save(str(tmp_path / "tokenizer.json"))
    names = ("input_ids", "attention_mask") if mask else ("input_ids",)
    draft = drafted(tmp_path, {name: ("q", [None, 4]) for name in names})
    assert ("padding" in draft.modalities[0].checks) is not mask
    assert ("padding = ID" in format_draft(draft)) is not mask


@pytest.mark.parametrize("kind", ["audio", "series", "image"])
def test_the_other_choices_are_one_comment(tmp_path: Path, kind: str) -> None:
    """With the values that they have in a description, which are the ecosystem's."""
    dims = {"audio": [None, 16000], "series": [None, 50, 3], "image": [None, 3, 8, 8]}[kind]
    text = format_draft(drafted(tmp_path, {kind: ("f", dims)}))
    comment = " ".join(text[text.index("# CHECK: a file becomes") :].replace("# ", "").split())
    expected = {
        "audio": 'pad = "end" (or "centre", "start"), cut = "start" (or "centre", "end")',
        "series": 'fit = "crop" (or "stretch"), pad = "end" (or "centre", "start"), cut = "start" (or "centre", "end")',
        "image": 'resize = "stretch" (or "crop", "pad"), interpolation = "linear"',
    }[kind]
    assert expected in comment
    (tmp_path / "d.toml").write_text(text)
    (modality,) = open_session(tmp_path / "theirs.onnx", tmp_path / "d.toml").modalities
    for key, field in KINDS[kind].model_fields.items():
        if f"{key} = " in comment and isinstance(field.default, str):
            value = comment.partition(f'{key} = "')[2].partition('"')[0]
            assert getattr(modality, key) == value, key
            table = tomllib.loads(text)["modality"][kind]
            assert key not in table
