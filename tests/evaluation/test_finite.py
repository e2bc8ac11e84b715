"""A model that answers NaN is refused, with the first sample and the condition."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graphs import saved
from onnx import helper, numpy_helper

from robustmm.conditions.condition import Condition
from robustmm.data.manifest import Manifest, read_manifest
from robustmm.errors import DataError
from robustmm.evaluation import evaluate
from robustmm.evaluation.agreement.check import answer_rows
from robustmm.evaluation.cut_proof import prove_cut
from robustmm.evaluation.finite import check_finite
from robustmm.evaluation.predict import predict
from robustmm.evaluation.subsets import emap_correct
from robustmm.runtime.foreign.output import probabilities
from robustmm.runtime.foreign.session import open_session
from robustmm.runtime.session import Session, read_graph
from robustmm.search.mix import find_worst_mix
from robustmm.search.square import run_square_attack

CLEAN = Condition("clean")


def spoilt(model: Path, to: Path, value: float) -> Session:
    """The session of an exported file whose logits all have `value` added."""
    graph = read_graph(model)
    made = next(node for node in graph.graph.node if "logits" in node.output)
    made.output[list(made.output).index("logits")] = "before"
    for node in graph.graph.node:
        node.input[:] = ["before" if name == "logits" else name for name in node.input]
    graph.graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), "spoil"))
    graph.graph.node.append(helper.make_node("Add", ["before", "spoil"], ["logits"]))
    onnx.save(graph, to)
    return Session(to)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_model_that_answers_nan_is_named_with_the_first_sample(
    world_model: Path, tmp_path: Path, rows: Manifest, value: float
) -> None:
    session = spoilt(world_model, tmp_path / "spoilt.onnx", value)
    with pytest.raises(DataError, match=f'answer to sample "{rows.ids[0]}" under the condition "clean" is NaN') as one:
        evaluate.evaluate(session, rows, [CLEAN])
    assert str(tmp_path / "spoilt.onnx") in str(one.value)
    with pytest.raises(DataError, match=f'answer to sample "{rows.ids[0]}" is NaN'):
        answer_rows(session, rows, "error")
    np.save(tmp_path / "v.npy", np.zeros(5, np.float32))
    with pytest.raises(DataError, match="its answer is NaN"):
        predict(session, {"vector": str(tmp_path / "v.npy")})


def test_what_is_missing_is_not_asked(session: Session) -> None:
    p = np.array([[[np.nan, 1.0], [0.5, 0.5]], [[0.5, 0.5], [0.5, 0.5]]])
    asked = np.ones((2, 2), bool)
    with pytest.raises(DataError, match='to sample "a" is NaN'):
        check_finite(session, p, asked, ["a", "b"])
    asked[0, 0] = False
    check_finite(session, p, asked, ["a", "b"])


def test_infinite_probabilities_of_a_foreign_graph_are_not_clipped_to_one() -> None:
    found = probabilities(np.array([[np.inf, 0.0], [0.25, 0.75]]), "none", 2)
    assert np.isnan(found[0]).all()
    assert found[1].tolist() == [0.25, 0.75]


def reciprocal(folder: Path) -> Any:
    """A foreign graph that answers 1/x, which is infinite for 0."""
    path = saved(
        folder,
        [helper.make_node("Reciprocal", ["x"], ["logits"])],
        {"x": ("f", ["batch", 2])},
        ("logits", ["batch", 2]),
    )
    description = folder / "theirs.toml"
    description.write_text(
        'classes = ["ant", "bee"]\n[output]\nname = "logits"\n'
        '[modality.x]\nkind = "features"\nlength = 2\nmissing = 1\n'
    )
    return open_session(path, description)


def test_a_foreign_model_is_named_too(tmp_path: Path) -> None:
    session = reciprocal(tmp_path)
    (tmp_path / "manifest.csv").write_text('id,split,label,x\nfirst,test,ant,"1,2"\nsecond,test,bee,"0,0"\n')
    with pytest.raises(DataError, match=r'theirs\.onnx .*answer to sample "second" under the condition "clean"'):
        evaluate.evaluate(session, read_manifest(tmp_path / "manifest.csv"), [CLEAN])


def test_what_onnxruntime_refuses_while_it_runs_is_a_sentence(session: Session) -> None:
    present = np.ones((2, len(session.names)), bool)
    with pytest.raises(DataError, match=r"model\.onnx cannot be run: ") as caught:
        session.decode({name: np.zeros((2, 3), np.float32) for name in session.names}, present)
    assert "\n" not in str(caught.value)


def nan_parts(session: Session, monkeypatch: pytest.MonkeyPatch, row: int) -> Session:
    """The session, whose every answer to a batch is NaN in one row."""
    whole = session.decode

    def decode(z: Any, present: Any) -> Any:
        p = whole(z, present)
        p[row % len(p)] = np.nan
        return p

    monkeypatch.setattr(session, "decode", decode)
    return session


def test_searches_and_the_additive_projection_name_the_sample_too(
    session: Session, rows: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = rows.take([4, 5, 6])
    broken = nan_parts(session, monkeypatch, 1)
    with pytest.raises(DataError, match=f'answer to sample "{few.ids[1]}" is NaN'):
        run_square_attack(broken, few, queries=2)
    named = "|".join(few.ids)  # a mix is searched on a half of the samples
    with pytest.raises(DataError, match=f'answer to sample "({named})" is NaN'):
        find_worst_mix(broken, few, ["gaussian"], budgets=[0.5], levels=[0.5])
    z = {name: np.zeros((3, int(session.facts["width"])), np.float32) for name in session.names}
    with pytest.raises(DataError, match='answer to sample "a" is NaN'):
        emap_correct(broken, z, np.ones((3, 2), bool), np.zeros(3, np.int64), ["a", "b", "c"])


def test_the_trial_of_a_cut_names_the_sample_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = reciprocal(tmp_path)
    (tmp_path / "manifest.csv").write_text('id,split,label,x\nfirst,test,ant,"0,0"\n')
    monkeypatch.setattr(type(session), "encoded", ["x"])
    with pytest.raises(DataError, match=r'answer to sample "first" is NaN'):
        prove_cut(session, read_manifest(tmp_path / "manifest.csv"), [])
