"""What a description leaves out comes from the train split, or is refused: accuracies worked out by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import saved
from numpy.typing import NDArray
from onnx import helper
from scipy.stats import norm

from robustmm.conditions.condition import Condition, Noise
from robustmm.corruptions import find_corruption
from robustmm.data.manifest import Manifest
from robustmm.errors import UsageError
from robustmm.evaluation.attack import attack
from robustmm.evaluation.evaluate import evaluate
from robustmm.evaluation.fit import Fitted, fit_session
from robustmm.runtime.foreign.session import ForeignSession
from robustmm.search.targets import build_targets

HEAD = 'classes = ["no", "yes"]\n{more}\n[output]\nname = "logits"\nactivation = "softmax"\n'
D, N = 2.0, 4000
"""A class shifts what is measured by +-D, in noise of deviation 1."""


def theirs(folder: Path, description: str, inputs: dict[str, list[Any]], weight: NDArray[Any]) -> ForeignSession:
    """A linear graph on its inputs side by side."""
    nodes = [helper.make_node("Flatten", [name], [f"flat_{name}"], axis=1) for name in inputs]
    nodes.append(helper.make_node("Concat", [f"flat_{name}" for name in inputs], ["all"], axis=1))
    nodes.append(helper.make_node("MatMul", ["all", "weight"], ["logits"]))
    declared = {name: ("f", ["batch", *dims]) for name, dims in inputs.items()}
    path = saved(folder, nodes, declared, ("logits", ["batch", weight.shape[1]]), {"weight": weight.astype(np.float32)})
    (folder / "theirs.toml").write_text(description)
    return ForeignSession(path, folder / "theirs.toml", threads=1)


def table(folder: Path, target: NDArray[Any], splits: list[str], labels: tuple[str, ...], **columns: Any) -> Manifest:
    cells = {"id": [f"s{i}" for i in range(len(target))], "split": splits, "label": [labels[k] for k in target]}
    for name, x in columns.items():
        np.save(folder / f"{name}.npy", x.astype(np.float32))
        cells[name] = [f"{name}.npy#{i}" for i in range(len(target))]
    return Manifest(folder / "manifest.csv", cells, list(range(2, len(target) + 2)))


def measured(kind: str, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Targets, and a signal of which only the first column tells the class; the second is near 1000."""
    rng = np.random.default_rng(seed)
    target = rng.integers(2, size=N)
    x = rng.normal(size=(N, 2)) + np.array([0, 1000.0])
    x[:, 0] += D * (2 * target - 1)
    return target, {"features": x, "single": x[:, :1], "series": np.repeat(x[:, None], 3, 1)}[kind]


def world(
    folder: Path, kind: str, more: str = "", splits: tuple[str, ...] = ("train", "test")
) -> tuple[Fitted, Manifest]:
    target, x = measured(kind)
    shape, known = x.shape[1:], "kind = 'features'\nlength = {}".format
    keys = "kind = 'series'\nsteps = 3\nchannels = 2" if kind == "series" else known(shape[0])
    weight = np.zeros((int(np.prod(shape)), 2))
    weight[0, 1] = 1.0
    session = theirs(folder, HEAD.format(more="") + f"[modality.m]\n{keys}\n{more}\n", {"m": list(shape)}, weight)
    rows = table(folder, target, [splits[i % 2] for i in range(N)], ("no", "yes"), m=x)
    return fit_session(session, rows), rows.split(splits[1])


def under_noise(level: float) -> float:
    """Accuracy by hand: noise of so many deviations of the whole column, whose variance is 1 + D^2."""
    deviations = {0.2: 0.25, 1.0: 4.0}[level]
    return float(norm.cdf(D / np.sqrt(1 + deviations**2 * (1 + D**2))))


@pytest.mark.parametrize("level", [0.2, 1.0])
@pytest.mark.parametrize("kind", ["single", "features", "series"])
def test_noise_is_in_units_of_the_train_split(tmp_path: Path, kind: str, level: float) -> None:
    """One number has no spread of its own (all noise was zero); beside a column near 1000 its own was 500 times too
    wide."""
    fitted, rows = world(tmp_path, kind)
    assert find_corruption("gaussian", "features").table[0] == 0.25
    assert find_corruption("gaussian", "features").table[-1] == 4.0
    assert (
        fitted.notes[0]
        == "m: mean and std from the 2000 rows of split train that have it, since the description gives none"
    )
    assert np.ravel(fitted.session.modality("m").std)[0] == pytest.approx(np.sqrt(1 + D**2), rel=0.03)  # type: ignore[attr-defined]
    (clean, noisy), _ = evaluate(
        fitted.session, rows, [Condition("clean"), Condition("n", (Noise("gaussian", level),))]
    )
    right = [float((r.probabilities.argmax(1) == r.target).mean()) for r in (clean, noisy)]
    assert right[0] == pytest.approx(norm.cdf(D), abs=0.015)
    if kind != "series":  # of three steps the first is read, whose noise is its own
        assert right[1] == pytest.approx(under_noise(level), abs=0.03)
    assert right[1] == pytest.approx(under_noise(level), abs=0.05)


def test_what_the_description_gives_is_kept(tmp_path: Path) -> None:
    fitted, _ = world(tmp_path, "features", "std = [3.0, 7.0]")
    m: Any = fitted.session.modality("m")
    assert m.std == (3.0, 7.0)
    assert m.mean == pytest.approx((0, 1000), abs=0.2)
    assert fitted.notes[0].startswith("m: mean from the 2000 rows of split train")


def test_without_a_train_split_only_what_needs_the_unit_is_refused(tmp_path: Path) -> None:
    fitted, rows = world(tmp_path, "features", splits=("calibration", "test"))
    assert (fitted.prior, len(fitted.notes)) == ("uniform", 1)
    evaluate(
        fitted.session, rows, [Condition("missing", (), {"m": 0.5}), Condition("s", (Noise("swap-other-class", 1.0),))]
    )
    said = (
        r"noise on m is in units of .*: give mean = \[\.\.\.\] and std = \[\.\.\.\] under \[modality\.m\] in the desc"
    )
    for noise in (Noise("gaussian", 0.2), Noise("travelling", 1.0)):
        with pytest.raises(UsageError, match=said):
            evaluate(fitted.session, rows, [Condition("c", (noise,))])
    with pytest.raises(UsageError, match=said):
        build_targets(fitted.session, (), {}, (1.0,), 10)


PRIORS = {"description": "prior = [0.4, 0.6]", "train split": ""}


def three(folder: Path, order: tuple[int, ...], train: list[int], more: str = "") -> tuple[Fitted, Manifest]:
    """Three classes listed in some order; the graph's columns follow. Where both inputs are missing, or one is, some
    answers are ties."""
    rng = np.random.default_rng(1)
    test = np.tile([0, 1, 2], 20)
    target = np.concatenate([train, test]).astype(int)
    x = {name: np.eye(3)[target] * (rng.random((len(target), 1)) < 0.7) for name in ("a", "b")}
    labels = ("ant", "bee", "cat")
    weight = np.concatenate([np.eye(3), 2 * np.eye(3)])[:, list(order)]
    head = HEAD.replace('["no", "yes"]', str([labels[k] for k in order]).replace("'", '"')).format(more=more)
    keys = "".join(f"[modality.{name}]\nkind = 'features'\nlength = 3\n" for name in x)
    session = theirs(folder, head + keys, {"a": [3], "b": [3]}, weight)
    splits = ["train"] * len(train) + ["test"] * len(test)
    rows = table(folder, target, splits, labels, **x)
    for i in range(len(train), len(train) + 6):
        rows.columns["a"][i] = ""
        if i % 2:
            rows.columns["b"][i] = ""
    return fit_session(session, rows), rows.split("test")


@pytest.mark.parametrize("train", [[], [0, 1, 2], [0, 0, 1, 1, 2], [0, 1, 1]], ids=["none", "even", "two", "one"])
def test_the_order_of_the_classes_moves_no_contribution(tmp_path: Path, train: list[int]) -> None:
    """97 % of one class gave -3.7 points when it was listed first and +90.3 when not: a tie went to the first."""
    found = []
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        folder = tmp_path / "".join(map(str, order))
        folder.mkdir()
        fitted, rows = three(folder, order, train)
        assert fitted.prior == ("train split" if train else "uniform")
        (records,), _ = evaluate(fitted.session, rows, [Condition("c", (), {"b": 0.3})])
        found.append([records.phi_accuracy, records.phi_log_probability, records.empty_value, records.subset_correct])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)
    frequency = np.bincount(train, minlength=3) if train else np.ones(3)
    likeliest = np.flatnonzero(frequency == frequency.max())
    expected = np.isin(np.tile([0, 1, 2], 20), likeliest) / len(likeliest)
    np.testing.assert_allclose(found[0][2][:, 1], expected)


def test_a_prior_is_the_descriptions_the_train_splits_or_uniform_and_said(tmp_path: Path) -> None:
    given, _ = three(tmp_path, (0, 1, 2), [0, 0, 1], "prior = [0.5, 0.3, 0.2]")
    assert (given.prior, given.session.prior.tolist()) == ("description", [0.5, 0.3, 0.2])
    found, _ = three(tmp_path, (0, 1, 2), [0, 0, 1])
    assert found.session.prior == pytest.approx([2 / 3, 1 / 3, 0])
    assert found.notes[-1] == "class prior from the 3 rows of split train, since the description gives none"
    none, _ = three(tmp_path, (0, 1, 2), [])
    assert none.session.prior == pytest.approx([1 / 3] * 3)
    assert none.notes == ["the class prior is uniform: the description has no prior, and the manifest no train split"]


def test_labels_of_the_train_split_that_are_no_class_are_left_out_and_told(tmp_path: Path) -> None:
    fitted, rows = three(tmp_path, (0, 1, 2), [0, 0, 1, 2])
    rows = Manifest(rows.path, {name: list(values) for name, values in rows.columns.items()}, rows.lines)
    rows.columns["split"] = ["train" if i < 10 else "test" for i in range(len(rows))]
    rows.columns["label"][:2] = ["dog", "dog"]
    bare = ForeignSession(fitted.session.path, tmp_path / "theirs.toml", threads=1)
    again = fit_session(bare, rows)
    assert again.notes[-1].endswith("; 2 rows whose labels are no class of the model are left out")
    assert again.session.prior.sum() == pytest.approx(1)
    assert bare.prior == pytest.approx([1 / 3] * 3), "the session given stays as it is"


def test_a_file_of_ours_is_complete(session: Any, rows: Manifest) -> None:
    fitted = fit_session(session, rows)
    assert (fitted.prior, fitted.notes) == ("model", [])
    assert fitted.session.modalities == session.modalities


def test_of_nothing_there_are_no_shares(tmp_path: Path) -> None:
    """An overconfident model whose inputs say nothing: every value is negative, and 33 % each would be invented."""
    rng = np.random.default_rng(0)
    target = rng.integers(2, size=300)
    x = {name: rng.normal(size=(300, 1)) for name in ("a", "b", "c")}
    keys = "".join(f"[modality.{name}]\nkind = 'features'\nlength = 1\n" for name in x)
    session = theirs(tmp_path, HEAD.format(more="") + keys, {n: [1] for n in x}, 3 * np.array([[0, 1.0]] * 3))
    rows = table(tmp_path, target, ["test"] * 300, ("no", "yes"), **x)
    fitted = fit_session(session, rows)
    result = attack(fitted.session, rows, Condition("c"), split="test", seed=0, prior=fitted.prior, notes=fitted.notes)
    for m in result.modalities:
        assert m.clean.shapley_log_probability.high < 0, "the values stay"
        assert np.isnan([m.clean.shapley_log_probability_share.value, m.clean.shapley_accuracy_share.value]).all()
    assert result.prior == "uniform"
    assert result.description == (tmp_path / "theirs.toml").read_text()
