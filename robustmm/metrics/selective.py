"""Scores of a model that may decline to answer: it answers where it is most confident and declines the rest.

Answering the samples in falling top-1 confidence, coverage is the share answered so far and the selective risk is the
share of wrong answers among them (Geifman & El-Yaniv 2017). Probabilities are (sample, class), targets (sample,), and
what `robustmm.metrics.classification` cannot score raises `ValueError` here too.
"""

import numpy as np
from numpy.typing import ArrayLike

from robustmm.metrics.classification import Array, Labels, Metric, correctness


def aurc(probabilities: ArrayLike, target: ArrayLike) -> float:
    """Area under the risk-coverage curve: the selective risk's mean over the coverages 1/n, 2/n, ..., 1; in [0, 1].

    Samples of equal confidence come in random order, of which this is the expectation; a model whose confidence says
    nothing scores its error rate.
    """
    errors, size = _rank_by_confidence(probabilities, target)
    expected = np.repeat(errors / size, size)
    return float((expected.cumsum() / np.arange(1, len(expected) + 1)).mean())


def coverage_at_risk(probabilities: ArrayLike, target: ArrayLike, risk: float) -> float:
    """Largest coverage in [0, 1] whose selective risk is at most `risk`; 0 where no confidence is high enough.

    Only coverages that a threshold on the confidence can reach count: samples of equal confidence are answered together
    or not at all.
    """
    if not 0 <= risk <= 1:
        raise ValueError(f"expected a risk between 0 and 1, got {risk}")
    errors, size = (each.cumsum() for each in _rank_by_confidence(probabilities, target))
    return float(max(size[errors / size <= risk], default=0) / size[-1])


AURC = Metric(aurc, higher_is_better=False, unit="fraction")


def _rank_by_confidence(probabilities: ArrayLike, target: ArrayLike) -> tuple[Array, Labels]:
    """Errors and samples (confidence,) of every distinct confidence, most confident first."""
    wrong = 1 - correctness(probabilities, target)
    confidence = np.asarray(probabilities, dtype=np.float64).max(axis=1)
    _, group, size = np.unique(-confidence, return_inverse=True, return_counts=True)
    return np.bincount(group, weights=wrong).astype(np.float64), size
