"""A foreign graph is cut where its modalities meet, and only believed where the parts answer as the whole does."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from graphs import saved, softmax
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import towers
from onnx import helper

from robustmm.errors import DataError
from robustmm.runtime.foreign import session as foreign_session
from robustmm.runtime.foreign.parts.cut import cut_graph
from robustmm.runtime.foreign.parts.dependence import find_sources, fit_batch_shape
from robustmm.runtime.foreign.session import ForeignSession, open_session
from robustmm.runtime.runner import Runner

Node = onnx.NodeProto
node: Callable[..., Node] = helper.make_node
PRESENCE = np.array([[1, 1], [1, 0], [0, 1], [0, 0], [1, 1]], bool)
TWO = """\
classes = ["ant", "bee", "cat"]
[output]
name = "logits"
[modality.a]
kind = "features"
length = 4
missing = 0.5
[modality.b]
kind = "features"
length = 3
missing = "zero"
"""
DATA = {"a": np.random.default_rng(1).normal(size=(5, 4)), "b": np.random.default_rng(2).normal(size=(5, 3))}
WEIGHT = {"u": (4, 6), "v": (3, 6), "w": (6, 3), "s": (12, 3)}
STORED = {name: np.random.default_rng(len(name)).normal(size=size).astype(np.float32) for name, size in WEIGHT.items()}


def opened(
    folder: Path, nodes: Sequence[Node], text: str = TWO, stored: dict[str, Any] | None = None
) -> ForeignSession:
    dims = {"a": ("f", ["batch", 4]), "b": ("f", ["batch", 3])}
    path = saved(folder, nodes, dims, ("logits", None), STORED | (stored or {}))
    (folder / "d.toml").write_text(text, encoding="utf-8")
    found = open_session(path, folder / "d.toml")
    assert isinstance(found, ForeignSession)
    return found


def whole(path: Path, present: Any = PRESENCE) -> Any:
    """The answers of the whole file to `DATA`, filled as the description says."""
    a = np.where(present[:, :1], DATA["a"], 0.5).astype(np.float32)
    b = np.where(present[:, 1:], DATA["b"], 0).astype(np.float32)
    return softmax(Runner(onnx.load(path))(a=a, b=b))


def answers(session: ForeignSession, present: Any = PRESENCE) -> Any:
    return session.predict({name: x.astype(np.float32) for name, x in DATA.items()}, present)


ENCODERS = [
    node("MatMul", ["a", "u"], ["au"]), node("Tanh", ["au"], ["at"]),
    node("MatMul", ["b", "v"], ["bv"]), node("Sigmoid", ["bv"], ["bs"]),
]  # fmt: skip
JOINED = [node("Add", ["at", "bs"], ["sum"]), node("MatMul", ["sum", "w"], ["logits"])]


def test_each_modality_is_cut_at_its_last_own_tensor(tmp_path: Path) -> None:
    session = opened(tmp_path, [*ENCODERS, *JOINED])
    assert session.encoded == ["a", "b"]
    z = session.embed("a", DATA["a"].astype(np.float32))
    np.testing.assert_allclose(z, np.tanh(DATA["a"] @ STORED["u"]), atol=1e-5)
    np.testing.assert_allclose(answers(session), whole(session.path), atol=1e-6)
    assert session.decodes > ForeignSession.decodes


def test_decoding_runs_no_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = opened(tmp_path, [*ENCODERS, *JOINED])
    z = {name: session.embed(name, x.astype(np.float32)) for name, x in DATA.items()}
    for encoder in session._cut.values():
        monkeypatch.setattr(encoder.runner, "run", lambda feed: pytest.fail("an encoder ran"))
    np.testing.assert_allclose(session.decode(z, PRESENCE), whole(session.path), atol=1e-6)


def test_inputs_that_meet_in_the_first_node_run_whole(tmp_path: Path) -> None:
    nodes = [node("Concat", ["a", "b"], ["ab"], axis=1), node("MatMul", ["ab", "s"], ["logits"])]
    session = opened(tmp_path, nodes, stored={"s": STORED["s"][:7]})
    assert session.encoded == []
    assert session.embed("a", DATA["a"].astype(np.float32)).shape == (5, 4)
    np.testing.assert_allclose(answers(session), whole(session.path), atol=1e-6)


def test_a_modality_that_meets_the_other_early_is_fed_as_it_is(tmp_path: Path) -> None:
    """b attends to a: a has an encoder, b's signal enters where they meet."""
    nodes = [
        *ENCODERS[:2], node("Concat", ["at", "b"], ["ab"], axis=1), node("Tanh", ["ab"], ["abt"]),
        node("MatMul", ["abt", "s"], ["logits"]),
    ]  # fmt: skip
    session = opened(tmp_path, nodes, stored={"s": STORED["s"][:9]})
    assert session.encoded == ["a"]
    np.testing.assert_allclose(answers(session), whole(session.path), atol=1e-6)


def test_the_number_of_rows_may_come_from_the_other_modality(tmp_path: Path) -> None:
    """Exporters take the batch size from the first input they meet: that is no dependence on its data."""
    nodes = [
        node("Shape", ["a"], ["shape"]), node("Gather", ["shape", "zero"], ["rows"]),
        node("Concat", ["rows", "six"], ["size"], axis=0), node("Expand", ["token", "size"], ["tokens"]),
        *ENCODERS[:3], node("Add", ["bv", "tokens"], ["bt"]), node("Sigmoid", ["bt"], ["bs"]), *JOINED,
    ]  # fmt: skip
    stored = {"zero": np.zeros(1, np.int64), "six": np.array([6]), "token": np.arange(6, dtype=np.float32)[None] / 5}
    session = opened(tmp_path, nodes, stored=stored)
    assert session.encoded == ["a", "b"]
    for rows in (1, 2, 5):
        np.testing.assert_allclose(
            session.predict({n: x[:rows].astype(np.float32) for n, x in DATA.items()}, PRESENCE[:rows]),
            whole(session.path)[:rows], atol=1e-6,
        )  # fmt: skip


def test_a_value_that_follows_from_the_data_is_no_number_of_rows(tmp_path: Path) -> None:
    """b is scaled by how many numbers of a are positive, through the shape of a tensor."""
    nodes = [
        node("Greater", ["a", "none"], ["positive"]), node("NonZero", ["positive"], ["places"]),
        node("Shape", ["places"], ["count"]), node("Cast", ["count"], ["number"], to=1),
        node("ReduceMax", ["number"], ["most"], keepdims=0), *ENCODERS[:3], node("Mul", ["bv", "most"], ["bs"]),
        *JOINED,
    ]  # fmt: skip
    with pytest.raises(DataError, match='"logits" to a row changes'):
        opened(tmp_path, nodes, stored={"none": np.zeros(1, np.float32)})


def test_a_tensor_without_a_row_per_sample_is_not_cut_at(tmp_path: Path) -> None:
    """Step-first layouts: the cut retreats to the last tensor whose first axis is the batch."""
    turned = [
        *ENCODERS, node("Transpose", ["at"], ["turned"], perm=[1, 0]), node("Exp", ["turned"], ["exp"]),
        node("Transpose", ["bs"], ["other"], perm=[1, 0]), node("Add", ["exp", "other"], ["both"]),
        node("Transpose", ["both"], ["sum"], perm=[1, 0]), node("MatMul", ["sum", "w"], ["logits"]),
    ]  # fmt: skip
    session = opened(tmp_path, turned)
    assert session.encoded == ["a", "b"]
    np.testing.assert_allclose(
        session.embed("a", DATA["a"].astype(np.float32)), np.tanh(DATA["a"] @ STORED["u"]), atol=1e-5
    )
    np.testing.assert_allclose(answers(session), whole(session.path), atol=1e-6)


def test_a_tensor_too_large_to_keep_is_not_cut_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robustmm.runtime.foreign.parts.cut.MAX_BYTES", 4 * 5)
    session = opened(tmp_path, [*ENCODERS, *JOINED])
    assert session.encoded == [], "both embeddings have six numbers"
    np.testing.assert_allclose(answers(session), whole(session.path), atol=1e-6)


def test_branches_read_tensors_from_outside(tmp_path: Path) -> None:
    """A branch of an If in b's part reads a tensor of a: the two meet there."""
    one = helper.make_tensor_value_info("out", 1, None)
    then = helper.make_graph([node("Add", ["bv", "at"], ["out"])], "then", [], [one])
    other = helper.make_graph([node("Identity", ["bv"], ["out"])], "else", [], [one])
    nodes = [
        *ENCODERS[:3], node("If", ["yes"], ["sum"], then_branch=then, else_branch=other),
        node("MatMul", ["sum", "w"], ["logits"]),
    ]  # fmt: skip
    session = opened(tmp_path, nodes, stored={"yes": np.array(True)})
    assert session.encoded == ["a", "b"]
    np.testing.assert_allclose(answers(session), whole(session.path), atol=1e-6)


def test_a_mask_of_what_is_present_belongs_to_the_head(tmp_path: Path) -> None:
    nodes = [
        node("Cast", ["here"], ["mask"], to=1), node("Split", ["mask"], ["ha", "hb"], axis=1, num_outputs=2),
        *ENCODERS, node("Mul", ["at", "ha"], ["am"]), node("Mul", ["bs", "hb"], ["bm"]),
        node("Add", ["am", "bm"], ["sum"]), node("MatMul", ["sum", "w"], ["logits"]),
    ]  # fmt: skip
    inputs = {"a": ("f", ["batch", 4]), "b": ("f", ["batch", 3]), "here": ("?", ["batch", 2])}
    path = saved(tmp_path, nodes, inputs, ("logits", None), STORED)
    (tmp_path / "d.toml").write_text(TWO.replace("missing", 'present = "here"\nmissing'))
    session = open_session(path, tmp_path / "d.toml")
    assert isinstance(session, ForeignSession)
    assert session.encoded == ["a", "b"]
    a = np.where(PRESENCE[:, :1], np.tanh(DATA["a"] @ STORED["u"]), 0)
    b = np.where(PRESENCE[:, 1:], 1 / (1 + np.exp(-DATA["b"] @ STORED["v"])), 0)
    np.testing.assert_allclose(answers(session), softmax((a + b) @ STORED["w"]), atol=1e-6)


@pytest.mark.parametrize("size", [1, 4])
def test_a_graph_of_a_fixed_batch_is_cut_too(size: int, tmp_path: Path) -> None:
    inputs = {"a": ("f", [size, 4]), "b": ("f", [size, 3])}
    path = saved(tmp_path, [*ENCODERS, *JOINED], inputs, ("logits", [size, 3]), STORED)
    (tmp_path / "d.toml").write_text(TWO)
    session = open_session(path, tmp_path / "d.toml")
    assert isinstance(session, ForeignSession)
    assert session.encoded == ["a", "b"]
    found = np.tanh(np.where(PRESENCE[:, :1], DATA["a"], 0.5) @ STORED["u"])
    found += 1 / (1 + np.exp(-np.where(PRESENCE[:, 1:], DATA["b"], 0) @ STORED["v"]))
    np.testing.assert_allclose(answers(session), softmax(found @ STORED["w"]), atol=1e-6)


def test_integers_and_bools_travel_exactly(tmp_path: Path) -> None:
    """The head reads integers beyond single precision, and bools."""
    nodes = [
        node("Floor", ["a"], ["down"]), node("Cast", ["down"], ["whole"], to=7),
        node("Add", ["whole", "many"], ["rank"]),
        node("Greater", ["a", "none"], ["sign"]),
        node("MatMul", ["b", "q"], ["bq"]), node("Floor", ["bq"], ["bd"]), node("Cast", ["bd"], ["step"], to=7),
        node("Add", ["rank", "step"], ["far"]), node("Sub", ["far", "many"], ["near"]),
        node("Cast", ["near"], ["number"], to=1), node("Where", ["sign", "number", "none"], ["kept"]),
        node("MatMul", ["kept", "u"], ["up"]), node("MatMul", ["up", "w"], ["logits"]),
    ]  # fmt: skip
    q = np.random.default_rng(3).normal(size=(3, 4)).astype(np.float32)
    session = opened(tmp_path, nodes, stored={"many": np.array([2**40]), "none": np.zeros(1, np.float32), "q": q})
    assert session.encoded == ["a", "b"]
    assert session.embed("a", DATA["a"].astype(np.float32)).dtype == np.float64
    np.testing.assert_allclose(answers(session), whole(session.path), atol=1e-6)


def test_a_cut_that_answers_otherwise_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*arguments: Any) -> Any:
        cut = cut_graph(*arguments)
        assert cut
        for tensor in cut.head.graph.initializer:
            if tensor.name == "w":
                tensor.CopyFrom(onnx.numpy_helper.from_array(2 * STORED["w"], "w"))
        return cut

    monkeypatch.setattr(foreign_session, "cut_graph", wrong)
    session = opened(tmp_path, [*ENCODERS, *JOINED])
    assert session.encoded == []
    assert session.decodes == ForeignSession.decodes
    np.testing.assert_allclose(answers(session), whole(session.path), atol=1e-6)


def test_weights_beyond_what_protobuf_holds_run_whole_from_their_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights beside the model, opened by its path; nothing asks protobuf for the graph's bytes."""
    monkeypatch.setattr(foreign_session, "LARGEST_GRAPH", 10)
    path = opened(tmp_path, [*ENCODERS, *JOINED]).path
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    monkeypatch.setattr(onnx.ModelProto, "SerializeToString", lambda model: pytest.fail("too large"))
    session = open_session(path, tmp_path / "d.toml")
    assert isinstance(session, ForeignSession)
    assert session.encoded == []
    monkeypatch.undo()
    np.testing.assert_allclose(answers(session), whole(path), atol=1e-6)


@pytest.mark.parametrize("dynamo", [True, False])
def test_what_torch_exports_is_cut(dynamo: bool, tmp_path: Path) -> None:
    """A picture and a sequence, with a class token that is expanded to the batch, by both exporters."""

    class Two(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.conv, self.flat = torch.nn.Conv2d(3, 4, 3), torch.nn.Linear(4, 8)
            self.token = torch.nn.Parameter(torch.randn(1, 1, 8))
            self.up, self.layer = torch.nn.Linear(2, 8), torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
            self.head = torch.nn.Linear(16, 3)

        def forward(self, picture: Any, series: Any) -> Any:
            seen = self.flat(self.conv(picture).relu().mean((2, 3)))
            steps = torch.cat([self.token.expand(picture.shape[0], -1, -1), self.up(series)], 1)
            return self.head(torch.cat([seen, self.layer(steps)[:, 0]], 1))

    model, path = Two().eval(), tmp_path / "theirs.onnx"
    towers.save(model, (torch.zeros(3, 3, 8, 8), torch.zeros(3, 5, 2)), ["picture", "series"], path, dynamo)
    (tmp_path / "d.toml").write_text(
        'classes = ["x", "y", "z"]\n[output]\nname = "logits"\n[modality.picture]\nkind = "image"\nsize = [8, 8, 3]\n'
        'layout = "NCHW"\ndivide = 255\n[modality.series]\nkind = "series"\nsteps = 5\nchannels = 2\n'
    )
    session = open_session(path, tmp_path / "d.toml")
    assert isinstance(session, ForeignSession)
    assert session.encoded == ["picture", "series"]
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    series = rng.normal(size=(5, 5, 2)).astype(np.float32)
    scaled = torch.from_numpy(picture / np.float32(255)).permute(0, 3, 1, 2) * torch.tensor(PRESENCE[:, :1, None, None])
    with torch.no_grad():
        expected = model(scaled, torch.from_numpy(series * PRESENCE[:, 1:, None])).softmax(1)
    np.testing.assert_allclose(session.predict({"picture": picture, "series": series}, PRESENCE), expected, atol=1e-5)


def test_a_text_and_a_picture_tower_are_cut(dual: tuple[Path, torch.nn.Module], tmp_path: Path) -> None:
    text = (
        'classes = ["x", "y", "z"]\n[output]\nname = "logits"\n[modality.text]\nkind = "text"\nlength = 9\n'
        f'tokenizer = "{dual[0].parent / "tokenizer.json"}"\ninput = "input_ids"\nmask = "attention_mask"\n'
        'token_type = "token_type_ids"\n[modality.image]\nkind = "image"\nsize = [8, 8, 3]\ninput = "pixel_values"\n'
        'layout = "NCHW"\ndivide = 255\n'
    )
    (tmp_path / "d.toml").write_text(text)
    session = open_session(dual[0], tmp_path / "d.toml")
    assert isinstance(session, ForeignSession)
    assert session.encoded == ["text", "image"]
    assert [session.blank_embedding(name, 2).shape for name in session.names] == [(2, 16), (2, 16)]


# --- rows that are not independent


BATCH_NORM = [
    node("Concat", ["a", "b"], ["ab"], axis=1), node("ReduceMean", ["ab", "rows"], ["mean"], keepdims=1),
    node("Sub", ["ab", "mean"], ["centred"]), node("MatMul", ["centred", "s"], ["logits"]),
]  # fmt: skip


def test_statistics_of_the_batch_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'"logits" to a row changes with the row beside it: was BatchNorm left'):
        opened(tmp_path, BATCH_NORM, stored={"s": STORED["s"][:7], "rows": np.zeros(1, np.int64)})


def test_draws_are_refused(tmp_path: Path) -> None:
    nodes = [
        *ENCODERS, node("RandomNormalLike", ["at"], ["drawn"]), node("Add", ["at", "drawn"], ["drop"]),
        node("Add", ["drop", "bs"], ["sum"]), node("MatMul", ["sum", "w"], ["logits"]),
    ]  # fmt: skip
    with pytest.raises(DataError, match="changes when the same rows are asked again: dropout"):
        opened(tmp_path, nodes)


def test_every_row_against_every_other_is_refused(tmp_path: Path) -> None:
    """CLIP's images x texts: with as many classes as trial rows the shape alone would pass."""
    nodes = [
        *ENCODERS,
        node("Transpose", ["bs"], ["turned"], perm=[1, 0]),
        node("MatMul", ["at", "turned"], ["logits"]),
    ]
    with pytest.raises(DataError, match="grows wider with the number of rows: it compares every row with every other"):
        opened(tmp_path, nodes, TWO.replace('"cat"', "").replace('"bee", ', '"bee"'))


def test_a_row_alone_must_answer_the_same(tmp_path: Path) -> None:
    """The standard deviation over rows, with Bessel's correction, has no value for one."""
    nodes = [
        node("Shape", ["a"], ["size"]), node("Gather", ["size", "zero"], ["rows"]), node("Cast", ["rows"], ["n"], to=1),
        node("Equal", ["n", "one"], ["single"]), node("Cast", ["single"], ["shift"], to=1), *ENCODERS,
        node("Add", ["at", "shift"], ["ats"]), node("Add", ["ats", "bs"], ["sum"]),
        node("MatMul", ["sum", "w"], ["logits"]),
    ]  # fmt: skip
    with pytest.raises(DataError, match="changes when the row is asked alone"):
        opened(tmp_path, nodes, stored={"zero": np.zeros(1, np.int64), "one": np.ones(1, np.float32)})


# --- what depends on what, against what changes


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_dependences_are_those_that_show(data: st.DataObject) -> None:
    """On random graphs, a tensor changes with an input where the dependence says so, and only there."""
    names, nodes = ["a", "b", "c"], []
    for i in range(data.draw(st.integers(1, 8))):
        x, y = data.draw(st.sampled_from(names)), data.draw(st.sampled_from(names))
        nodes.append(node("Sum" if x != y else "Tanh", [x, y] if x != y else [x], [f"t{i}"]))
        names.append(f"t{i}")
    ends = {n: helper.make_tensor_value_info(n, 1, ["n", 2]) for n in names}
    graph = helper.make_graph(nodes, "g", [ends[n] for n in "abc"], [ends[n] for n in names[3:]])
    run = Runner(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9))
    sources = find_sources(graph, {n: frozenset({n}) for n in "abc"}, (), set())
    feed = {n: np.array([[0.1, 0.2], [0.3, 0.1]], np.float32) for n in "abc"}
    before = dict(zip(run.outputs, run.run(feed), strict=True))
    for changed in "abc":
        after = run.run(feed | {changed: feed[changed] + np.float32(0.5)})
        for name, x in zip(run.outputs, after, strict=True):
            assert (changed in sources[name]) == bool((x != before[name]).any())


def test_shapes_follow_from_the_rows_or_they_do_not() -> None:
    found = fit_batch_shape([(n, np.array([n, 7, 4 * n])) for n in (2, 3, 5)])
    assert found is not None
    assert [found.slope.tolist(), found.constant.tolist()] == [[1, 0, 4], [0, 7, 0]]
    assert fit_batch_shape([(2, np.array([4])), (3, np.array([9])), (5, np.array([25]))]) is None
    assert fit_batch_shape([(2, np.array([4])), (3, np.array([4, 1])), (5, np.array([4]))]) is None
    fixed = fit_batch_shape([(4, np.array([4, 8]))] * 3)
    assert fixed is not None
    assert not fixed.slope.any()
    assert fit_batch_shape([(4, np.array([3])), (4, np.array([3])), (4, np.array([2]))]) is None
