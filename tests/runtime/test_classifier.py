"""What a graph says of its classes, and what is no classifier: on files as scikit-learn's converter writes them."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graphs import linear, saved, value
from onnx import helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from robustmm.errors import DataError, UsageError
from robustmm.runtime import classifier
from robustmm.runtime.foreign.drafting.draft import draft_graph
from robustmm.runtime.foreign.session import open_session

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype(np.float32)
NAMES = np.array(["no", "yes", "maybe"])[X[:, :3].argmax(1)]
FEATURES = '[modality.X]\nkind = "features"\nlength = 4\nmean = [0, 0, 0, 0]\nstd = [1, 1, 1, 1]\n'


def converted(folder: Path, estimator: Any, target: Any, **options: Any) -> Path:
    fitted = estimator.fit(X, target)
    onnx.save(to_onnx(fitted, X[:1], options=options or None), folder / "theirs.onnx")
    return folder / "theirs.onnx"


def refused(path: Path, classes: list[str], output: str = "probabilities", activation: str = "none") -> str:
    """The sentence about a description with these classes."""
    listed = ", ".join(f'"{c}"' for c in classes)
    text = f'classes = [{listed}]\n[output]\nname = "{output}"\nactivation = "{activation}"\n{FEATURES}'
    path.with_suffix(".toml").write_text(text)
    with pytest.raises(UsageError) as failure:
        open_session(path, path.with_suffix(".toml"))
    return str(failure.value)


CLASSIFIERS = [LogisticRegression(), RandomForestClassifier(4, random_state=0), SVC(probability=True),
               MLPClassifier((4,), alpha=5, solver="lbfgs", tol=1e-2, random_state=0)]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("zipmap", [False, True, "columns"])
@pytest.mark.parametrize("estimator", CLASSIFIERS)
def test_labels_and_output_are_found_however_it_was_converted(tmp_path: Path, estimator: Any, zipmap: Any) -> None:
    """Maps, a column each, or an array; labels in attributes, or behind an ArgMax."""
    path = converted(tmp_path, estimator, NAMES, zipmap=zipmap)
    draft = draft_graph(path)
    assert draft.classes == draft.own_labels == ["maybe", "no", "yes"]
    assert draft.output["activation"] == "none"
    assert "classes" not in draft.checks
    text = (
        f'classes = ["maybe", "no", "yes"]\n[output]\nname = "{draft.output["name"]}"\nactivation = "none"\n{FEATURES}'
    )
    path.with_suffix(".toml").write_text(text)
    found = open_session(path, path.with_suffix(".toml")).predict({"X": X}, np.ones((60, 1), bool))
    np.testing.assert_allclose(found, estimator.predict_proba(X), atol=1e-4)


@pytest.mark.parametrize("target", [NAMES, np.unique(NAMES, return_inverse=True)[1] + 3])
def test_a_permutation_of_the_graphs_labels_is_refused(tmp_path: Path, target: Any) -> None:
    path = converted(tmp_path, LogisticRegression(), target, zipmap=False)
    own = [str(label) for label in np.unique(target)]
    said = refused(path, own[::-1])
    listed = ", ".join(f'"{label}"' for label in own)
    assert f"theirs.toml:1: classes: the graph's own labels are the same in another order; expected [{listed}]" in said
    assert classifier.check_classes(onnx.load(path), own) == ""


def test_a_label_that_the_graph_does_not_know(tmp_path: Path) -> None:
    path = converted(tmp_path, LogisticRegression(), NAMES, zipmap=False)
    said = refused(path, ["maybe", "no", "yess"])
    assert '"yess" is not a label of the graph, did you mean "yes"?' in said
    assert 'its order is ["maybe", "no", "yes"]' in said
    model = onnx.load(path)
    assert classifier.check_classes(model, ["vielleicht", "nein", "ja"]) == "", "a translation"
    assert classifier.check_classes(model, ["a", "b"]) == "", "another number of columns is told elsewhere"


@pytest.mark.parametrize("classes", [["no", "yes", "maybe"], ["5", "6", "7"]])
def test_positions_may_have_any_names(tmp_path: Path, classes: list[str]) -> None:
    """XGBoost takes whole numbers from 0 only; the graph's labels are positions then."""
    path = converted(tmp_path, LogisticRegression(), np.unique(NAMES, return_inverse=True)[1], zipmap=False)
    assert classifier.class_labels(onnx.load(path)) == ["0", "1", "2"]
    assert classifier.check_classes(onnx.load(path), classes) == ""
    assert "another order" in classifier.check_classes(onnx.load(path), ["1", "0", "2"])


REGRESSORS = [LinearRegression(), RandomForestRegressor(2, max_depth=2, random_state=0), SVR(),
              GradientBoostingRegressor(n_estimators=2),
              MLPRegressor(hidden_layer_sizes=(4,), solver="lbfgs", max_iter=20, random_state=0)]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", REGRESSORS)
def test_a_regressor_is_refused(tmp_path: Path, estimator: Any) -> None:
    path = converted(tmp_path, estimator, X[:, 0] + 1)
    with pytest.raises(
        DataError, match=r"theirs.onnx is no classifier: its .*output .*; only classifiers are evaluated"
    ):
        draft_graph(path)


@pytest.mark.parametrize("operation", sorted(classifier.REGRESSION_OPS))
def test_a_description_of_a_regressor_is_refused(tmp_path: Path, operation: str) -> None:
    node = helper.make_node(operation, ["X"], ["z"], domain="ai.onnx.ml", coefficients=[1.0, 0, 0, 0])
    nodes = [node, helper.make_node("Identity", ["z"], ["y"])]
    path = saved(tmp_path, nodes, {"X": ("f", [None, 4])}, ("y", [None, 1]))
    said = refused(path, ["no", "yes"], "y", "sigmoid")
    assert f'[output] name: "y" is a number that {operation} predicts; only classifiers are evaluated' in said


def test_boosting_behind_a_sigmoid_is_no_regressor(tmp_path: Path) -> None:
    """As converters write a classifier of boosted trees."""
    node = helper.make_node("TreeEnsembleRegressor", ["X"], ["z"], domain="ai.onnx.ml")
    nodes = [node, helper.make_node("Sigmoid", ["z"], ["y"])]
    draft = draft_graph(saved(tmp_path, nodes, {"X": ("f", [None, 4])}, ("y", [None, 1])))
    assert draft.output == {"name": "y", "activation": "none"}


def test_a_transformer_of_scikit_learn_is_no_classifier(tmp_path: Path) -> None:
    path = converted(tmp_path, StandardScaler(), NAMES)
    with pytest.raises(DataError, match="scikit-learn's classifiers answer a label and probabilities"):
        draft_graph(path)


def test_one_column_without_an_activation_is_told(tmp_path: Path) -> None:
    path, _ = linear(tmp_path, {"X": ("f", [None, 4])}, 1)
    draft = draft_graph(path)
    assert draft.output["activation"] == "sigmoid"
    assert "regressor" in draft.checks["activation"]


@pytest.mark.parametrize("dims", [[None, 3, 1, 1], [None, 1, 3], [None, 3]])
def test_axes_of_length_one_are_no_classes(tmp_path: Path, dims: list[int | None]) -> None:
    """As networks that end in a global pooling answer."""
    path, _ = linear(tmp_path, {"X": ("f", [None, 4])})
    model = onnx.load(path)
    shape = numpy_helper.from_array(np.array([-1, *[d or 0 for d in dims[1:]]]), "shape")
    model.graph.initializer.append(shape)
    model.graph.node.append(helper.make_node("Reshape", ["logits", "shape"], ["y"]))
    model.graph.output[0].CopyFrom(value("y", "f", dims))
    onnx.save(model, path)
    draft = draft_graph(path)
    assert (len(draft.classes), draft.output["activation"]) == (3, "softmax")


QUANTISED = [
    helper.make_node("QuantizeLinear", ["p", "scale", "zero"], ["q"]),
    helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
]


@pytest.mark.parametrize("between", [[], ["Cast"], ["Identity"], ["Squeeze", "Unsqueeze"]])
@pytest.mark.parametrize("last", ["Softmax", "Sigmoid"])
def test_the_activation_is_found_behind_quantisation(tmp_path: Path, last: str, between: list[str]) -> None:
    nodes, name = [helper.make_node(last, ["X"], ["p"]), *QUANTISED], "y"
    for i, operation in enumerate(between):
        more = {"to": 1} if operation == "Cast" else {}
        axes = ["axis"] if "squeeze" in operation.lower() else []
        nodes.append(helper.make_node(operation, [name, *axes], [f"y{i}"], **more))
        name = f"y{i}"
    width = 4 if last == "Softmax" else 1
    stored = {"scale": np.float32(1 / 250), "zero": np.uint8(0), "axis": np.array([1])}
    path = saved(tmp_path, nodes, {"X": ("f", [None, width])}, (name, [None, width]), stored)
    draft = draft_graph(path)
    assert draft.output == {"name": name, "activation": "none"}
    assert "activation" not in draft.checks
    if not between:
        wrong = {"Softmax": "softmax", "Sigmoid": "sigmoid"}[last]
        assert f'"y" holds probabilities already, after a {last}; expected "none"' in refused(
            path, list("abcd")[: max(2, width)], "y", wrong
        )
