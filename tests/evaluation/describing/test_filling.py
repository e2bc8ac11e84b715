"""Drafts filled in from data: classes, prior, columns, sizes, statistics; numbers from the train split alone."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import soundfile
from graphs import Inputs, linear, saved
from onnx import helper

from robustmm.data.manifest import read_manifest
from robustmm.evaluation.describing.filling import fill_draft
from robustmm.runtime.foreign.drafting.draft import draft_graph
from robustmm.runtime.foreign.drafting.writing import format_draft
from robustmm.runtime.foreign.session import open_session

SPLITS = ["train"] * 6 + ["test"] * 4
LABELS = ["yes", "no", "no", "no", "yes", "no", "yes", "yes", "yes", "no"]
RNG = np.random.default_rng(0)
TOKENIZER = """{"version": "1.0", "model": {"type": "WordLevel", "unk_token": "[UNK]", "vocab":
{"[PAD]": 0, "[UNK]": 1, "a": 2, "b": 3, "c": 4, "d": 5}}, "pre_tokenizer": {"type": "Whitespace"},
"added_tokens": []}"""


def write_manifest(folder: Path, columns: Mapping[str, Sequence[str]], splits: Sequence[str] = SPLITS) -> Path:
    rows = [["id", "split", "label", *columns]]
    rows += [[f"s{i}", splits[i], LABELS[i], *[cells[i] for cells in columns.values()]] for i in range(len(LABELS))]
    (folder / "manifest.csv").write_text("\n".join(",".join(row) for row in rows))
    return folder / "manifest.csv"


def arrays(folder: Path, name: str, values: Any) -> list[str]:
    np.save(folder / f"{name}.npy", values)
    return [f"{name}.npy#{i}" for i in range(len(values))]


def pictures(folder: Path, size: tuple[int, int]) -> list[str]:
    for i in range(10):
        cv2.imwrite(str(folder / f"p{i}.png"), RNG.integers(0, 256, (*size, 3)).astype(np.uint8))
    return [f"p{i}.png" for i in range(10)]


def clips(folder: Path, rate: int, seconds: float) -> list[str]:
    for i in range(10):
        soundfile.write(folder / f"c{i}.wav", RNG.normal(size=round(rate * seconds) - i) / 9, rate)
    return [f"c{i}.wav" for i in range(10)]


def filled(folder: Path, inputs: Inputs, classes: int = 2) -> tuple[dict[str, Any], str]:
    """The description of a graph with these inputs, filled in from the manifest in the folder, and its text."""
    path, _ = linear(folder, inputs, classes)
    draft = draft_graph(path, folder)
    fill_draft(draft, read_manifest(folder / "manifest.csv"))
    text = format_draft(draft)
    return tomllib.loads(text), text


def comments(text: str) -> str:
    return " ".join(text.replace("# ", "").split())


def opens(folder: Path, text: str) -> None:
    (folder / "d.toml").write_text(text)
    open_session(folder / "theirs.onnx", folder / "d.toml")


def test_classes_prior_and_statistics_are_those_of_train(tmp_path: Path) -> None:
    """What the test split holds changes no number."""
    x = RNG.normal(5, 3, (10, 4)).astype(np.float32)
    x[6:] = 1e6
    write_manifest(tmp_path, {"sensor": arrays(tmp_path, "sensor", x)})
    found, text = filled(tmp_path, {"sensor": ("f", [None, 4])})
    assert found["classes"] == ["no", "yes"]
    assert found["prior"] == pytest.approx([4 / 6, 2 / 6], abs=1e-6)
    table = found["modality"]["sensor"]
    np.testing.assert_allclose(table["mean"], x[:6].mean(0), rtol=1e-4)
    np.testing.assert_allclose(table["std"], x[:6].std(0), rtol=1e-4)
    assert (table["missing"], "column" in table) == ("mean", False)
    assert "CHECK: are these in the order of the output? (sorted here" in text
    opens(tmp_path, text)


def test_without_a_train_split_no_number_is_read(tmp_path: Path) -> None:
    x = RNG.normal(size=(10, 4)).astype(np.float32)
    write_manifest(tmp_path, {"sensor": arrays(tmp_path, "sensor", x)}, ["test"] * 10)
    found, text = filled(tmp_path, {"sensor": ("f", [None, 4])})
    assert "prior" not in found
    assert not {"mean", "std"} & found["modality"]["sensor"].keys()
    assert comments(text).count("no rows in split train") == 3, "prior, mean, std"
    opens(tmp_path, text)


@pytest.mark.parametrize("labels", [{"classlabels_int64s": [0, 1]}, {"classlabels_strings": ["yes", "no"]}])
def test_the_graphs_own_labels_give_the_order(tmp_path: Path, labels: dict[str, Any]) -> None:
    x = RNG.normal(size=(10, 2)).astype(np.float32)
    manifest = write_manifest(tmp_path, {"m": arrays(tmp_path, "m", x)})
    node = helper.make_node(
        "LinearClassifier", ["m"], ["label", "p"], domain="ai.onnx.ml", coefficients=[1.0, 0, 0, 1], **labels
    )
    saved(tmp_path, [node], {"m": ("f", [None, 2])}, ("p", [None, 2]))
    draft = draft_graph(tmp_path / "theirs.onnx")
    fill_draft(draft, read_manifest(manifest))
    own = "classlabels_strings" in labels
    assert draft.classes == (["yes", "no"] if own else ["no", "yes"])
    assert draft.prior == ([0.333333, 0.666667] if own else [0.666667, 0.333333])
    assert ("classes" in draft.checks) is not own
    assert own or "numbers them from 0" in draft.checks["classes"]


def test_another_number_of_labels_is_told(tmp_path: Path) -> None:
    write_manifest(tmp_path, {"m": arrays(tmp_path, "m", RNG.normal(size=(10, 2)).astype(np.float32))})
    found, text = filled(tmp_path, {"m": ("f", [None, 2])}, 3)
    assert "the output has 3 columns, the manifest 2 labels (no, yes)" in comments(text)
    assert found["classes"] == ["class 0", "class 1", "class 2"]
    assert "prior" not in found


def test_pictures_and_sound(tmp_path: Path) -> None:
    """The column of another name is the only one of its kind; the rate is the files'."""
    write_manifest(tmp_path, {"photo": pictures(tmp_path, (6, 8)), "audio": clips(tmp_path, 8000, 0.5)})
    found, text = filled(tmp_path, {"pixel_values": ("f", [None, 3, 6, 8]), "audio": ("f", [None, 4000])})
    picture, sound = found["modality"].values()
    assert (picture["column"], picture["size"], picture["layout"]) == ("photo", [6, 8, 3], "NCHW")
    assert (sound["rate"], sound["seconds"], "column" in sound) == (8000, 0.5, False)
    assert "CHECK: the manifest's column for this input\ncolumn" in text
    assert "resize" not in text, "every picture has the model's size"
    opens(tmp_path, text)


def test_a_layout_without_channels_is_grey(tmp_path: Path) -> None:
    write_manifest(tmp_path, {"photo": pictures(tmp_path, (6, 8))})
    found, _ = filled(tmp_path, {"photo": ("B", [None, None, 8])})
    assert (found["modality"]["photo"]["size"], found["modality"]["photo"]["layout"]) == ([6, 8, 1], "NHW")


def test_open_sizes_are_the_datas(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(TOKENIZER)
    texts = [f"{text} c a b" for text in ["a b c d", "a", "b b", *["a b"] * 7]]
    columns = {"photo": pictures(tmp_path, (6, 8)), "audio": clips(tmp_path, 8000, 0.25), "text": texts}
    write_manifest(tmp_path, columns)
    inputs: Inputs = {
        "photo": ("f", [None, 3, None, None]),
        "audio": ("f", [None, None]),
        "text_ids": ("q", [None, None]),
    }
    found, text = filled(tmp_path, inputs)
    assert found["modality"]["photo"]["size"] == [6, 8, 3]
    assert found["modality"]["audio"]["rate"] == 8000
    assert found["modality"]["audio"]["seconds"] == pytest.approx(0.25, abs=0.011)
    assert found["modality"]["text_ids"]["length"] == 7
    assert found["modality"]["text_ids"]["column"] == "text"
    assert comments(text).count("the graph leaves it open") == 3


@pytest.mark.parametrize(
    ("dims", "shape", "expected"),
    [
        ([None, 5000], (5000,), {"kind": "features", "length": 5000}),
        ([None, 16000], (16000,), {"kind": "features", "length": 16000}),
        ([None, 4], (4, 1), {"kind": "series", "steps": 4, "channels": 1, "layout": "NT"}),
        ([None, 6, 4], (6, 4), {"kind": "series", "steps": 6, "channels": 4, "layout": "NTD"}),
        ([None, 6, 4], (9, 6), {"kind": "series", "steps": 4, "channels": 6, "layout": "NDT"}),
        ([None, None, None], (9, 6), {"kind": "series", "steps": 9, "channels": 6}),
        ([None, None], (7,), {"kind": "features", "length": 7}),
    ],
)
def test_arrays_settle_the_kind(tmp_path: Path, dims: Any, shape: tuple[int, ...], expected: dict[str, Any]) -> None:
    write_manifest(tmp_path, {"m": arrays(tmp_path, "m", RNG.normal(size=(10, *shape)).astype(np.float32))})
    found, text = filled(tmp_path, {"m": ("f", dims)})
    table = found["modality"]["m"]
    assert {key: table[key] for key in expected} == expected
    assert len(table["std"]) == (shape[-1] if expected["kind"] == "series" else shape[0])
    assert "CHECK: sound" not in text


def test_whole_numbers_are_features_where_the_column_holds_arrays(tmp_path: Path) -> None:
    write_manifest(tmp_path, {"codes": arrays(tmp_path, "codes", RNG.integers(0, 9, (10, 20)))})
    found, text = filled(tmp_path, {"codes": ("q", [None, 20])})
    assert (found["modality"]["codes"]["kind"], found["modality"]["codes"]["length"]) == ("features", 20)
    opens(tmp_path, text)


def test_several_columns_share_an_input(tmp_path: Path) -> None:
    """As many numbers together as the input takes: a block each, in the manifest's order."""
    x = RNG.normal(3, 2, (10, 7)).astype(np.float32)
    columns = {"near": arrays(tmp_path, "near", x[:, :4]), "far side": arrays(tmp_path, "far", x[:, 4:])}
    write_manifest(tmp_path, columns)
    found, text = filled(tmp_path, {"X": ("f", [None, 7])})
    near, far = found["modality"]["near"], found["modality"]["far_side"]
    assert (near["columns"], far["columns"], far["column"]) == ([0, 4], [4, 7], "far side")
    np.testing.assert_allclose(near["std"] + far["std"], x[:6].std(0), rtol=1e-4)
    assert comments(text).count("the columns of the input, in the manifest's order") == 1
    opens(tmp_path, text)


@pytest.mark.parametrize(
    ("inputs", "columns", "expected"),
    [
        (("Near", "FAR"), ("near", "far"), {"Near": "near", "FAR": "far"}),
        (("near_input", "far_input"), ("far", "near"), {"near_input": "near", "far_input": "far"}),
        (("colour", "b"), ("color", "b"), {"colour": "color", "b": None}),
        (("a", "b"), ("b", "c"), {"a": "c", "b": None}),
        (("a", "b"), ("c", "d"), {"a": None, "b": None}),
    ],
)
def test_columns_are_matched(tmp_path: Path, inputs: Any, columns: Any, expected: dict[str, str | None]) -> None:
    x = RNG.normal(size=(10, 3)).astype(np.float32)
    write_manifest(tmp_path, {name: arrays(tmp_path, name, x) for name in columns})
    found, text = filled(tmp_path, {name: ("f", [None, 3]) for name in inputs})
    assert {name: table.get("column") for name, table in found["modality"].items()} == expected
    lost = not any(expected.values())
    assert comments(text).count("which column feeds it: column = ...; one of c, d?") == (2 if lost else 0)
    sure = {name.lower() for name in inputs} == set(columns)
    assert ("CHECK: the manifest's column" in text) is (not sure and not lost)


@pytest.mark.parametrize("extra", [False, True])
def test_columns_of_numbers_feed_an_input_as_wide(tmp_path: Path, extra: bool) -> None:
    """Not where there are others beside them: a number may be a site or an age that the model does not read."""
    x = RNG.normal(50, 9, (10, 3)).round(3)
    columns = {name: [str(v) for v in x[:, i]] for i, name in enumerate(("age", "pressure", "rate"))}
    columns |= {"site": ["3"] * 10} if extra else {}
    write_manifest(tmp_path, columns)
    found, text = filled(tmp_path, {"X": ("f", [None, 3])})
    table = found["modality"]["X"]
    assert table.get("column") == (None if extra else ["age", "pressure", "rate"])
    if not extra:
        np.testing.assert_allclose(found["input"]["X"]["std"], x[:6].std(0), rtol=1e-4)
        opens(tmp_path, text)


def test_numbers_in_cells(tmp_path: Path) -> None:
    """An input for each column, as skl2onnx converts a data frame."""
    x = RNG.normal(50, 9, (10, 2)).round(3)
    write_manifest(tmp_path, {name: [str(v) for v in x[:, i]] for i, name in enumerate(("age", "rate"))})
    found, text = filled(tmp_path, {"rate": ("f", [None, 1]), "age": ("q", [None, 1])})
    np.testing.assert_allclose(found["modality"]["rate"]["mean"], x[:6, 1:].mean(0), rtol=1e-4)
    assert "CHECK: whole numbers: if they are categories" in text
    assert "column" not in found["modality"]["age"]


def test_a_column_that_cannot_be_read(tmp_path: Path) -> None:
    write_manifest(tmp_path, {"m": arrays(tmp_path, "m", RNG.normal(size=(10, 5)).astype(np.float32))})
    found, text = filled(tmp_path, {"m": ("f", [None, 3])})
    assert "std" not in found["modality"]["m"]
    assert "no row of train could be read" in comments(text)


@pytest.mark.parametrize("bad", ["\x1b[31m", "\u202e", "\x7f", "\n[output]\n", "\x9b2J"])
def test_a_strangers_labels_and_columns_obey_nobody(bad: str, tmp_path: Path) -> None:
    """They are quoted in comments, which a terminal shows and TOML reads."""
    lines = ["id,split,label,sensor,extra"]
    np.save(tmp_path / "x.npy", RNG.normal(size=(10, 4)).astype(np.float32))
    lines += [f's{i},train,"ant{bad}{i % 3}",x.npy#{i},"a{bad}b"' for i in range(10)]
    lines[0] = f'id,split,label,"sen{bad}sor","ex{bad}tra"'
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    table, text = filled(tmp_path, {"a": ("f", [None, 4]), "b": ("f", [None, 4])}, classes=2)
    assert table["output"]["name"] == "logits"
    assert all(line.isprintable() for line in text.splitlines())
    assert "the manifest 3 labels" in comments(text)
