"""Temperatures: planted ones are found, decisions stay, and the graph divides as numpy does."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper
from scipy.optimize import check_grad, minimize_scalar
from scipy.special import log_softmax, softmax

from robustmm.guard import temperature
from robustmm.guard.temperature import Temperature, calibrate, fit_temperature, list_patterns, scale_logits

NAMES = ("image", "audio")


def planted(
    n: int, told: Temperature, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    """Logits (pattern, sample, class) too large by planted temperatures: targets are drawn from the true ones. The
    evidence is the same whatever is missing, so that each pattern is of use."""
    rng = np.random.default_rng(seed)
    true = 2.0 * rng.normal(size=(n, 4))
    target = np.array([rng.choice(4, p=p) for p in softmax(true, -1)])
    present = np.repeat(list_patterns(len(told.by_modality))[:, None], n, 1)
    return true * told.scale(present), present, target


def test_planted_temperatures_are_found() -> None:
    told = Temperature(np.log(3.0), (np.log(0.5), np.log(2.0)))
    found = fit_temperature(*planted(4000, told))
    assert found.base == pytest.approx(told.base, abs=0.06)
    assert found.by_modality == pytest.approx(told.by_modality, abs=0.06)


def test_one_pattern_alone_is_guos_temperature() -> None:
    """A second opinion: the scale of the least log-loss by a search of one number, with the same prior."""
    logits, present, target = planted(300, Temperature(1.0, (0.0,)))

    def loss(log: float) -> float:
        return float(-log_softmax(logits[0] / np.exp(log), -1)[np.arange(300), target].sum() + log**2 / 2)

    expected = minimize_scalar(loss, bounds=(-4, 4), method="bounded", options={"xatol": 1e-9}).x
    assert fit_temperature(logits[:1], present[:1], target).base == pytest.approx(expected, abs=1e-4)


def test_a_split_without_any_error_does_not_make_it_certain() -> None:
    target = np.arange(30) % 3
    logits = 4.0 * np.eye(3)[target][None]
    found = fit_temperature(logits, np.ones((1, 30, 1), bool), target)
    assert -temperature.BOUND < found.base < 0


def test_samples_without_any_input_say_nothing() -> None:
    logits, present, target = planted(200, Temperature(0.5, (0.2, -0.3)))
    blank = np.concatenate([present, np.zeros((3, 50, 2), bool)], 1)
    more = np.concatenate([logits, np.full((3, 50, 4), 9.0)], 1)
    found = fit_temperature(more, blank, np.concatenate([target, np.zeros(50, int)]))
    bare = fit_temperature(logits, present, target)
    assert [found.base, *found.by_modality] == pytest.approx([bare.base, *bare.by_modality], abs=1e-6)


def test_what_it_brings_is_judged_on_samples_that_it_did_not_see() -> None:
    logits, present, target = planted(600, Temperature(np.log(4.0), (0.0, 0.0)))
    _, told = calibrate(logits, present, target, NAMES)
    assert [p.name for p in told.patterns] == ["complete", "without image", "without audio"]
    for p in told.patterns:
        assert p.samples == 600
        assert p.calibrated_nll < p.nll - 0.5
        assert p.calibrated_ece < p.ece / 3
    rng = np.random.default_rng(1)  # of chance alone nothing is learned, and on unseen samples nothing is gained
    chance = rng.normal(size=(3, 600, 4)) * 0.01
    _, told = calibrate(chance, present, rng.integers(4, size=600), NAMES)
    assert told.patterns[0].calibrated_nll == pytest.approx(np.log(4), abs=0.02)


@pytest.mark.parametrize("M", [1, 2, 5, 6, 9])
def test_patterns_begin_with_all_and_never_hold_none(M: int) -> None:
    found = list_patterns(M)
    assert found[0].all()
    assert found.any(1).all()
    assert len(np.unique(found, axis=0)) == len(found) == (2**M - 1 if M <= 5 else 2 * M + 1)
    for m in range(M):
        assert M == 1 or (found == (np.arange(M) != m)).all(1).any()


def bare_graph(told: Temperature) -> onnxruntime.InferenceSession:
    """The logits as an input, the softmax of what is made of them as an output."""
    M = len(told.by_modality)
    ends = [helper.make_tensor_value_info("given", TensorProto.FLOAT, ["n", 4])]
    ends += [helper.make_tensor_value_info("present", TensorProto.BOOL, ["n", M])]
    outs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in ("logits", "probabilities")]
    nodes = [helper.make_node("Identity", ["given"], ["logits"])]
    nodes.append(helper.make_node("Softmax", ["logits"], ["probabilities"]))
    opset = [helper.make_opsetid("", 20)]
    whole = helper.make_model(helper.make_graph(nodes, "bare", ends, outs), ir_version=10, opset_imports=opset)
    scale_logits(whole, told)
    onnx.checker.check_model(whole, full_check=True)  # its nodes in order, among others
    return onnxruntime.InferenceSession(whole.SerializeToString(), providers=["CPUExecutionProvider"])


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 7))
def test_the_graph_divides_as_numpy_does_and_decides_as_before(seed: int, M: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    told = Temperature(rng.normal(), tuple(rng.normal(size=M)))
    given, present = rng.normal(size=(n, 4)).astype(np.float32), rng.random((n, M)) < 0.5
    logits, p = bare_graph(told).run(["logits", "probabilities"], {"given": given, "present": present})
    expected = given / told.scale(present)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(p, softmax(expected, -1), rtol=1e-4, atol=1e-6)
    assert (logits.argmax(1) == given.argmax(1)).all()


def test_the_gradient_is_that_of_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}

    def look(loss, start, **_):  # type: ignore[no-untyped-def]
        seen["error"] = max(
            check_grad(lambda x: loss(x)[0], lambda x: loss(x)[1], np.random.default_rng(k).normal(size=len(start)))
            for k in range(5)
        )
        raise InterruptedError

    monkeypatch.setattr(temperature, "minimize", look)
    with pytest.raises(InterruptedError):
        fit_temperature(*planted(50, Temperature(0.3, (0.1, 0.2))))
    assert seen["error"] < 1e-3
