"""Modality contributions: Shapley values of games over subsets of M modalities.

Subset k of 2**M holds modality m iff (k >> m) & 1; a game is its values v (..., 2**M): v(empty) first, v(all) last.

    phi_m  = sum over S without m      of |S|! (M-|S|-1)! / M!      [v(S+m) - v(S)]
    I_ij   = sum over S without i, j   of |S|! (M-|S|-2)! / (M-1)!  [v(S+i+j) - v(S+i) - v(S+j) + v(S)]
"""

from collections.abc import Callable
from functools import lru_cache
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

from robustmm.metrics.classification import MIN_PROBABILITY, TOLERANCE

EXACT_LIMIT = 8  # modalities; above it orders are sampled

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Mask = NDArray[np.bool_]


def subset_masks(M: int) -> Mask:
    """Membership (2**M, M) of every subset."""
    return (np.arange(2**M)[:, None] >> np.arange(M) & 1).astype(bool)


def effective_subsets(subset_index: ArrayLike, present: ArrayLike) -> Index:
    """Subsets (subset,) cut to the modalities that are `present` (sample, modality): (sample, subset)."""
    members = np.asarray(present, dtype=bool) @ (1 << np.arange(np.shape(present)[1]))
    return np.asarray(np.asarray(subset_index) & members[:, None])


def shapley(v: ArrayLike) -> Array:
    """Exact Shapley values (..., M); a modality that never changes the value gets exactly 0."""
    values, M = _check_game(v)
    return np.stack([_gain(values, m) @ _weights(M - 1) for m in range(M)], axis=-1)


def shapley_interaction(v: ArrayLike) -> Array:
    """Shapley interaction index (..., M, M) of every pair: > 0 complementary, < 0 redundant; diagonal 0."""
    values, M = _check_game(v)
    index = np.zeros((*values.shape[:-1], M, M))
    for i, j in combinations(range(M), 2):
        index[..., i, j] = index[..., j, i] = _gain(_gain(values, j), i) @ _weights(M - 2)
    return index


def unimodal_values(v: ArrayLike) -> Array:
    """v({m}), the unimodal value of each modality (..., M)."""
    values, M = _check_game(v)
    return values[..., 1 << np.arange(M)]


def leave_one_out(v: ArrayLike) -> Array:
    """v(all) - v(all but m), the leave-one-out difference of each modality (..., M)."""
    values, M = _check_game(v)
    return values[..., -1:] - values[..., 2**M - 1 - (1 << np.arange(M))]


def efficiency_residual(v: ArrayLike, phi: ArrayLike) -> Array:
    """v(all) - v(empty) - sum_m phi_m, 0 up to rounding."""
    values = _check_game(v)[0]
    return np.asarray(values[..., -1] - values[..., 0] - np.sum(phi, axis=-1))


def shares(phi: ArrayLike) -> Array:
    """For display: relu(phi) / sum_m relu(phi) (..., M); NaN where no modality helps (sum below 1e-8)."""
    positive = np.maximum(np.asarray(phi, dtype=np.float64), 0.0)
    total = positive.sum(axis=-1, keepdims=True)
    return np.asarray(np.where(total < 1e-8, np.nan, positive / np.maximum(total, 1e-8)))


def expected_correctness(outputs: ArrayLike, target: ArrayLike) -> Array:
    """(..., sample): how often the likeliest class of the outputs (..., sample, class), or (class,) for all samples, is
    the target (sample,), one of several equal ones being drawn at random: an index would favour the class that happens
    to be listed first."""
    x, y = np.asarray(outputs), np.asarray(target)
    x = np.broadcast_to(x, (*x.shape[:-2], len(y), x.shape[-1]))
    likeliest = x == x.max(axis=-1, keepdims=True)
    index = np.broadcast_to(y, x.shape[:-1])[..., None]
    return np.asarray(np.take_along_axis(likeliest, index, axis=-1)[..., 0] / np.maximum(likeliest.sum(axis=-1), 1))


def accuracy_game(outputs: ArrayLike, target: ArrayLike, prior: ArrayLike, present: ArrayLike | None = None) -> Array:
    """v = [argmax of the outputs (sample, 2**M, class), logits or probabilities, is the target], equal classes being
    drawn at random.

    The empty set answers with the class prior (class,), whatever outputs[:, 0] holds. With `present` (sample, M) absent
    modalities are null players; the outputs of subsets that hold them are not looked at and may be NaN.
    """
    x, y, chance = _check_outputs(outputs, target, prior)
    v = np.where(np.isnan(x.max(axis=2)), np.nan, expected_correctness(x.swapaxes(0, 1), y).T)
    v[:, 0] = expected_correctness(chance, y)
    return _mask_absent(v, present)


def probability_game(p: ArrayLike, target: ArrayLike, prior: ArrayLike, present: ArrayLike | None = None) -> Array:
    """v = p[target] of the probabilities p; otherwise as `accuracy_game`."""
    x, y, chance = _check_outputs(p, target, prior)
    v = np.take_along_axis(x, y[:, None, None], axis=2)[..., 0].astype(np.float64)
    v[:, 0] = chance[y]
    v = _mask_absent(v, present)
    if ((v < -TOLERANCE) | (v > 1 + TOLERANCE)).any():
        raise ValueError(f"expected probabilities in [0, 1], got {v.min():.4g} to {v.max():.4g}; are these logits?")
    return v


def log_probability_game(p: ArrayLike, target: ArrayLike, prior: ArrayLike, present: ArrayLike | None = None) -> Array:
    """v = log max(p[target], 1e-12); otherwise as `probability_game`."""
    return np.asarray(np.log(np.maximum(probability_game(p, target, prior, present), MIN_PROBABILITY)))


def draw_orders(M: int, orders: int, seed: int) -> Index:
    """Random orders (orders, M) of the modalities in antithetic pairs: each is followed by its reverse."""
    if orders < 1:
        raise ValueError(f"expected at least 1 order, got {orders}")
    first = np.random.default_rng(seed).permuted(np.tile(np.arange(M), ((orders + 1) // 2, 1)), axis=1)
    return np.asarray(np.stack([first, first[:, ::-1]], axis=1).reshape(-1, M)[:orders])


def shapley_sampled(value: Callable[[Mask], Array], M: int, *, orders: int, seed: int) -> Array:
    """Shapley values (..., M) estimated over sampled orders; they too sum to v(all) - v(empty).

    `value` maps coalitions (coalition, M) to their values (coalition, ...); it is called once, without repeats.
    """
    order = draw_orders(M, orders, seed)
    joined = np.argsort(order, axis=1)[:, None, :] < np.arange(M + 1)[:, None]  # after 0..M have joined
    visited, place = np.unique(joined.reshape(-1, M), axis=0, return_inverse=True)
    values, place = np.asarray(value(visited), dtype=np.float64), place.reshape(orders, M + 1)
    phi = np.zeros((M, *values.shape[1:]))
    for path, walk in zip(order, place, strict=True):
        phi[path] += values[walk[1:]] - values[walk[:-1]]
    return np.moveaxis(phi / orders, 0, -1)


def _gain(v: Array, m: int) -> Array:
    """v(S+m) - v(S), a game of the other modalities (..., 2**(M-1))."""
    *batch, size = v.shape
    split = v.reshape(*batch, size >> m + 1, 2, 1 << m)
    return np.asarray((split[..., 1, :] - split[..., 0, :]).reshape(*batch, size >> 1))


@lru_cache
def _weights(others: int) -> Array:
    """|S|! (others-|S|)! / (others+1)! of the subsets S of the other modalities, ascending."""
    return np.array([1 / (others + 1) / comb(others, s) for s in subset_masks(others).sum(axis=1).tolist()])


def _check_game(v: ArrayLike) -> tuple[Array, int]:
    values = np.asarray(v, dtype=np.float64)
    size = values.shape[-1] if values.ndim else 0
    if size < 2 or size & (size - 1):
        raise ValueError(f"expected the values of 2**M subsets in the last axis, got shape {values.shape}")
    return values, size.bit_length() - 1


def _check_outputs(
    outputs: ArrayLike, target: ArrayLike, prior: ArrayLike
) -> tuple[NDArray[np.floating], Index, Array]:
    x, y, c = np.asarray(outputs), np.asarray(target), np.asarray(prior, dtype=np.float64)
    if x.ndim != 3 or y.shape != x.shape[:1] or c.shape != x.shape[2:]:
        raise ValueError(f"expected (sample, subset, class), (sample,), (class,), got {x.shape}, {y.shape}, {c.shape}")
    if y.dtype.kind not in "iu" or (y.size and not 0 <= y.min() <= y.max() < len(c)):
        raise ValueError(f"expected integer targets from 0 to {len(c) - 1}, got {y.dtype} {y}")
    return x, y.astype(np.int64), c


def _mask_absent(v: Array, present: ArrayLike | None) -> Array:
    """The game once absent modalities are null players, with no value unknown."""
    shape = len(v), _check_game(v)[1]
    if present is not None:
        if np.shape(present) != shape:
            raise ValueError(f"expected present of shape {shape}, got {np.shape(present)}")
        v = np.take_along_axis(v, effective_subsets(np.arange(v.shape[1]), present), axis=1)
    if unknown := int(np.isnan(v).any(axis=1).sum()):
        raise ValueError(f"expected outputs of all subsets of what is present, got NaN in {unknown}/{len(v)} samples")
    return v
