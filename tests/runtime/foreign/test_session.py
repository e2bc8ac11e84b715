"""Classifiers of other tools: robustmm answers what scikit-learn, numpy and torch answer on the same inputs."""

from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from graphs import Inputs, linear, saved, softmax
from onnx import helper
from scipy.special import expit
from skl2onnx import to_onnx
from sklearn.pipeline import Pipeline
from tokenizers import Tokenizer, models, processors
from worlds import CLASSES

from robustmm.conditions.condition import Condition, Noise
from robustmm.data.manifest import Manifest
from robustmm.errors import DataError, UsageError
from robustmm.evaluation import attack, source
from robustmm.evaluation.evaluate import evaluate
from robustmm.evaluation.fit import fit_session
from robustmm.modalities import Text
from robustmm.runtime.foreign.output import probabilities
from robustmm.runtime.foreign.session import ForeignSession, open_session
from robustmm.runtime.foreign.tokens import MARK
from robustmm.runtime.runner import Runner
from robustmm.runtime.session import Session

HEAD = 'classes = ["ant", "bee", "cat"]\n'
PRESENCE = np.array([[1, 1], [1, 0], [0, 1], [0, 0], [1, 1]], bool)


def session(path: Path, text: str) -> ForeignSession:
    """A session on a described file; three classes and the output `logits` where the text does not say otherwise."""
    text = text if "classes =" in text else HEAD + text
    text = text if "[output]" in text else f'{text}\n[output]\nname = "logits"\n'
    description = path.with_suffix(".toml")
    description.write_text(text, encoding="utf-8")
    opened = open_session(path, description)
    assert isinstance(opened, ForeignSession)
    return opened


# --- scikit-learn through skl2onnx: two sensors in one input


SENSORS = """\
classes = ["ant", "bee", "cat"]
prior = [0.5, 0.25, 0.25]
[output]
name = "probabilities"
activation = "none"
[modality.near]
kind = "features"
length = 5
mean = {near}
input = "X"
columns = [0, 5]
missing = "mean"
[modality.far]
kind = "features"
length = 7
mean = {far}
input = "X"
columns = [5, 12]
missing = "mean"
"""


@pytest.fixture
def sensors(fitted: tuple[Pipeline, Any, Any], tmp_path: Path) -> ForeignSession:
    pipeline, x, _ = fitted
    onnx.save(to_onnx(pipeline, x[:1], options={"zipmap": False}), tmp_path / "theirs.onnx")
    mean = x.mean(0).tolist()
    return session(tmp_path / "theirs.onnx", SENSORS.format(near=mean[:5], far=mean[5:]))


def filled(x: Any, present: Any) -> Any:
    """Samples (n, 12) with column means for the sensors that are missing."""
    return np.where(np.repeat(present, [5, 7], 1), x, x.mean(0))


def test_scikit_learn_answers_alike_on_every_subset(sensors: ForeignSession, fitted: tuple[Pipeline, Any, Any]) -> None:
    pipeline, x, _ = fitted
    assert sensors.classes == list(pipeline.classes_)
    present = np.array([[i & 1, i & 2] for i in range(40)], bool)
    found = sensors.predict({"near": x[:, :5], "far": x[:, 5:]}, present)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, pipeline.predict_proba(filled(x, present)), atol=2e-6)
    lost = sensors.predict({"far": x[:, 5:]}, np.tile([False, True], (40, 1)))
    np.testing.assert_allclose(lost, pipeline.predict_proba(filled(x, np.tile([False, True], (40, 1)))), atol=2e-6)
    assert sensors.predict({}, np.zeros((0, 2), bool)).shape == (0, 3)


def test_an_evaluation_of_scikit_learn(
    sensors: ForeignSession, fitted: tuple[Pipeline, Any, Any], tmp_path: Path
) -> None:
    """Records hold scikit-learn's own answers, and the Shapley values worked out by hand from them."""
    pipeline, x, target = fitted
    np.save(tmp_path / "near.npy", x[:, :5])
    np.save(tmp_path / "far.npy", x[:, 5:])
    columns = {"id": [f"s{i}" for i in range(40)], "split": ["test"] * 40, "label": [CLASSES[t] for t in target]}
    columns |= {name: [f"{name}.npy#{i}" for i in range(40)] for name in ("near", "far")}
    rows = Manifest(tmp_path / "manifest.csv", columns, list(range(2, 42)))
    noisy = Condition("noisy", (Noise("gaussian", 0.5, ("near",)),))
    conditions = [Condition("clean"), Condition("alone", present=("far",)), noisy]
    with pytest.raises(UsageError, match=r"noise on near is in units of the training data, .* give std = "):
        evaluate(sensors, rows, conditions)
    columns = {name: 2 * column for name, column in columns.items()}
    columns |= {"id": [f"s{i}" for i in range(80)], "split": ["train"] * 40 + ["test"] * 40}
    whole = Manifest(tmp_path / "manifest.csv", columns, list(range(2, 82)))
    completed, prior, notes = fit_session(sensors, whole)
    assert (prior, len(notes)) == ("description", 2)
    np.testing.assert_allclose(completed.modality("near").std, x[:, :5].std(0), rtol=1e-5)  # type: ignore[attr-defined]
    rows = whole.split("test")
    (clean, single, corrupted), _ = evaluate(completed, rows, conditions, batch=16)
    subsets = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], bool)
    p = np.stack([pipeline.predict_proba(filled(x, np.tile(s, (40, 1)))) for s in subsets])
    np.testing.assert_allclose(clean.probabilities, p[3], atol=2e-6)
    np.testing.assert_allclose(single.probabilities, p[2], atol=2e-6)
    assert np.abs(corrupted.probabilities - p[3]).max() > 0.01
    p[0] = [0.5, 0.25, 0.25]
    v = np.log(p[:, np.arange(40), target])
    near, far = (v[1] - v[0] + v[3] - v[2]) / 2, (v[2] - v[0] + v[3] - v[1]) / 2
    np.testing.assert_allclose(clean.phi_log_probability, np.stack([near, far], 1), atol=2e-5)
    np.testing.assert_array_equal(clean.unimodal_correct[:, 0], p[1].argmax(1) == target)
    assert clean.exact
    result = attack.attack(completed, rows, noisy, split="test", seed=0)
    assert result.method == "foreign"
    assert result.clean.accuracy.value == pytest.approx((p[3].argmax(1) == target).mean())


def test_a_graph_that_takes_nan_for_missing(tmp_path: Path) -> None:
    """As boosted trees do: `missing = nan`."""
    nodes = [
        helper.make_node("IsNaN", ["X"], ["gone"]),
        helper.make_node("Where", ["gone", "instead", "X"], ["whole"]),
        helper.make_node("MatMul", ["whole", "weight"], ["score"]),
        helper.make_node("Sigmoid", ["score"], ["p"]),
    ]
    weight, instead = np.array([[1.0], [-2], [3]], np.float32), np.array([[5, -3, 0.5]], np.float32)
    path = saved(tmp_path, nodes, {"X": ("f", [None, 3])}, ("p", [None, 1]), {"weight": weight, "instead": instead})
    text = 'classes = ["no", "yes"]\n[output]\nname = "p"\nactivation = "none"\n'
    for i, name in enumerate("abc"):
        text += f'[modality.{name}]\nkind = "features"\nlength = 1\ninput = "X"\n'
        text += f"columns = [{i}, {i + 1}]\nmissing = nan\n"
    opened = session(path, text)
    rng = np.random.default_rng(1)
    x, present = rng.normal(size=(20, 3)).astype(np.float32), rng.random((20, 3)) < 0.5
    yes = expit(np.where(present, x, instead) @ weight)
    found = opened.predict({name: x[:, [i]] for i, name in enumerate("abc")}, present)
    np.testing.assert_allclose(found, np.concatenate([1 - yes, yes], 1), atol=1e-6)


# --- a Keras-like graph: channels last, two inputs, softmax inside


KERAS = """\
[output]
name = "dense/Softmax:0"
activation = "none"
[modality.picture]
kind = "image"
size = [8, 6, 3]
input = "serving_default_picture:0"
{scaling}
missing = {missing}
[modality.vector]
kind = "features"
length = 4
input = "serving_default_vector:0"
"""


@pytest.mark.parametrize("kind", ["f", "B"])
def test_a_channels_last_graph(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(5, 3, 3, 3)).astype(np.float32)
    weight, bias = rng.normal(size=(9, 3)).astype(np.float32), rng.normal(size=3).astype(np.float32)
    picture, vector = "serving_default_picture:0", "serving_default_vector:0"
    nodes = [
        helper.make_node("Cast", [picture], ["cast"], to=1),
        helper.make_node("Transpose", ["cast"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["first", "kernel"], ["conv"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("GlobalAveragePool", ["relu"], ["pool"]),
        helper.make_node("Flatten", ["pool"], ["flat"]),
        helper.make_node("Concat", ["flat", vector], ["both"], axis=1),
        helper.make_node("Gemm", ["both", "weight", "bias"], ["dense"]),
        helper.make_node("Softmax", ["dense"], ["dense/Softmax:0"]),
    ]
    inputs: Inputs = {picture: (kind, [None, 8, 6, 3]), vector: ("f", [None, 4])}
    constants = {"kernel": kernel, "weight": weight, "bias": bias}
    path = saved(tmp_path, nodes, inputs, ("dense/Softmax:0", [None, 3]), constants)
    scaling = "subtract = [10, 20, 30]\ndivide = [40, 50, 60]" if kind == "f" else 'layout = "NHWC"'
    opened = session(path, KERAS.format(scaling=scaling, missing='"zero"' if kind == "B" else "[10, 20, 90]"))
    x = rng.integers(0, 256, (5, 8, 6, 3), np.uint8)
    v = rng.normal(size=(5, 4)).astype(np.float32)
    given = torch.from_numpy(x.astype(np.float32))
    if kind == "f":
        given = (given - torch.tensor([10, 20, 30])) / torch.tensor([40, 50, 60])
    gap = torch.zeros(3) if kind == "B" else torch.tensor([0.0, 0, 1])
    given[~PRESENCE[:, 0]] = gap
    features = torch.conv2d(given.permute(0, 3, 1, 2), torch.from_numpy(kernel), padding=1).relu().mean((2, 3))
    both = torch.cat([features, torch.from_numpy(v * PRESENCE[:, 1:])], 1)
    expected = torch.softmax(both @ torch.from_numpy(weight) + torch.from_numpy(bias), 1)
    np.testing.assert_allclose(opened.predict({"picture": x, "vector": v}, PRESENCE), expected, atol=1e-5)
    assert opened.encoded == ["picture"], "the vector goes into the first node that both meet in"
    assert opened.embed("picture", x).shape == (5, 5)


# --- a transformers export: ids, mask and token types for one modality, pixels for the other


DUAL = """\
[modality.caption]
kind = "text"
length = 9
tokenizer = "tokenizer.json"
input = "input_ids"
mask = "attention_mask"
token_type = "token_type_ids"
missing = "{missing}"
[modality.picture]
kind = "image"
size = [8, 8, 3]
layout = "NCHW"
input = "pixel_values"
subtract = 127.5
divide = 127.5
"""


@pytest.mark.parametrize("missing", ["empty", "zero"])
def test_a_transformers_export(dual: tuple[Path, torch.nn.Module], missing: str) -> None:
    path, model = dual
    opened = session(path, DUAL.format(missing=missing))
    caption = opened.modality("caption")
    assert isinstance(caption, Text)
    texts = ["ants fly", "bees sting and fly", "cats", "cats purr cats purr cats purr cats purr", "bees"]
    ids = np.stack([caption.feed(text) for text in texts])
    assert ids[0].tolist() == [2, 4, 7, 3, *[MARK] * 5]
    x = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), np.uint8)
    given = torch.from_numpy(np.where(ids == MARK, 0, ids))
    given[~PRESENCE[:, 0]] = torch.tensor([2, 3] + [0] * 7) if missing == "empty" else 0
    pixels = torch.from_numpy(x).permute(0, 3, 1, 2) / 127.5 - 1
    pixels[~PRESENCE[:, 1]] = 0
    with torch.no_grad():
        expected = model(given, (given != 0).long(), torch.zeros_like(given), pixels).softmax(1)
    found = opened.predict({"caption": ids, "picture": x}, PRESENCE)
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert found.max() - found.min() > 0.2, "the answers differ"


@pytest.mark.parametrize(("missing", "ids"), [("zero", [1, 1, 1]), ("empty", [2, 3, 1])])
def test_padding_is_the_tokenizers_own(tmp_path: Path, missing: str, ids: list[int]) -> None:
    """RoBERTa's is 1; no token that pads is in the mask."""
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "<pad>": 1, "<s>": 2, "</s>": 3, "a": 4}, unk_token="<unk>"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 3)]
    )
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    path, theirs = linear(tmp_path, {"ids": ("i", [None, 3]), "mask": ("f", [None, 3])})
    table = '[modality.m]\nkind = "text"\nlength = 3\ninput = "ids"\nmask = "mask"\ntokenizer = "tokenizer.json"\n'
    opened = session(path, f'{table}missing = "{missing}"')
    x = np.array([[2, 4, 3], ids])
    found = opened.predict({"m": x}, np.array([[True], [False]]))
    np.testing.assert_allclose(found, softmax(theirs(x, x != 1)), atol=1e-6)


# --- every way into a graph


AXES = {"image": "hwc", "video": "fhwc", "series": "td"}
TABLES = {
    "image": ("size = [2, 3, 3]", (2, 3, 3), np.uint8),
    "video": ("frames = 4\nsize = [2, 3, 3]", (4, 2, 3, 3), np.uint8),
    "series": ("steps = 4\nchannels = 2", (4, 2), np.float32),
}


@pytest.mark.parametrize(
    ("kind", "order"), [(kind, "".join(order)) for kind, axes in AXES.items() for order in permutations(axes)]
)
def test_every_layout(tmp_path: Path, kind: str, order: str) -> None:
    fields, shape, dtype = TABLES[kind]
    size = dict(zip(AXES[kind], shape, strict=True))
    path, theirs = linear(tmp_path, {"m": ("f", ["N", *(size[c] for c in order)])})
    text = f'[modality.m]\nkind = "{kind}"\n{fields}\nlayout = "N{order.upper()}"\n'
    text += f"subtract = {[1.0, 2, 3][: shape[-1]]}\ndivide = {[40, 5.0, 60][: shape[-1]]}\nmissing = 7"
    opened = session(path, text)
    x = np.random.default_rng(0).normal(5, 3, (3, *shape)).clip(0).astype(dtype)
    x[2] = 7
    scaled = (x.astype(np.float64) - [1, 2, 3][: shape[-1]]) / [40, 5, 60][: shape[-1]]
    expected = softmax(theirs(np.einsum(f"n{AXES[kind]}->n{order}", scaled)))
    absent = np.array([[True], [True], [False]])
    np.testing.assert_allclose(opened.predict({"m": x}, absent), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("dims", "table"),
    [
        ([1, 40], 'kind = "audio"\nrate = 1000\nseconds = 0.04\nlayout = "N1T"'),
        ([40], 'kind = "audio"\nrate = 1000\nseconds = 0.04'),
        ([8, 5], 'kind = "image"\nsize = [8, 5, 1]\nlayout = "NHW"'),
        ([1, 5, 8], 'kind = "image"\nsize = [8, 5, 1]\nlayout = "NCWH"'),
        ([8, 1, 5], 'kind = "series"\nsteps = 8\nchannels = 5\nlayout = "NT1D"'),
        ([40, 1], 'kind = "features"\nlength = 40\nlayout = "ND1"'),
        ([], 'kind = "features"\nlength = 1\nlayout = "N"'),
    ],
)
def test_axes_of_length_one_come_and_go(tmp_path: Path, dims: list[int], table: str) -> None:
    path, theirs = linear(tmp_path, {"m": ("f", [None, *dims])})
    opened = session(path, f"[modality.m]\n{table}")
    shape = opened.modality("m").shape
    x = np.random.default_rng(0).integers(0, 9, (4, *shape)).astype(opened.modality("m").dtype)
    laid = x.transpose(0, 2, 1, 3) if "NCWH" in table else x
    np.testing.assert_allclose(opened.predict({"m": x}, np.ones((4, 1), bool)), softmax(theirs(laid)), atol=1e-5)


@pytest.mark.parametrize("kind", "fdeBbqi?")
def test_the_graphs_own_type_is_fed(tmp_path: Path, kind: str) -> None:
    path, theirs = linear(tmp_path, {"m": (kind, [None, 2, 2, 1])})
    scaling = "subtract = 128\n" if kind == "b" else "divide = 255\n" if kind == "e" else ""
    opened = session(path, f'[modality.m]\nkind = "image"\nsize = [2, 2, 1]\n{scaling}')
    x = np.array([[0, 1, 128, 255], [0, 1, 0, 1]], np.uint8).reshape(2, 2, 2, 1)
    assert opened.embed("m", x).dtype == np.dtype(kind)
    exact = x - 128.0 if kind == "b" else x / 255 if kind == "e" else (x > 0) if kind == "?" else x
    found = opened.predict({"m": x}, np.ones((2, 1), bool))
    np.testing.assert_allclose(found, softmax(theirs(np.asarray(exact))), atol=1e-3 if kind == "e" else 1e-5)


def test_integers_are_rounded_and_held_to_their_range(tmp_path: Path) -> None:
    path, _ = linear(tmp_path, {"m": ("B", [None, 4])})
    opened = session(path, '[modality.m]\nkind = "features"\nlength = 4\nsubtract = 1\ndivide = 2\nmissing = 999')
    x = np.array([[3.9, 0.0, 4.2, 1000]], np.float32)
    assert opened.embed("m", x).tolist() == [[1, 0, 2, 255]]
    assert opened.blank_embedding("m", 2).tolist() == [[255] * 4] * 2
    path, _ = linear(tmp_path, {"m": ("b", [None, 4, 1])})
    opened = session(path, '[modality.m]\nkind = "image"\nsize = [4, 1, 1]\nlayout = "NHW"\nsubtract = 120')
    x = np.array([[0, 120, 247, 255]], np.uint8).reshape(1, 4, 1, 1)
    assert opened.embed("m", x).ravel().tolist() == [-120, 0, 127, 127]


def test_channels_of_one_picture_and_sensors_out_of_order(tmp_path: Path) -> None:
    """Colour and depth in one input of four channels, channels first; the table may come in any order."""
    path, theirs = linear(tmp_path, {"rgbd": ("f", [None, 4, 5, 6])})
    text = '[modality.depth]\nkind = "image"\nsize = [5, 6, 1]\nlayout = "NCHW"\ninput = "rgbd"\ncolumns = [3, 4]\n'
    text += '[modality.colour]\nkind = "image"\nsize = [5, 6, 3]\nlayout = "NCHW"\ninput = "rgbd"\ncolumns = [0, 3]\n'
    opened = session(path, text)
    rng = np.random.default_rng(0)
    depth, colour = rng.integers(0, 9, (5, 5, 6, 1), np.uint8), rng.integers(0, 9, (5, 5, 6, 3), np.uint8)
    both = np.concatenate([colour * PRESENCE[:, 1, None, None, None], depth * PRESENCE[:, 0, None, None, None]], 3)
    found = opened.predict({"depth": depth, "colour": colour}, PRESENCE)
    np.testing.assert_allclose(found, softmax(theirs(both.transpose(0, 3, 1, 2))), atol=1e-5)


# --- the presence mask as an input of the graph


@pytest.mark.parametrize(("kind", "dims"), [("?", []), ("f", [1]), ("q", [1])])
def test_a_flag_for_one_modality(tmp_path: Path, kind: str, dims: list[int]) -> None:
    path, theirs = linear(tmp_path, {"m": ("f", [None, 3]), "has_m": (kind, [None, *dims])})
    opened = session(path, '[modality.m]\nkind = "features"\nlength = 3\npresent = "has_m"\nmissing = [4, 5, 6]')
    x = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    expected = softmax(theirs(x, np.array([1, 0])))
    np.testing.assert_allclose(opened.predict({"m": x}, np.array([[True], [False]])), expected, atol=1e-6)


OURS = """\
prior = {prior}
[output]
name = "logits"
[modality.vector]
kind = "features"
length = 5
present = "present"
[modality.series]
kind = "series"
steps = 12
channels = 2
present = "present"
"""


def test_a_file_of_ours_answers_the_same_when_it_runs_whole(world_model: Path, tmp_path: Path) -> None:
    """`present` (batch, modality) is one input for both, in the description's order."""
    ours = Session(world_model)
    (tmp_path / "m.toml").write_text(HEAD + OURS.format(prior=ours.prior.tolist()))
    whole = open_session(world_model, tmp_path / "m.toml")
    assert (whole.names, whole.classes) == (ours.names, ours.classes)
    np.testing.assert_allclose(whole.prior, ours.prior)
    rng = np.random.default_rng(0)
    inputs = {"vector": rng.normal(size=(150, 5)), "series": rng.normal(size=(150, 12, 2))}
    inputs = {name: x.astype(np.float32) for name, x in inputs.items()}
    present = rng.random((150, 2)) < 0.6
    held = present.any(1)
    np.testing.assert_allclose(whole.predict(inputs, present)[held], ours.predict(inputs, present)[held], atol=1e-6)


# --- how many rows a graph takes


@pytest.mark.parametrize("batch", [1, 4])
def test_a_fixed_batch(tmp_path: Path, batch: int) -> None:
    path, theirs = linear(tmp_path, {"m": ("f", [batch, 3])}, answer=("logits", [batch, 3]))
    opened = session(path, '[modality.m]\nkind = "features"\nlength = 3')
    x = np.random.default_rng(0).normal(size=(70, 3)).astype(np.float32)
    for rows in (1, 4, 6, 70):
        found = opened.predict({"m": x[:rows]}, np.ones((rows, 1), bool))
        np.testing.assert_allclose(found, softmax(theirs(x[:rows])), atol=1e-6)


def test_a_graph_that_hides_its_batch(tmp_path: Path) -> None:
    """Traced with one sample and called dynamic: the description says how many it takes."""
    nodes = [
        helper.make_node("Reshape", ["m", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["logits"]),
    ]
    w = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    stored = {"w": w, "shape": np.array([1, 6])}
    path = saved(tmp_path, nodes, {"m": ("f", ["batch", 2, 3])}, ("logits", ["batch", 3]), stored)
    table = '[modality.m]\nkind = "series"\nsteps = 2\nchannels = 3'
    with pytest.raises(
        DataError, match=r"cannot be run: .*; if it takes one number of rows only, say so .*: batch = 1"
    ):
        session(path, table)
    opened = session(path, f"batch = 1\n{table}")
    x = np.random.default_rng(1).normal(size=(5, 2, 3)).astype(np.float32)
    found = opened.predict({"m": x}, np.ones((5, 1), bool))
    np.testing.assert_allclose(found, softmax(x.reshape(5, 6) @ w), atol=1e-6)


def test_a_graph_that_answers_once_for_all_rows(tmp_path: Path) -> None:
    nodes = [helper.make_node("ReduceMean", ["m", "axes"], ["logits"])]
    path = saved(tmp_path, nodes, {"m": ("f", [None, 3])}, ("logits", [1, 3]), {"axes": np.array([0])})
    with pytest.raises(UsageError, match=r'"logits" answers \(1, 3\) to 2 rows; say how many it takes, as batch = 1'):
        session(path, '[modality.m]\nkind = "features"\nlength = 3')
    opened = session(path, 'batch = 1\n[modality.m]\nkind = "features"\nlength = 3')
    x = np.array([[1, 2, 3], [3, 1, 0]], np.float32)
    np.testing.assert_allclose(opened.predict({"m": x}, np.ones((2, 1), bool)), softmax(x), atol=1e-6)


def test_a_runner_by_blocks(tmp_path: Path) -> None:
    """The last block is filled up, and what filled it is not answered."""
    path, theirs = linear(tmp_path, {"self": ("f", [3, 2])}, answer=("logits", [3, 3]))
    runner = Runner(onnx.load(path), batch=3)
    x = np.arange(8, dtype=np.float32).reshape(4, 2)
    seen: list[int] = []
    run = runner.session.run
    runner.session = type("Watched", (), {"run": lambda _, o, g: (seen.append(len(g["self"])), run(o, g))[1]})()
    np.testing.assert_allclose(runner(self=x), theirs(x), rtol=1e-5)
    assert seen == [3, 3]
    runner.batch = 0
    seen.clear()
    with pytest.raises(Exception, match="Got: 2 Expected: 3"):
        runner(self=x[:1])
    assert seen == [2], "a single row runs beside its double where the graph takes any number"


def test_the_empty_subset_is_run_once(tmp_path: Path) -> None:
    """Rows that hold nothing are filled alike, so one of them is run for all."""
    path, theirs = linear(tmp_path, {"m": ("f", [None, 3])})
    opened = session(path, '[modality.m]\nkind = "features"\nlength = 3\nmissing = 2')
    asked: list[int] = []
    run = opened._run
    opened._run = lambda z, present: (asked.append(len(present)), run(z, present))[1]  # type: ignore[method-assign]
    x = np.random.default_rng(0).normal(size=(150, 3)).astype(np.float32)
    present = np.arange(150)[:, None] % 3 == 1
    found = opened.predict({"m": x}, present)
    assert asked == [51], "50 that hold it and one that does not, at most 64 at once"
    np.testing.assert_allclose(found, softmax(theirs(np.where(present, x, 2))), atol=1e-6)
    asked.clear()
    opened.predict({"m": x}, np.ones((150, 1), bool))
    assert asked == [64, 64, 22]


def test_answers_do_not_depend_on_the_batch(dual: tuple[Path, torch.nn.Module]) -> None:
    """A row alone, in pairs, and across the rows that are run at once."""
    opened = session(dual[0], DUAL.format(missing="empty"))
    rng = np.random.default_rng(0)
    inputs = {"caption": rng.integers(4, 10, (70, 9)), "picture": rng.integers(0, 256, (70, 8, 8, 3), np.uint8)}
    whole = opened.predict(inputs, np.ones((70, 2), bool))
    for size in (1, 2, 33):
        parts = [{name: x[i : i + size] for name, x in inputs.items()} for i in range(0, 70, size)]
        found = [opened.predict(part, np.ones((len(part["caption"]), 2), bool)) for part in parts]
        np.testing.assert_allclose(np.concatenate(found), whole, atol=1e-6)


# --- what the answer means


@pytest.mark.parametrize(("activation", "expected"), [("sigmoid", 1 / (1 + np.exp(-2.0))), ("none", 0.75)])
def test_one_column_is_of_the_second_class(activation: str, expected: float) -> None:
    answer = np.full((1, 1), 2.0 if activation == "sigmoid" else 0.75, np.float32)
    np.testing.assert_allclose(probabilities(answer, activation, 2), [[1 - expected, expected]], rtol=1e-6)
    np.testing.assert_allclose(probabilities(answer[:, 0], activation, 2), [[1 - expected, expected]], rtol=1e-6)


def test_softmax_is_over_classes_wherever_axes_of_one_stand() -> None:
    logits = np.array([[1.0, 2, 3], [3, 3, 3]], np.float16)
    np.testing.assert_allclose(probabilities(logits[:, None, :], "softmax", 3), softmax(logits), rtol=1e-12)


def test_a_sequence_of_maps_is_named_by_the_tensor_before_it(fitted: tuple[Pipeline, Any, Any], tmp_path: Path) -> None:
    pipeline, x, _ = fitted
    path = tmp_path / "theirs.onnx"
    onnx.save(to_onnx(pipeline, x[:1]), path)
    text = '[output]\nname = "output_probability"\nactivation = "none"\n[modality.X]\nkind = "features"\nlength = 12\n'
    with pytest.raises(
        UsageError, match='"output_probability" is a sequence of maps; name the tensor before it'
    ) as failure:
        session(path, text)
    assert "zipmap=False" in str(failure.value)
    before = str(failure.value).split('before it, "')[1].split('"')[0]
    opened = session(path, text.replace("output_probability", before))
    np.testing.assert_allclose(opened.predict({"X": x}, np.ones((40, 1), bool)), pipeline.predict_proba(x), atol=2e-6)


def test_weights_among_the_inputs_need_no_feeding(tmp_path: Path) -> None:
    """As exporters before IR version 4 list them."""
    path, theirs = linear(tmp_path, {"m": ("f", [None, 3])})
    model = onnx.load(path)
    model.graph.input.append(helper.make_tensor_value_info("weight", 1, [3, 3]))
    onnx.save(model, path)
    opened = session(path, '[modality.m]\nkind = "features"\nlength = 3')
    x = np.eye(3, dtype=np.float32)
    np.testing.assert_allclose(opened.predict({"m": x}, np.ones((3, 1), bool)), softmax(theirs(x)), atol=1e-6)


# --- the session's other sides


def test_facts_prior_and_data(tmp_path: Path) -> None:
    path, _ = linear(tmp_path, {"m": ("f", [None, 3])})
    opened = session(path, '[modality.m]\nkind = "features"\nlength = 3')
    np.testing.assert_allclose(opened.prior, [1 / 3] * 3)
    assert opened.path == path
    first = opened.facts["description"]
    assert session(path, '[modality.m]\nkind = "features"\nlength = 3\nmissing = 2').facts["description"] != first
    with pytest.raises(UsageError, match=f"{path} was made by other tools, so its data is not known; give --data"):
        source.find_model_manifest(opened, None)
    assert source.find_model_manifest(opened, tmp_path / "t.csv") == tmp_path / "t.csv"


def test_without_a_description_it_is_told_how_to_get_one(tmp_path: Path, world_model: Path) -> None:
    path, _ = linear(tmp_path, {"m": ("f", [None, 3])})
    with pytest.raises(DataError) as failure:
        open_session(path)
    assert f"robustmm describe {path} -o model.toml" in str(failure.value)
    assert "--describe model.toml" in str(failure.value)
    ours = open_session(world_model, batch=7)
    assert type(ours) is Session
    assert ours.batch == 7


def test_a_wrong_input_is_told(tmp_path: Path) -> None:
    path, _ = linear(tmp_path, {"m": ("f", [None, 3])})
    opened = session(path, '[modality.m]\nkind = "features"\nlength = 3')
    for x in (np.zeros((2, 4), np.float32), np.zeros((2, 3))):
        with pytest.raises(UsageError, match=r"the input m should be float32 \(batch, 3\), found"):
            opened.embed("m", x)


def test_a_graph_that_cannot_run(tmp_path: Path) -> None:
    node = helper.make_node("Nonsense", ["m"], ["logits"], domain="their.own")
    path = saved(tmp_path, [node], {"m": ("f", [None, 3])}, ("logits", [None, 3]))
    with pytest.raises(DataError, match=r"theirs.onnx cannot be run: ") as failure:
        session(path, '[modality.m]\nkind = "features"\nlength = 3')
    assert len(str(failure.value).splitlines()) == 1
    saved(tmp_path, [node], {"m": ("f", [1, 3])}, ("logits", [1, 3]))
    with pytest.raises(DataError) as failure:
        open_session(path, path.with_suffix(".toml"))
    assert "batch = 1" not in str(failure.value), "the graph said so itself"
    with pytest.raises(UsageError, match='"gpu" is not a provider'):
        open_session(path, path.with_suffix(".toml"), "gpu")


@pytest.mark.parametrize(
    ("ir", "opset", "domain", "sentence"),
    [
        (99, 18, "", r"theirs.onnx has the ONNX IR version 99, onnxruntime [\d.]+ reads up to \d+; export it again"),
        (9, 99, "", r"theirs.onnx has opset 99 of ai.onnx, onnxruntime [\d.]+ reads up to \d+; .* opset_version=\d+$"),
        (9, 99, "ai.onnx.ml", r"theirs.onnx has opset 99 of ai.onnx.ml, .* reads up to \d+; .* with an older opset$"),
    ],
)
def test_a_file_newer_than_onnxruntime(tmp_path: Path, ir: int, opset: int, domain: str, sentence: str) -> None:
    """Says what was found and what is read, not where onnxruntime's source says so."""
    path, _ = linear(tmp_path, {"m": ("f", [None, 3])})
    model = onnx.load(path)
    model.ir_version = ir
    model.opset_import[0].version = 18 if domain else opset
    model.opset_import.extend([helper.make_opsetid(domain, opset)] if domain else [])
    onnx.save(model, path)
    with pytest.raises(DataError, match=sentence) as failure:
        session(path, '[modality.m]\nkind = "features"\nlength = 3')
    assert "batch = 1" not in str(failure.value)
    assert "onnxruntime_src" not in str(failure.value)


def test_the_place_in_onnxruntimes_source_is_left_out(tmp_path: Path) -> None:
    """And an operation that nobody knows is no matter of the number of rows."""
    node = helper.make_node("Nonsense", ["m"], ["logits"], domain="their.own")
    path = saved(tmp_path, [node], {"m": ("f", [None, 3])}, ("logits", [None, 3]))
    with pytest.raises(DataError, match=r"theirs.onnx cannot be run: This is an invalid model") as failure:
        session(path, '[modality.m]\nkind = "features"\nlength = 3')
    assert "batch = 1" not in str(failure.value)
