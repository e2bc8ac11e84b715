"""The rivals: scores (sample, modality) that grow with the doubt in a modality. Each is our reading of its source,
brought to a modality of a fused model; all read embeddings, unimodal and fused answers, as ours does.

x_m is the embedding of modality m, p_S the calibrated answer from the modalities S, f_S its logits, N all modalities.
Fitted to the train split without corruptions, but for the noise level.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from contest.samples import View
from robustmm.guard.detectors.distance import Mahalanobis, fit_mahalanobis

Array = NDArray[np.float64]
Score = Callable[[View], Array]
NEIGHBOURS = 10
RIDGE = 10.0
SMALLEST = 1e-12


def by_modality(score: Callable[[View, int], Array]) -> Score:
    def both(view: View) -> Array:
        return np.stack([score(view, m) for m in range(len(view.z))], 1)

    return both


def to_length_one(z: NDArray[np.float32]) -> Array:
    x = z.astype(np.float64)
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), SMALLEST))


def measure(z: Array, fitted: Mahalanobis) -> Array:
    """The square of the distance to the nearest mean."""
    y = z @ fitted.whitening
    return np.asarray(((y[:, None] - fitted.means) ** 2).sum(-1).min(1))


def keep_present(train: View, m: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    here = train.table.present[:, m]
    return train.z[m, here], train.table.target[here]


def mahalanobis(train: View) -> Score:
    """min_c (x_m - mu_c)' S^-1 (x_m - mu_c), S shared by the classes. Lee et al., NeurIPS 2018."""
    fits = [fit_mahalanobis(x.astype(np.float64), y) for x, y in map_modalities(train)]
    return by_modality(lambda view, m: measure(view.z[m].astype(np.float64), fits[m]))


def mahalanobis_plus(train: View) -> Score:
    """The same of x_m / |x_m|. Mahalanobis++, arXiv 2505.18032."""
    fits = [fit_mahalanobis(to_length_one(x), y) for x, y in map_modalities(train)]
    return by_modality(lambda view, m: measure(to_length_one(view.z[m]), fits[m]))


def relative_mahalanobis(train: View) -> Score:
    """min_c d(x_m; mu_c, S) - d(x_m; mu, S_0), S_0 the covariance of all. Ren et al., arXiv 2106.09022."""
    fits = [
        (fit_mahalanobis(x.astype(np.float64), y), fit_mahalanobis(x.astype(np.float64), np.zeros_like(y)))
        for x, y in map_modalities(train)
    ]

    def score(view: View, m: int) -> Array:
        x = view.z[m].astype(np.float64)
        return measure(x, fits[m][0]) - measure(x, fits[m][1])

    return by_modality(score)


def nearest_neighbours(train: View) -> Score:
    """The distance of x_m / |x_m| to its 10th nearest neighbour in train. Sun et al., ICML 2022."""
    known = [to_length_one(x) for x, _ in map_modalities(train)]

    def score(view: View, m: int) -> Array:
        cosine = to_length_one(view.z[m]) @ known[m].T
        k = min(NEIGHBOURS, cosine.shape[1])
        return np.sqrt(np.maximum(2 - 2 * np.partition(cosine, -k, axis=1)[:, -k], 0))

    return by_modality(score)


def virtual_logit(train: View) -> Score:
    """a |R x_m| - log sum exp f_m: R the residual beyond the first half of the principal axes, a the ratio of the mean
    largest logit to the mean residual in train. ViM, Wang et al., CVPR 2022; centred at the mean, since a file does not
    tell its head's bias."""
    fits = []
    for m, (x, _) in enumerate(map_modalities(train)):
        mean = x.mean(0)
        _, _, axes = np.linalg.svd(x - mean, full_matrices=False)
        rest = axes[len(axes) // 2 :].T
        largest = train.logits[train.table.present[:, m], train.alone(m)].max(-1).mean()
        fits.append((mean, rest, largest / max(np.linalg.norm((x - mean) @ rest, axis=1).mean(), SMALLEST)))

    def score(view: View, m: int) -> Array:
        mean, rest, a = fits[m]
        residual = np.linalg.norm((view.z[m] - mean) @ rest, axis=1)
        return np.asarray(a * residual - logsumexp(view.logits[:, view.alone(m)], -1), np.float64)

    return by_modality(score)


def energy(train: View) -> Score:
    """-log sum exp f_m. Liu et al., NeurIPS 2020."""
    return by_modality(lambda view, m: -logsumexp(view.logits[:, view.alone(m)].astype(np.float64), -1))


def divergence(train: View) -> Score:
    """KL(p_N || p_m)."""

    def score(view: View, m: int) -> Array:
        p, q = (view.p[:, k].astype(np.float64) + SMALLEST for k in (0, view.alone(m)))
        return np.asarray((p * np.log(p / q)).sum(-1))

    return by_modality(score)


def confidence_gap(train: View) -> Score:
    """max p_(N without m) - max p_m."""
    return by_modality(lambda v, m: (v.p[:, v.without(m)].max(-1) - v.p[:, v.alone(m)].max(-1)).astype(np.float64))


def prototype_gain(train: View) -> Score:
    """|g_N - c_N(y)| - |g_S - c_S(y)| with S all but m, g = log p, y the fused answer and c_S(y) the mean of g_S over
    train samples of class y: how much nearer without m. DyMo, arXiv 2601.22853, whose distances are of a fused
    embedding, which a file does not tell."""
    classes = np.unique(train.table.target)
    logs = np.log(train.p.astype(np.float64) + 1e-6)
    means = np.zeros((logs.shape[2], *logs.shape[1:]))
    for c in classes:
        means[c] = logs[train.table.target == c].mean(0)  # (class, subset, class)

    def score(view: View, m: int) -> Array:
        answer, k = view.p[:, 0].argmax(-1), view.without(m)
        far = [
            np.linalg.norm(np.log(view.p[:, s].astype(np.float64) + 1e-6) - means[answer, s], axis=-1) for s in (0, k)
        ]
        return np.asarray(far[0] - far[1])

    return by_modality(score)


def map_modalities(train: View) -> list[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    return [keep_present(train, m) for m in range(len(train.z))]


def noise_level(x: list[Array], level: list[Array]) -> Score:
    """The level of the corruption, by a ridge regression on x_m and what our detectors read of the input, fitted to
    corrupted valid samples of the families that are seen; clean ones have level 0 and weigh as much as all others.
    UDML, arXiv 2603.19681, estimates the level of injected noise by a network."""
    fits = []
    for rows, y in zip(x, level, strict=True):
        mean, std = rows.mean(0), rows.std(0) + 1e-6
        design = np.column_stack([(rows - mean) / std, np.ones(len(rows))])
        weight = np.where(y == 0, 0.5 / max(1, (y == 0).sum()), 0.5 / max(1, (y > 0).sum())) * len(y)
        gram = (design * weight[:, None]).T @ design + RIDGE * np.eye(design.shape[1])
        fits.append((mean, std, np.linalg.solve(gram, (design * weight[:, None]).T @ y)))

    def score(view: View, m: int) -> Array:
        mean, std, w = fits[m]
        rows = np.concatenate([view.z[m], view.columns[m]], 1)
        return np.asarray((rows - mean) / std @ w[:-1] + w[-1])

    return by_modality(score)


FITTED: dict[str, Callable[[View], Score]] = {
    "Mahalanobis": mahalanobis,
    "Mahalanobis++": mahalanobis_plus,
    "relative Mahalanobis": relative_mahalanobis,
    "nearest neighbours": nearest_neighbours,
    "ViM": virtual_logit,
    "energy": energy,
    "KL to the fused": divergence,
    "confidence gap": confidence_gap,
    "prototype gain": prototype_gain,
}
NOISE_LEVEL = "noise level"
RIVALS = (*FITTED, NOISE_LEVEL)
