"""Scores that are no means, with the influence of each sample on them: what their standard error follows from.

The area under the ROC curve: DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated
receiver operating characteristic curves", Biometrics 44 (1988); in clusters: Obuchowski, Biometrics 53 (1997).
Macro-F1: the delta method, class by class.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from robustmm.metrics.classification import check_predictions

Array = NDArray[np.float64]


class Influenced(NamedTuple):
    """A score and the influence (sample,) of each sample on it, whose mean is 0."""

    value: float
    influence: Array


def macro_f1_influence(probabilities: ArrayLike, target: ArrayLike) -> Influenced:
    """Macro-F1, as `classification.macro_f1`: with h_i, s_i, g_i whether sample i is a hit of a class, of it and
    answered as it, F = 2 sum h / sum (s + g); the influence of i on F is n (2 h_i - F (s_i + g_i)) / sum (s + g)."""
    p, y = check_predictions(probabilities, target)
    answers = p.argmax(1)
    classes = np.union1d(y, answers)
    true, said = y[:, None] == classes, answers[:, None] == classes
    both = true.astype(np.float64) + said
    sizes, hits = both.sum(0), 2.0 * (true & said)
    scores = hits.sum(0) / sizes
    influence = len(y) * (hits - scores * both) / sizes
    return Influenced(float(scores.mean()), influence.mean(1))


def auroc_influence(scores: ArrayLike, positive: ArrayLike) -> Influenced:
    """The chance that a positive sample has a higher score (sample,) than a negative one, equal ones half; the
    influence of a sample is how its placement among those of the other class differs from that. Raises ValueError
    where a class has no sample."""
    x, chosen = np.asarray(scores, np.float64), np.asarray(positive, bool)
    up, down = x[chosen], x[~chosen]
    if not (len(up) and len(down)):
        raise ValueError(f"expected positive and negative samples, got {len(up)} and {len(down)}")
    ranks = rank(x)
    above = (ranks[chosen] - rank(up)) / len(down)
    below = 1 - (ranks[~chosen] - rank(down)) / len(up)
    value, influence = float(above.mean()), np.empty(len(x))
    influence[chosen] = (above - value) * len(x) / len(up)
    influence[~chosen] = (below - value) * len(x) / len(down)
    return Influenced(value, influence)


def rank(values: ArrayLike) -> Array:
    """Ranks (sample,) from 1; equal values share the mean of theirs. `scipy.stats` has it, and takes longer to import
    than all else that an audit needs."""
    _, place, count = np.unique(np.asarray(values, np.float64), return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count - 1) / 2)[place])
