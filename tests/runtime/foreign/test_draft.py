"""First drafts of descriptions: they always parse, and hold once a person has gone through their checks."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graphs import Inputs, linear, saved, softmax, value
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from onnx import helper

from robustmm.errors import DataError
from robustmm.runtime.foreign.drafting.draft import draft_graph
from robustmm.runtime.foreign.drafting.writing import format_draft
from robustmm.runtime.foreign.session import open_session


def draft_description(path: Path) -> str:
    return format_draft(draft_graph(path))


def drafted(path: Path) -> dict[str, Any]:
    return tomllib.loads(draft_description(path))


def edited(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert old in text, text
        text = text.replace(old, new, 1)
    return text


# --- three models of other tools, from the draft to the answer


def test_scikit_learn_from_draft_to_answer(fitted: tuple[Any, Any, Any], tmp_path: Path) -> None:
    """With maps for an output, as the converter writes by default; labels, means and deviations are found."""
    from skl2onnx import to_onnx

    pipeline, x, _ = fitted
    path = tmp_path / "theirs.onnx"
    onnx.save(to_onnx(pipeline, x[:1]), path)
    text = draft_description(path)
    (table,) = tomllib.loads(text)["modality"].values()
    (shared,) = tomllib.loads(text)["input"].values()
    np.testing.assert_allclose(shared["mean"], x.mean(0), rtol=1e-4)
    np.testing.assert_allclose(shared["std"], x.std(0), rtol=1e-4)
    table = {key: table[key] for key in ("kind", "input", "length", "missing")}
    assert table == {"kind": "features", "input": "X", "length": 12, "missing": "mean"}
    assert "CHECK: several sensors in this input: a table for each" in text
    tables = [
        f'[modality.{name}]\nkind = "features"\ninput = "X"\nlength = {after - first}\ncolumns = [{first}, {after}]\n'
        'missing = "mean"\n'
        for name, first, after in (("near", 0, 5), ("far", 5, 12))
    ]
    text = text[: text.index("[modality.X]")] + "\n".join(tables) + text[text.index("[input.X]") :]
    path.with_suffix(".toml").write_text(text)
    session = open_session(path, path.with_suffix(".toml"))
    assert session.classes == pipeline.classes_.tolist()
    np.testing.assert_allclose(getattr(session.modality("far"), "std", ()), x[:, 5:].std(0), rtol=1e-4)
    found = session.predict({"near": x[:, :5], "far": x[:, 5:]}, np.ones((40, 2), bool))
    np.testing.assert_allclose(found, pipeline.predict_proba(x), atol=2e-6)


def test_channels_last_from_draft_to_answer(tmp_path: Path) -> None:
    """One column after a sigmoid, dimensions left open."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["first"], ["pool"]),
        helper.make_node("Transpose", ["input_1:0"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("Flatten", ["pool"], ["flat"]),
        helper.make_node("Concat", ["flat", "input_2:0"], ["both"], axis=1),
        helper.make_node("Gemm", ["both", "weight"], ["score"]),
        helper.make_node("Sigmoid", ["score"], ["Identity:0"]),
    ]
    weight = np.array([[0.5], [-1], [2], [1], [-2]], np.float32)
    inputs: Inputs = {"input_1:0": ("f", ["n", None, None, 3]), "input_2:0": ("f", ["n", 2])}
    order = [nodes[1], nodes[0], *nodes[2:]]
    path = saved(tmp_path, order, inputs, ("Identity:0", ["n", 1]), {"weight": weight})
    text = draft_description(path)
    assert tomllib.loads(text) == {
        "classes": ["class 0", "class 1"],
        "output": {"name": "Identity:0", "activation": "none"},
        "modality": {
            "input_1_0": {"kind": "image", "input": "input_1:0", "size": [224, 224, 3], "layout": "NHWC",
                          "subtract": 0.0, "divide": 255.0, "missing": "zero"},
            "input_2_0": {"kind": "features", "input": "input_2:0", "length": 2, "layout": "ND", "missing": "zero"},
        },
    }  # fmt: skip
    assert "# CHECK: the graph leaves it open\nsize = [224, 224, 3]" in text
    text = edited(text, ("[224, 224, 3]", "[6, 8, 3]"), ('"class 0", "class 1"', '"cat", "dog"'))
    path.with_suffix(".toml").write_text(text)
    session = open_session(path, path.with_suffix(".toml"))
    rng = np.random.default_rng(0)
    x, v = rng.integers(0, 256, (4, 6, 8, 3), np.uint8), rng.normal(size=(4, 2)).astype(np.float32)
    score = np.concatenate([x.mean((1, 2)) / 255, v], 1) @ weight
    found = session.predict({"input_1_0": x, "input_2_0": v}, np.ones((4, 2), bool))
    np.testing.assert_allclose(found, softmax(np.concatenate([0 * score, score], 1)), atol=1e-5)


def test_a_transformers_export_from_draft_to_answer(dual: tuple[Path, Any], tmp_path: Path) -> None:
    path, _ = dual
    text = draft_description(path)
    found = tomllib.loads(text)
    assert found["output"] == {"name": "logits", "activation": "softmax"}
    found["modality"]["input_ids"]["tokenizer"] = Path(found["modality"]["input_ids"]["tokenizer"]).name
    assert found["modality"] == {
        "input_ids": {"kind": "text", "input": "input_ids", "length": 9, "tokenizer": "tokenizer.json",
                      "missing": "empty", "mask": "attention_mask", "token_type": "token_type_ids"},
        "pixel_values": {"kind": "image", "input": "pixel_values", "size": [8, 8, 3], "layout": "NCHW",
                         "subtract": 0.0, "divide": 255.0, "missing": "zero"},
    }  # fmt: skip
    assert "ImageNet" in text
    assert "CHECK: the model's own" not in text, "the tokenizer stands beside the model"
    text = format_draft(draft_graph(path, tmp_path))
    (tmp_path / "m.toml").write_text(text)
    session = open_session(path, tmp_path / "m.toml")
    assert session.classes == ["class 0", "class 1", "class 2"]
    ids = np.array([[2, 4, 3, 0, 0, 0, 0, 0, 0]])
    assert session.predict({"input_ids": ids}, np.array([[True, False]])).sum() == pytest.approx(1)


# --- what a type and a shape tell


@pytest.mark.parametrize(
    ("kind", "name", "dims", "expected"),
    [
        ("B", "x", [1, 224, 200, 3], {"kind": "image", "size": [224, 200, 3], "layout": "NHWC"}),
        ("B", "x", [1, 1, 28, 20], {"kind": "image", "size": [28, 20, 1], "layout": "NCHW"}),
        ("B", "x", [1, 28, 20], {"kind": "image", "size": [28, 20, 1], "layout": "NHW"}),
        ("f", "x", [1, None, None, None], {"kind": "image", "size": [224, 224, 3], "layout": "NCHW"}),
        ("f", "x", [1, 8, 3, 56, 60], {"kind": "video", "frames": 8, "size": [56, 60, 3], "layout": "NFCHW"}),
        ("f", "x", [1, 3, 8, 56, 60], {"kind": "video", "frames": 8, "size": [56, 60, 3], "layout": "NCFHW"}),
        ("B", "x", [1, 8, 56, 60, 1], {"kind": "video", "frames": 8, "size": [56, 60, 1], "layout": "NFHWC"}),
        ("f", "x", [1, None, None, None, None], {"kind": "video", "frames": 16, "layout": "NFCHW"}),
        ("f", "x", [1, 128, 6], {"kind": "series", "steps": 128, "channels": 6, "layout": "NTD"}),
        ("d", "x", [1, 6, 128], {"kind": "series", "steps": 128, "channels": 6, "layout": "NDT"}),
        ("f", "x", [1, None, 6], {"kind": "series", "steps": 128, "channels": 6, "layout": "NTD"}),
        ("f", "x", [1, 6, None], {"kind": "series", "steps": 128, "channels": 6, "layout": "NDT"}),
        ("f", "x", [1, 16000], {"kind": "audio", "rate": 16000, "seconds": 1.0, "layout": "NT"}),
        ("f", "x", [1, 1, 8001], {"kind": "audio", "seconds": 8001 / 16000, "layout": "N1T"}),
        ("f", "input_values", [1, None], {"kind": "audio", "seconds": 1.0, "layout": "NT"}),
        ("f", "x", [1, 3999], {"kind": "features", "length": 3999, "layout": "ND"}),
        ("f", "x", [1, None], {"kind": "features", "length": 1, "layout": "ND"}),
        ("f", "x", [1], {"kind": "features", "length": 1, "layout": "N"}),
        ("q", "x", [1, 77], {"kind": "text", "length": 77}),
        ("i", "x", [1, None], {"kind": "text", "length": 64}),
    ],
)
def test_the_kind_is_guessed(tmp_path: Path, kind: str, name: str, dims: list[int | None], expected: Any) -> None:
    path, _ = linear(tmp_path, {name: (kind, dims)})
    (table,) = drafted(path)["modality"].values()
    assert {key: table[key] for key in expected} == expected
    assert ("divide" in table) == (kind == "f" and table["kind"] in ("image", "video"))
    if None not in dims and table["kind"] not in ("text",):
        path.with_suffix(".toml").write_text(draft_description(path))
        session = open_session(path, path.with_suffix(".toml"))
        assert session.embed(session.names[0], session.modalities[0].blank_input()[None]).shape == tuple(dims)
    lines = [line for line in draft_description(path).splitlines() if "the graph leaves it open" in line]
    assert len(lines) == (None in dims)


def test_a_fourth_channel_is_a_modality_of_its_own(tmp_path: Path) -> None:
    path, _ = linear(tmp_path, {"rgbd": ("f", [None, 4, 5, 6])})
    text = draft_description(path)
    path.with_suffix(".toml").write_text(text)
    session = open_session(path, path.with_suffix(".toml"))
    assert [(m.name, m.shape) for m in session.modalities] == [("rgbd", (5, 6, 3)), ("rgbd_fourth", (5, 6, 1))]
    assert [one.preprocessing.columns for one in session.bindings] == [(0, 3), (3, 4)]


@pytest.mark.parametrize(
    ("kind", "name", "dims", "expected", "asked"),
    [
        ("f", "lesion_mask", [None, 1, 32, 32], "image", False),
        ("q", "blood_type", [None, 1], "features", False),
        ("i", "tokenTypeOfStone", [None], "features", False),
        ("q", "type", [None, 3], "features", True),
        ("q", "mask", [None, 3], "features", True),
        ("q", "codes", [None, 20], "text", True),
        ("q", "caption", [None, 5], "text", False),
        ("q", "input_ids", [None, 2], "text", False),
        ("f", "expression", [None, 5000], "features", False),
        ("f", "wavelengths", [None, 5000], "features", False),
        ("f", "spectrum", [None, 12345], "features", False),
        ("f", "audio_in", [None, 5000], "audio", False),
        ("f", "inputSpeech", [None, None], "audio", False),
        ("f", "x", [None, 22050], "audio", True),
        ("i", "waveform", [None, 16000], "audio", False),
        ("q", "picture", [None, 3, 8, 8], "image", False),
    ],
)
def test_names_tell_what_sizes_do_not(
    tmp_path: Path, kind: str, name: str, dims: list[int | None], expected: str, asked: bool
) -> None:
    """None is dropped for a word in its name, and what neither settles is asked."""
    path, _ = linear(tmp_path, {name: (kind, dims), "other": ("f", [None, 7])})
    text = draft_description(path)
    tables = tomllib.loads(text)["modality"]
    assert tables[name]["kind"] == expected
    assert len(tables) == 2
    above = text[: text.index(f'kind = "{expected}"')].splitlines()[-1]
    assert above.startswith("# ") is asked


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("attention_mask", "mask"),
        ("input_mask", "mask"),
        ("padding_mask", "mask"),
        ("segment_ids", "token_type"),
        ("token_type_ids", "token_type"),
    ],
)
def test_companions_have_the_shape_of_the_ids(tmp_path: Path, name: str, key: str) -> None:
    path, _ = linear(
        tmp_path, {"input_ids": ("q", [None, 2]), name: ("q", [None, 2]), "a_mask": ("f", [None, 1, 5, 5])}
    )
    tables = drafted(path)["modality"]
    assert list(tables) == ["input_ids", "a_mask"]
    assert tables["input_ids"][key] == name


@pytest.mark.parametrize("kind", ["b", "B"])
def test_integers_of_pictures(tmp_path: Path, kind: str) -> None:
    """What the graph makes of its integers is told, and int8 is shifted."""
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "scale", "zero"], ["real"]),
        helper.make_node("Flatten", ["real"], ["logits"]),
    ]
    zero = np.int8(-128) if kind == "b" else np.uint8(114)
    stored = {"scale": np.float32(1 / 255), "zero": zero}
    path = saved(tmp_path, nodes, {"x": (kind, [None, 2, 2, 1])}, ("logits", [None, 4]), stored)
    text = draft_description(path)
    table = tomllib.loads(text)["modality"]["x"]
    assert table.get("subtract") == (128.0 if kind == "b" else None)
    said = " ".join(text.replace("# ", "").split())
    assert f"the graph reads an integer q as (q {'+ 128' if kind == 'b' else '- 114'}) * 0.00392157" in said
    path.with_suffix(".toml").write_text(text)
    session = open_session(path, path.with_suffix(".toml"))
    x = np.array([0, 100, 200, 255], np.uint8).reshape(1, 2, 2, 1)
    q = x.astype(int).ravel() - (128 if kind == "b" else 0)
    expected = softmax((q[None] - int(zero)) / 255.0)
    np.testing.assert_allclose(session.predict({"x": x}, np.ones((1, 1), bool)), expected, atol=1e-5)


def test_strings_are_refused_with_what_to_do(tmp_path: Path) -> None:
    path, _ = linear(tmp_path, {"age": ("f", [None, 1]), "site": ("s", [None, 1])})
    with pytest.raises(DataError, match=r'takes strings in "site", which are not fed here; convert the model again'):
        draft_description(path)


def test_two_texts_find_their_own_masks(tmp_path: Path) -> None:
    """By the likeness of names; and a text alone takes the only one there is."""
    names = ["question_ids", "answer_ids", "answer_mask", "question_mask"]
    path, _ = linear(tmp_path, {name: ("q", [None, 2]) for name in names})
    found = drafted(path)["modality"]
    assert {name: table["mask"] for name, table in found.items()} == {
        "question_ids": "question_mask",
        "answer_ids": "answer_mask",
    }
    assert not any("token_type" in table for table in found.values())
    assert "nobody feeds" not in draft_description(path)
    path, _ = linear(tmp_path, {name: ("q", [None, 2]) for name in ("a_ids", "b_ids", "b_mask")})
    masks = {name: table.get("mask") for name, table in drafted(path)["modality"].items()}
    assert masks == {"a_ids": None, "b_ids": "b_mask"}, "fed once, to the likest"


def test_presence_is_told_to_graphs_that_ask(tmp_path: Path) -> None:
    path, _ = linear(tmp_path, {"a": ("f", [None, 2]), "there": ("?", [None, 2]), "b": ("f", [None, 3])})
    text = draft_description(path)
    assert [table["present"] for table in tomllib.loads(text)["modality"].values()] == ["there", "there"]
    path.with_suffix(".toml").write_text(text)
    assert open_session(path, path.with_suffix(".toml")).names == ["a", "b"]
    path, _ = linear(tmp_path, {"a": ("f", [None, 2]), "there": ("?", [None])})
    assert drafted(path)["modality"]["a"]["present"] == "there"


@pytest.mark.parametrize(
    ("kind", "name", "dims"),
    [
        ("q", "pixel_mask", [None, 2, 2]),
        ("f", "temperature", []),
        ("?", "flags", [None, 3]),
        ("q", "attention_mask", [None, 2]),
        ("q", "position_ids", [None, 9]),
    ],
)
def test_what_nobody_feeds_is_told(tmp_path: Path, kind: str, name: str, dims: list[int]) -> None:
    path, _ = linear(tmp_path, {"a": ("f", [None, 2]), name: (kind, dims)})
    assert f'# CHECK: nobody feeds input = "{name}"; make it a constant\n' in draft_description(path)


# --- what the output tells


def classifier(folder: Path, last: list[Any], answers: list[Any], **attributes: Any) -> Path:
    """A graph over features (batch, 2) that ends in some nodes."""
    path, _ = linear(folder, {"m": ("f", [None, 2])}, 4)
    model = onnx.load(path)
    model.graph.node.extend(last)
    del model.graph.output[:]
    model.graph.output.extend(answers)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("nodes", "answers", "expected"),
    [
        ([], [value("logits", "f", [None, 4])], ("logits", "softmax", 4)),
        ([], [value("logits", "f", [None, 1])], ("logits", "sigmoid", 2)),
        ([], [value("logits", "f", [None])], ("logits", "sigmoid", 2)),
        ([], [value("logits", "f", None)], ("logits", "softmax", 2)),
        ([helper.make_node("Softmax", ["logits"], ["y"])], [value("y", "f", [None, 4])], ("y", "none", 4)),
        ([helper.make_node("LogSoftmax", ["logits"], ["y"])], [value("y", "f", [None, 4])], ("y", "softmax", 4)),
        (
            [helper.make_node("Softmax", ["logits"], ["p"]), helper.make_node("Identity", ["p"], ["y"])],
            [value("y", "f", [None, 4])],
            ("y", "none", 4),
        ),
        (
            [helper.make_node("Softmax", ["logits"], ["probs"])],
            [value("logits", "f", [None, 4]), value("probs", "f", [None, 4])],
            ("probs", "none", 4),
        ),
        (
            [helper.make_node("ArgMax", ["logits"], ["label"]), helper.make_node("Identity", ["logits"], ["hidden"])],
            [value("label", "q", [None, 1]), value("hidden", "f", [None, 4]), value("logits", "f", [None, 4])],
            ("logits", "softmax", 4),
        ),
    ],
)
def test_the_output_is_guessed(tmp_path: Path, nodes: list[Any], answers: list[Any], expected: Any) -> None:
    found = drafted(classifier(tmp_path, nodes, answers))
    assert (found["output"]["name"], found["output"]["activation"], len(found["classes"])) == expected


@pytest.mark.parametrize("labels", [{"classlabels_int64s": [3, 1]}, {"classlabels_strings": ["no", "yes"]}])
def test_labels_are_read_from_the_graph(tmp_path: Path, labels: dict[str, list[Any]]) -> None:
    node = helper.make_node(
        "LinearClassifier", ["m"], ["label", "p"], domain="ai.onnx.ml", coefficients=[1.0, 0, 0, 1], **labels
    )
    saved(tmp_path, [node], {"m": ("f", [None, 2])}, ("p", [None, 2]))
    found = drafted(tmp_path / "theirs.onnx")
    assert found["classes"] == [str(label) for label in next(iter(labels.values()))]
    assert found["output"]["activation"] == "none"


def test_labels_of_another_number_are_left(tmp_path: Path) -> None:
    node = helper.make_node("Nonsense", ["m"], ["y"], domain="their.own", classlabels_strings=["a", "b"])
    saved(tmp_path, [node], {"m": ("f", [None, 2])}, ("y", [None, 3]))
    assert drafted(tmp_path / "theirs.onnx")["classes"] == ["class 0", "class 1", "class 2"]


# --- files that are no classifiers, and names that are no names


def test_what_is_no_classifier(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no graph")
    for path, sentence in (
        (tmp_path / "none.onnx", "none.onnx does not exist"),
        (tmp_path / "text.onnx", "text.onnx is not"),
        (classifier(tmp_path, [helper.make_node("ArgMax", ["logits"], ["y"])], [value("y", "q", [None, 1])]),
         "should have an output of floating-point numbers"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=sentence):
            draft_description(path)
    path, _ = linear(tmp_path, {"m": ("s", [None, 2])})
    with pytest.raises(DataError, match=r'takes strings in "m".*convert the model again without the step that encodes'):
        draft_description(path)


HOSTILE = [
    "self",
    'a"\n[output]\nname = "b',
    "../../x",
    "# CHECK",
    "üñ ☃",
    "\x7f\x1b[31m",
    "a" * 300,
    "[modality]",
    "'''",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_go_from_the_graph_through_the_draft_to_the_answer(tmp_path: Path, name: str) -> None:
    path, theirs = linear(tmp_path, {name: ("f", [None, 2]), f"{name}2": ("f", [None, 1])})
    path.with_suffix(".toml").write_text(draft_description(path), encoding="utf-8")
    session = open_session(path, path.with_suffix(".toml"))
    assert [one.preprocessing.input for one in session.bindings] == [name, f"{name}2"]
    x, y = np.array([[1, 2], [3, 4]], np.float32), np.array([[5], [6]], np.float32)
    found = session.predict(dict(zip(session.names, (x, y), strict=True)), np.ones((2, 2), bool))
    np.testing.assert_allclose(found, softmax(theirs(x, y)), atol=1e-6)


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
DIMS = st.lists(st.sampled_from([None, 1, 2, 3, 4, 7, 5000]), max_size=5)


@given(st.dictionaries(NAMES, st.tuples(st.sampled_from("fdeBbqi?s"), DIMS), min_size=1, max_size=6), NAMES)
@example({"0": ("f", [None]), "1": ("?", [None]), "00": ("?", [None])}, "y")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_draft_parses_and_names_the_graphs_own_inputs(tmp_path: Path, inputs: Inputs, output: str) -> None:
    """Whatever the graph is like; every input is in the draft once, or listed as fed by nobody."""
    path = saved(tmp_path, [helper.make_node("Any", list(inputs), [output])], inputs, (output, [None, 3]))
    try:
        text = draft_description(path)
    except DataError:
        return
    found = tomllib.loads(text)
    assert found["output"]["name"] == output
    keys = ("input", "mask", "token_type", "present")
    fed = [table[key] for table in found["modality"].values() for key in keys if key in table]
    assert set(fed) <= set(inputs)
    assert text.count("# CHECK: nobody feeds input = ") == len(set(inputs) - set(fed))
