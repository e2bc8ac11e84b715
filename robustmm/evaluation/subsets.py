"""The value of every subset of the modalities on some samples: contributions from decoder calls only."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from robustmm.evaluation.finite import check_finite
from robustmm.evaluation.records import Array, Records
from robustmm.metrics import contribution
from robustmm.metrics.classification import MIN_PROBABILITY
from robustmm.metrics.interaction import additive_projection
from robustmm.runtime.session import Embeddings, Session

ORDERS = 32
"""Sampled orders (antithetic) where modalities are too many for exact contributions."""
EMAP_SAMPLES = 32
"""Samples that are paired with each other for the additive projection (EMAP)."""

Baseline = Literal["masked", "mean", "permuted"]
"""The baseline of a modality outside a subset. `masked`: none, and the presence mask drops it. `mean`, `permuted`: the
mean embedding or another sample's, of the samples recorded together, and the presence mask keeps it."""


def evaluate_subsets(
    session: Session,
    ids: list[str],
    z: Embeddings,
    present: NDArray[np.bool_],
    target: NDArray[np.int64],
    *,
    baseline: Baseline = "masked",
    emap: bool = False,
    condition: str = "",
) -> Records:
    """Full prediction and contributions of some samples; with `emap`, also their additive projection. Raises DataError
    for an answer that is NaN, which names the `condition`."""
    M, n = len(session.names), len(target)
    baselines = (
        {}
        if baseline == "masked"
        else {m: baseline_embeddings(z[m], present[:, i], baseline) for i, m in _enumerate_modalities(session)}
    )

    def decode(masks: NDArray[np.bool_]) -> Array:
        """(coalition, sample, class) for coalitions (coalition, M), each cut to what is present."""
        rows = np.tile(np.arange(n), len(masks))
        inside = np.repeat(masks, n, 0)
        mask = present[rows] & inside if baseline == "masked" else present[rows]
        parts = []
        for start in range(0, len(rows), session.decodes):
            some = slice(start, start + session.decodes)
            parts.append(session.decode(_mix_embeddings(session, z, baselines, rows[some], inside[some]), mask[some]))
        p = np.concatenate(parts).reshape(len(masks), n, -1)
        check_finite(session, p, has_input(masks), ids, condition)
        return p

    def has_input(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(coalition, sample): whether anything is left to answer from."""
        if baseline == "masked":
            return np.asarray((masks[:, None] & present).any(-1))
        return np.tile(present.any(-1), (len(masks), 1))

    def subset_values(masks: NDArray[np.bool_], p: Array) -> Array:
        """(coalition, sample, 2): log p(true class) and correctness; the prior's where nothing is present."""
        true = np.take_along_axis(p, np.broadcast_to(target, p.shape[:2])[..., None], -1)[..., 0]
        held, right = has_input(masks), contribution.expected_correctness
        true, hit = np.where(held, true, session.prior[target]), np.where(held, right(p, target), chance)
        return np.stack([np.log(np.maximum(true, MIN_PROBABILITY)), hit], -1)

    def answers(masks: NDArray[np.bool_], p: Array) -> Array:
        """(sample, coalition): whether the answer, the first of equal classes, is right."""
        return np.where(has_input(masks), p.argmax(-1) == target, chance).T

    chance = contribution.expected_correctness(session.prior, target)
    exact = contribution.EXACT_LIMIT >= M
    one = np.eye(M, dtype=bool)
    if exact:
        masks = contribution.subset_masks(M)
        p = decode(masks)
        values = subset_values(masks, p)  # (2**M, samples, 2)
        phi = contribution.shapley(np.moveaxis(values, 0, -1))  # (samples, 2, M)
        right = values[..., 1].T
        first, second = np.triu_indices(M, 1)
        interaction = contribution.shapley_interaction(right)[:, first, second]
        uniform = np.where(has_input(masks), values[..., 0], -np.log(len(session.classes))).T
        information = contribution.shapley(uniform)
        single = 1 << np.arange(M)
        others = 2**M - 1 - single
    else:
        phi = contribution.shapley_sampled(lambda m: subset_values(m, decode(m)), M, orders=ORDERS, seed=0)
        masks, single = np.concatenate([np.zeros((1, M), bool), one, ~one, np.ones((1, M), bool)]), 1 + np.arange(M)
        p = decode(masks)
        values = subset_values(masks, p)
        interaction, information = np.full((n, M * (M - 1) // 2), np.nan), np.full((n, M), np.nan)
        right = np.zeros((n, 0))
        others = M + single
    unimodal, without = (answers(masks[some], p[some]) for some in (single, others))
    ends = values[[0, -1]]
    additive = emap_correct(session, z, present, target, ids) if emap and M > 1 else np.full(n, np.nan)
    singly = p[single].clip(min=0)  # (modality, sample, class)
    certainty = np.where(present, 1 - entr(singly).sum(-1).T / np.log(max(2, len(session.classes))), np.nan)
    residual = float(np.abs(phi.sum(-1) - (ends[1] - ends[0])).max())
    return Records(
        ids, target, present, p[-1],
        phi[:, 0], phi[:, 1], np.where(present, unimodal, np.nan), np.where(present, without, np.nan),
        ends[0], right.astype(np.float32), interaction, additive, information, certainty, residual, exact=exact,
        used=session.choose_used(z, present) if session.is_hardened else np.zeros((n, 0), bool),
    )  # fmt: skip


def baseline_embeddings(z: NDArray[Any], here: NDArray[np.bool_], baseline: Baseline) -> NDArray[Any]:
    """The baseline of a modality outside a subset, sample by sample: the mean embedding of the samples that have it,
    or that of the next sample that has it."""
    out = z.copy()
    if here.any():
        out[here] = z[here].mean(0) if baseline == "mean" else np.roll(z[here], -1, 0)
    return out


def emap_correct(
    session: Session, z: Embeddings, present: NDArray[np.bool_], target: NDArray[np.int64], ids: Sequence[str]
) -> NDArray[np.float64]:
    """(sample,): 1 where the additive projection (EMAP) of the first `EMAP_SAMPLES` complete samples is right, else 0;
    NaN for the other samples."""
    out = np.full(len(target), np.nan)
    rows = np.flatnonzero(present.all(1))[:EMAP_SAMPLES]
    if not len(rows):
        return out
    own, other = np.repeat(rows, len(rows)), np.tile(rows, len(rows))
    everything = np.ones((len(own), len(session.names)), bool)
    cross = []
    for name in session.names:
        parts = []
        for start in range(0, len(own), session.decodes):
            some = slice(start, start + session.decodes)
            mixed = {m: z[m][own[some] if m == name else other[some]] for m in session.names}
            p = session.decode(mixed, everything[some])
            check_finite(session, p, everything[some, 0], [ids[row] for row in own[some]])
            parts.append(np.log(np.maximum(p, MIN_PROBABILITY)))
        cross.append(np.concatenate(parts).reshape(len(rows), len(rows), -1))
    out[rows] = additive_projection(np.stack(cross)).argmax(-1) == target[rows]
    return out


def _enumerate_modalities(session: Session) -> list[tuple[int, str]]:
    return list(enumerate(session.names))


def _mix_embeddings(
    session: Session, z: Embeddings, others: Mapping[str, NDArray[Any]], rows: NDArray[Any], inside: NDArray[np.bool_]
) -> dict[str, NDArray[Any]]:
    """Every modality's embedding of these rows, replaced by its baseline outside the coalition."""
    mixed = {}
    for m, name in _enumerate_modalities(session):
        own = z[name][rows]
        if name in others:
            held = inside[:, m].reshape(-1, *[1] * (own.ndim - 1))
            own = np.where(held, own, others[name][rows])
        mixed[name] = own
    return mixed
