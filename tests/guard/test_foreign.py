"""Files of other tools are hardened as they are wired: in parts, whole, sharing an input, with a mask of their own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
from bayes import CLASSES, Bayes, write_world
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from rewired import FORMS, M, build_foreign

from robustmm.api.hardening import HardenedModel, harden
from robustmm.errors import DataError, UsageError
from robustmm.guard.subjects.foreign import find_precision
from robustmm.runtime.foreign.session import ForeignSession, open_session
from robustmm.runtime.metadata import GUARD_KEY

Cli = Callable[..., Any]


class Theirs(NamedTuple):
    """A file with its description and what it was hardened to; inputs (sample, LENGTH) of the test split."""

    plain: Path
    described: Path
    made: HardenedModel
    bayes: Bayes
    form: str

    def feed(self, vectors: NDArray[np.float32], present: NDArray[np.bool_] | None = None) -> dict[str, Any]:
        """What its owner feeds, `vectors` (modality, sample, LENGTH)."""
        here = np.ones((vectors.shape[1], M), bool) if present is None else present
        told = {"mask": here.astype(np.float32)} if self.form == "mask" else {}
        if self.form == "shared":
            return {"x": np.concatenate(list(vectors), 1)}
        return dict(zip("abc", vectors, strict=True)) | told

    def ask(self, which: str, vectors: NDArray[np.float32], **more: Any) -> dict[str, NDArray[Any]]:
        path = self.plain if which == "plain" else self.made.path
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, {**self.feed(vectors), **more}), strict=True))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Bayes:
    return write_world(tmp_path_factory.mktemp("foreign"), M=M, samples=480)


def two_classes(bayes: Bayes, folder: Path) -> Path:
    """The manifest's rows of the first two classes."""
    head, *rows = bayes.manifest.read_text().splitlines()
    path = bayes.manifest.with_name("two.csv")
    path.write_text("\n".join([head, *(row for row in rows if row.split(",")[2] != CLASSES[2])]) + "\n")
    return path


@pytest.fixture(scope="module", params=FORMS)
def theirs(request: pytest.FixtureRequest, world: Bayes, tmp_path_factory: pytest.TempPathFactory) -> Theirs:
    folder = tmp_path_factory.mktemp(request.param)
    plain, described = build_foreign(request.param, world, folder)
    data = two_classes(world, folder) if request.param == "sigmoid" else world.manifest
    made = harden(plain, folder / "hardened.onnx", data=data, describe=described)
    return Theirs(plain, described, made, world, request.param)


def spoilt(bayes: Bayes, m: int, by: float = 12.0) -> NDArray[np.float32]:
    vectors = bayes.vectors.copy()
    vectors[m] += by * np.random.default_rng(m).normal(size=vectors[m].shape).astype(np.float32)
    return vectors


def test_it_is_cut_where_it_can_be(theirs: Theirs) -> None:
    session = open_session(theirs.plain, theirs.described)
    assert bool(session.encoded) == (theirs.form not in ("whole", "shared"))


def test_the_owners_own_loop_goes_on(theirs: Theirs) -> None:
    """The same inputs, the same outputs first; nothing else need be fed."""
    plain, hardened = (theirs.ask(which, theirs.bayes.vectors) for which in ("plain", "hardened"))
    assert list(hardened)[: len(plain)] == list(plain)
    whole = hardened["used"].all(1)
    assert whole.mean() > 0.8
    for name, x in plain.items():
        assert x.dtype == hardened[name].dtype
        assert x.shape == hardened[name].shape
        assert np.array_equal(x[whole], hardened[name][whole])
    proof = theirs.made.result.proof
    assert proof.silent > 0 < proof.dropped
    assert proof.largest_dropped < 1e-5


def test_a_spoilt_modality_is_dropped_and_the_rest_answers(theirs: Theirs) -> None:
    if theirs.form == "sigmoid":
        pytest.skip("80 valid samples of two classes decide nothing")
    for m in range(M):
        found = theirs.ask("hardened", spoilt(theirs.bayes, m))
        assert (~found["used"])[:, m].mean() > 0.3
        before, after = (
            (answer.argmax(1) == theirs.bayes.target).mean()
            for answer in (theirs.ask("plain", spoilt(theirs.bayes, m))["answer"], found["answer"])
        )
        assert after > before + 0.05


def test_what_is_not_present_is_filled_and_not_looked_at(theirs: Theirs) -> None:
    """By the caller's word alone, whatever stands there."""
    session, plain = (open_session(path, theirs.described) for path in (theirs.made.path, theirs.plain))
    vectors = {n: x.copy() for n, x in zip("abc", theirs.bayes.vectors, strict=True)}
    present = np.ones((480, M), bool)
    present[:, 1] = False
    before = session.predict(vectors, present)
    vectors["b"] += 1000
    assert np.array_equal(session.predict(vectors, present), before)
    used = session.choose_used(session.embeddings(vectors, 480), present)
    assert not used[:, 1].any()
    kept = (used == present).all(1)
    assert kept.mean() > 0.7
    assert np.allclose(before[kept], plain.predict(vectors, present)[kept], atol=1e-6)


def test_not_a_number_is_never_used(theirs: Theirs) -> None:
    vectors = theirs.bayes.vectors.copy()
    vectors[2, :, 0] = np.nan
    found = theirs.ask("hardened", vectors)
    assert not found["used"][:, 2].any()
    assert np.isfinite(found["answer"]).all()


def test_a_session_on_it_says_what_the_file_says(theirs: Theirs) -> None:
    session = open_session(theirs.made.path, theirs.described)
    assert isinstance(session, ForeignSession)
    assert session.is_hardened
    vectors, present = spoilt(theirs.bayes, 0), np.ones((480, M), bool)
    z = session.embeddings(dict(zip("abc", vectors, strict=True)), 480)
    assert np.array_equal(session.choose_used(z, present), theirs.ask("hardened", vectors)["used"])


def test_a_label_made_of_the_answer_follows_it(world: Bayes, tmp_path: Path) -> None:
    plain, described = build_foreign("label", world, tmp_path)
    made = harden(plain, data=world.manifest, describe=described)
    found = Theirs(plain, described, made, world, "label").ask("hardened", spoilt(world, 0))
    assert np.array_equal(found["label"], found["answer"].argmax(1))
    assert (~found["used"][:, 0]).any()


@pytest.mark.parametrize(
    ("opset", "rows", "sentence"),
    [(11, "batch", "should have opset 13 or later for a guard, found 11"), (17, 4, "takes 4 rows only")],
)
def test_graphs_that_take_no_guard(world: Bayes, tmp_path: Path, opset: int, rows: Any, sentence: str) -> None:
    plain, described = build_foreign("parts", world, tmp_path, opset, rows)
    with pytest.raises(UsageError, match=sentence):
        harden(plain, data=world.manifest, describe=described)
    assert not list(tmp_path.glob("*hardened*"))


def test_a_name_that_is_taken(world: Bayes, tmp_path: Path) -> None:
    plain, described = build_foreign("parts", world, tmp_path)
    model = onnx.load(str(plain))
    model.graph.node[0].output[0] = model.graph.node[-1].input[0] = "used"
    onnx.save(model, str(plain))
    with pytest.raises(UsageError, match='has a tensor "used", which a guard would be called'):
        harden(plain, data=world.manifest, describe=described)


def test_what_a_file_says_of_its_guard_is_held_against_the_description(world: Bayes, tmp_path: Path) -> None:
    plain, described = build_foreign("parts", world, tmp_path)
    made = harden(plain, data=world.manifest, describe=described)
    with pytest.raises(UsageError, match="is hardened already"):
        harden(made.path, data=world.manifest, describe=described)
    head, *tables = described.read_text().split("[modality.")
    turned = tmp_path / "turned.toml"
    turned.write_text(head + "".join(f"[modality.{table}" for table in tables[::-1]))
    with pytest.raises(UsageError, match="the guard knows, a, b, c, in this order, found c, b, a"):
        open_session(made.path, turned)
    model = onnx.load(str(made.path))
    next(entry for entry in model.metadata_props if entry.key == GUARD_KEY).value = '{"thresholds": [0]}'
    onnx.save(model, str(made.path))
    with pytest.raises(DataError, match="has damaged metadata: clean_cost"):
        open_session(made.path, described)


@pytest.mark.parametrize(
    ("op", "kind", "precision"),
    [("Gemm", np.float32, "fp32"), ("Gemm", np.float16, "fp16"), ("MatMulInteger", np.float32, "int8"),
     ("DequantizeLinear", np.float16, "int8")],
)  # fmt: skip
def test_precision_is_that_of_the_arithmetic(op: str, kind: Any, precision: str) -> None:
    graph = helper.make_graph(
        [helper.make_node(op, ["x", "w"], ["y"])], "g", [], [], [numpy_helper.from_array(np.zeros(1, kind), "w")]
    )
    assert find_precision(helper.make_model(graph)) == precision
