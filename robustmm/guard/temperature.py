"""Temperatures: logits divided by a number that depends on what is missing, so that a probability is how often the
answer is right. No decision changes.

T = exp(base + sum of by_modality over what is missing). `base` alone is the temperature of Guo et al., "On calibration
of modern neural networks" (ICML 2017), section 4.2; a model that lacks an input is seldom as sure of itself as when it
has all, and each modality's term says how much less, or more.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from robustmm.metrics.classification import ece, nll
from robustmm.metrics.contribution import subset_masks
from robustmm.results import Number, Result

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

BOUND = 4.0
"""Largest size of a term, in nats: factors from 1/55 to 55."""
MOST_MODALITIES = 5
"""Up to here every subset is fitted on; beyond, all, all but one, and one alone."""
FOLDS = 5


class Temperature(NamedTuple):
    base: float
    by_modality: tuple[float, ...]

    def scale(self, present: Mask) -> Array:
        """(..., 1) for presence (..., modality)."""
        return np.asarray(np.exp(self.base + (~present @ np.array(self.by_modality))[..., None]))


class CalibratedPattern(Result):
    """Log-loss in nats and expected calibration error on valid samples, each by a temperature fitted without it."""

    name: str
    samples: int
    nll: Number
    calibrated_nll: Number
    ece: Number
    calibrated_ece: Number


class Calibration(Result):
    """What `robustmm export --calibrate` fitted on the valid split."""

    temperature: Number
    factors: dict[str, Number]
    patterns: list[CalibratedPattern]


def list_patterns(M: int) -> Mask:
    """Presence masks (pattern, modality) that are fitted on, the complete one first."""
    if M <= MOST_MODALITIES:
        return subset_masks(M)[:0:-1]
    one = np.eye(M, dtype=bool)
    return np.concatenate([np.ones((1, M), bool), ~one, one])


def fit_temperature(logits: Array, present: Mask, target: NDArray[np.int64]) -> Temperature:
    """Of logits (pattern, sample, class) and presence (pattern, sample, modality): the least mean log-loss, where the
    first pattern weighs as much as all others. A standard normal prior on every term, of the weight of one sample,
    keeps a split without any error from being answered with certainty."""
    P, n, M = present.shape
    share = np.array([0.5, *[0.5 / (P - 1)] * (P - 1)] if P > 1 else [1.0])
    weight = np.where(present.any(-1), share[:, None], 0.0).ravel()
    rows, absent = logits.reshape(P * n, -1).astype(np.float64), ~present.reshape(P * n, M)
    right = np.tile(target, P)
    own = rows[np.arange(P * n), right]

    def loss(terms: Array) -> tuple[float, Array]:
        inverse = np.exp(-(terms[0] + absent @ terms[1:]))
        scaled = rows * inverse[:, None]
        cost = -log_softmax(scaled, -1)[np.arange(P * n), right]
        slope = -inverse * ((softmax(scaled, -1) * rows).sum(-1) - own) * weight  # by the log of the temperature
        gradient = np.concatenate([[slope.sum()], slope @ absent]) + terms
        return float(cost @ weight + terms @ terms / 2), gradient

    found = minimize(loss, np.zeros(1 + M), jac=True, method="L-BFGS-B", bounds=[(-BOUND, BOUND)] * (1 + M)).x
    return Temperature(float(found[0]), tuple(map(float, found[1:])))


def calibrate(
    logits: Array, present: Mask, target: NDArray[np.int64], names: Sequence[str]
) -> tuple[Temperature, Calibration]:
    """The temperature of all valid samples, and what it brings to samples that it was not fitted on: each fifth of
    them is scaled by that of the others."""
    fitted = fit_temperature(logits, present, target)
    fold = np.random.default_rng(0).permutation(len(target)) % FOLDS
    scaled = np.array(logits, np.float64)
    for k in range(FOLDS):
        held = fold == k
        if held.any() and not held.all():
            scaled[:, held] /= fit_temperature(logits[:, ~held], present[:, ~held], target[~held]).scale(
                present[:, held]
            )
    factors = {name: float(np.exp(term)) for name, term in zip(names, fitted.by_modality, strict=True)}
    rows = list(_describe_patterns(logits, scaled, present, target, names))
    return fitted, Calibration(temperature=float(np.exp(fitted.base)), factors=factors, patterns=rows)


def _describe_patterns(
    logits: Array, scaled: Array, present: Mask, target: NDArray[np.int64], names: Sequence[str]
) -> Iterator[CalibratedPattern]:
    """Complete, and without each modality."""
    kept = list_patterns(len(names))
    for k, mask in enumerate(kept):
        lacking = [name for name, there in zip(names, mask, strict=True) if not there]
        if len(lacking) > 1:
            continue
        some = present[k].any(-1)
        if not some.any():
            continue
        before, after = softmax(logits[k, some].astype(np.float64), -1), softmax(scaled[k, some], -1)
        y = target[some]
        yield CalibratedPattern(
            name=f"without {lacking[0]}" if lacking else "complete", samples=int(some.sum()),
            nll=nll(before, y), calibrated_nll=nll(after, y), ece=ece(before, y), calibrated_ece=ece(after, y),
        )  # fmt: skip


def scale_logits(whole: onnx.ModelProto, temperature: Temperature) -> None:
    """Divides the logits of a whole graph, in place, by the temperature of its input `present`, in single precision
    whatever that of the graph."""
    nodes, place = whole.graph.node, "decoder/temperature/"
    for node in nodes:  # both ends: in half precision probabilities are not made of the logits that are put out
        for names in (node.input, node.output):
            names[:] = [place + name if name in ("logits", "probabilities") else name for name in names]
    terms = np.array(temperature.by_modality, np.float32)[:, None]
    for name, x in (("terms", terms), ("base", np.array([[temperature.base]], np.float32))):
        whole.graph.initializer.append(numpy_helper.from_array(x, place + name))
    steps: list[tuple[str, list[str], str, dict[str, Any]]] = [
        ("Not", ["present"], f"{place}absent", {}),
        ("Cast", [f"{place}absent"], f"{place}missing", {"to": onnx.TensorProto.FLOAT}),
        ("Gemm", [f"{place}missing", f"{place}terms", f"{place}base"], f"{place}log", {}),
        ("Exp", [f"{place}log"], f"{place}temperature", {}),
        ("Div", [f"{place}logits", f"{place}temperature"], "logits", {}),
        ("Softmax", ["logits"], "probabilities", {"axis": -1}),
    ]
    for op, given, made, options in steps:
        nodes.append(helper.make_node(op, given, [made], name=f"{place}{op}", **options))
