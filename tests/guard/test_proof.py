"""The proof refuses a file whose guard does not keep its promises."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from guarded import Pair
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from robustmm.errors import ParityError
from robustmm.guard.proof import BATCHES, ROWS, check_not_numbers, list_patterns, prove
from robustmm.guard.subjects.own import OwnSubject, open_own
from robustmm.guard.subjects.subject import Given
from robustmm.runtime.session import Session, read_graph


def replaced(pair: Pair, folder: Path, output: str, *nodes: onnx.NodeProto) -> Path:
    """The hardened file with an output made anew; what it was is called `before`."""
    model = read_graph(pair.hardened)
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["before" if name == output else name for name in names]
    model.graph.node.extend(nodes)
    model.graph.initializer.append(numpy_helper.from_array(np.float32(0.97), "less"))
    onnx.save(model, str(folder / "spoilt.onnx"))
    return folder / "spoilt.onnx"


def prove_it(pair: Pair, file: Path, precision: str = "fp32") -> Any:
    rng = np.random.default_rng(0)
    inputs = {n: (x + 4 * (rng.random((len(x), 1)) < 0.3))[:42].astype(np.float32) for n, x in pair.inputs.items()}
    subject = replace(open_own(Session(pair.plain)), precision=precision)
    return prove(subject, file, inputs, np.ones((42, len(inputs)), bool))


def test_a_file_that_keeps_its_promises_is_proved(three: Pair) -> None:
    told = prove_it(three, three.hardened)
    assert told.samples == 42
    assert told.silent + told.dropped == 42 * len(BATCHES) * told.patterns
    assert told.patterns == 8
    assert told.dropped > 10
    assert told.largest_dropped <= 1e-6
    assert told.largest_silent == 0


@pytest.mark.parametrize(
    ("output", "nodes", "sentence"),
    [
        (
            "used",
            [helper.make_node("Not", ["present"], ["absent"]), helper.make_node("Or", ["before", "absent"], ["used"])],
            "without a: the guard used a modality that is not present",
        ),
        (
            "used",
            [helper.make_node("Or", ["before", "present"], ["used"])],
            "logits should be those of the plain file bit for bit where nothing is dropped, found others",
        ),
        ("logits", [helper.make_node("Mul", ["before", "less"], ["logits"])], "logits should be those of the plain"),
        ("probabilities", [helper.make_node("Mul", ["before", "less"], ["probabilities"])], "probabilities should be"),
    ],
)
def test_a_promise_that_is_broken_is_refused(
    three: Pair, tmp_path: Path, output: str, nodes: list[onnx.NodeProto], sentence: str
) -> None:
    spoilt = replaced(three, tmp_path, output, *nodes)
    with pytest.raises(ParityError) as caught:
        prove_it(three, spoilt)
    assert sentence in str(caught.value)
    assert str(caught.value).endswith("no file is left")


def test_answers_from_what_is_left_are_held_within_a_tolerance(three: Pair, tmp_path: Path) -> None:
    """Probabilities that are wrong only where something is dropped."""
    nodes = [
        helper.make_node("Xor", ["used", "present"], ["off"]),
        helper.make_node("Cast", ["off"], ["off/float"], to=onnx.TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["off/float", "one"], ["most"], keepdims=1),
        helper.make_node("Cast", ["most"], ["any"], to=onnx.TensorProto.BOOL),
        helper.make_node("Mul", ["before", "less"], ["wrong"]),
        helper.make_node("Where", ["any", "wrong", "before"], ["probabilities"]),
    ]
    spoilt = replaced(three, tmp_path, "probabilities", *nodes)
    model = read_graph(spoilt)
    model.graph.initializer.append(numpy_helper.from_array(np.array([1]), "one"))
    onnx.save(model, str(spoilt))
    with pytest.raises(
        ParityError, match=r"where a modality is dropped, probabilities should differ by at most 0\.0001"
    ):
        prove_it(three, spoilt)
    assert 1e-4 < prove_it(three, spoilt, "fp16").largest_dropped < 0.031


class Answers:
    """A runner that says what it is told to."""

    def __init__(self, logits: float, used: bool) -> None:
        self.logits, self.used = logits, used

    def run_exactly(self, feed: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        rows = len(feed["present"])
        logits = np.full((rows, 3), self.logits)
        return [logits, logits, np.full((rows, 1), self.used)]


def check(logits: float, used: bool, name: str, x: NDArray[Any]) -> None:
    subject: Any = SimpleNamespace(
        given={name: Given(name, x.shape[1:], x.dtype)}, feed_hardened=lambda inputs, here: {**inputs, "present": here},
        to_probabilities=lambda found: OwnSubject.to_probabilities(subject, found),
    )  # fmt: skip
    answers: Any = Answers(logits, used)
    check_not_numbers(subject, answers, {name: x}, np.ones((4, 1), bool))


@pytest.mark.parametrize(("logits", "used", "sound"), [(0, False, True), (np.nan, False, False), (0, True, False)])
def test_nan_that_is_used_or_reaches_the_answer_is_refused(logits: float, used: bool, sound: bool) -> None:
    if sound:
        check(logits, used, "a", np.zeros((4, 2), np.float32))
        return
    with pytest.raises(ParityError, match="NaN in a should be dropped, and reached the answer"):
        check(logits, used, "a", np.zeros((4, 2), np.float32))
    check(logits, used, "t", np.zeros((4, 2), np.int64))  # whole numbers hold no NaN


@pytest.mark.parametrize("names", ["ab", "abc", "abcdef"])
def test_patterns_are_all_all_but_one_one_and_none(names: str) -> None:
    found = list_patterns(list(names))
    assert len(found) == 2 + 2 * len(names)
    assert found["complete"].all()
    assert not found["nothing"].any()
    for m, name in enumerate(names):
        assert np.flatnonzero(~found[f"without {name}"]).tolist() == [m]
        assert np.flatnonzero(found[f"only {name}"]).tolist() == [m]
    assert all(ROWS % batch == 0 for batch in BATCHES)
