"""Session x manifest x conditions -> records, streaming: each encoder is paid once per condition that touches it."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count

import numpy as np
from numpy.typing import NDArray

from robustmm import contribution
from robustmm.conditions import Condition
from robustmm.manifest import Manifest
from robustmm.metrics import FLOOR
from robustmm.modalities import Signal
from robustmm.plan import Plan
from robustmm.reading import OnBad, Samples, fed, stream, targets
from robustmm.session import Session

ORDERS = 32
"""Sampled orders (antithetic) where modalities are too many for exact contributions."""
DECODE = 16_384
"""Rows given to the decoder at once."""

Array = NDArray[np.float64]


@dataclass
class Records:
    """One row per sample under one condition. Contributions are of two games: log p(true class) and correctness;
    the empty set is worth what the class prior is. NaN stands where a modality is missing."""

    ids: list[str]
    target: NDArray[np.int64]
    present: NDArray[np.bool_]  # (samples, modality)
    probabilities: Array  # (samples, class)
    phi_log_probability: Array  # (samples, modality)
    phi_accuracy: Array  # (samples, modality)
    solo: Array  # (samples, modality): 1 where right from this modality alone
    without: Array  # (samples, modality): 1 where right without this modality
    empty: Array  # (samples, 2): worth of the empty set in both games
    residual: float = 0.0  # largest |sum phi - (v(all) - v(empty))|
    untouched: int = 0  # samples that the condition's corruptions left bit-identical
    snr: Array = field(default_factory=lambda: np.zeros((0, 0)))  # (samples, modality), see `achieved`
    exact: bool = True


def evaluate(
    session: Session,
    manifest: Manifest,
    conditions: Sequence[Condition],
    *,
    seed: int = 0,
    batch: int = 64,
    on_bad: OnBad = "error",
    advance: Callable[[int], None] = lambda steps: None,
) -> tuple[list[Records], list[str]]:
    """Records of every condition, and the sentences of inputs that could not be read (`on_bad="missing"`).

    Results do not depend on `batch`, on the order of rows or on threads: noise belongs to (seed, id, modality, name).
    """
    plans = [Plan(condition, session.modalities, manifest, seed, on_bad) for condition in conditions]
    target = targets(manifest, session.classes)
    collected: list[list[Records]] = [[] for _ in conditions]
    bad: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        for rows, samples in stream(manifest, session.modalities, batch, on_bad):
            bad += samples.bad
            inputs = {m.name: fed(m, samples.signals[m.name]) for m in session.modalities}
            clean, here = session.embeddings(inputs, len(samples.ids)), samples.present()
            for number, plan in enumerate(plans):
                z, untouched = clean.copy(), np.full(len(samples.ids), bool(plan.steps))
                snr = np.full(here.shape, np.nan)
                for m, modality in enumerate(session.modalities):
                    if modality.name in plan.touched:
                        given = samples.signals[modality.name]
                        noisy = list(pool.map(plan.struck(modality, rows), samples.ids, given, count()))
                        if plan.noises(modality.name):
                            untouched &= [same(a, b) for a, b in zip(noisy, given, strict=True)]
                        if modality.kind == "audio":
                            snr[:, m] = [achieved(a, b) for a, b in zip(given, noisy, strict=True)]
                        z[:, m] = session.embed(modality.name, fed(modality, noisy))
                records = recorded(session, samples, z, plan.told(here, rows), target[rows])
                records.untouched, records.snr = int(untouched.sum()), snr
                collected[number].append(records)
                advance(len(samples.ids))
    return [joined(parts) for parts in collected], bad


def achieved(clean: Signal | None, noisy: Signal | None) -> float:
    """The signal-to-noise ratio of a clip in dB, what was changed counted as noise: NaN where nothing was, and minus
    infinity for silence that is silent no more."""
    if clean is None or noisy is None or same(clean, noisy):
        return float("nan")
    power, noise = (float(np.mean(np.square(x, dtype=np.float64))) for x in (clean, np.subtract(noisy, clean)))
    return 10 * math.log10(power / noise) if power else -math.inf


def same(a: Signal | None, b: Signal | None) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return a is b or (isinstance(a, str) and a == b)


def recorded(
    session: Session, samples: Samples, z: NDArray[np.float32], present: NDArray[np.bool_], target: NDArray[np.int64]
) -> Records:
    """Full prediction and contributions of a batch from its embeddings (batch, modality, width)."""
    M, n = len(session.names), len(target)
    exact = contribution.EXACT_LIMIT >= M

    def decode(masks: NDArray[np.bool_]) -> Array:
        """(coalition, batch, class) for coalitions (coalition, M), each cut to what is present."""
        cut = (masks[:, None] & present).reshape(-1, M)
        rows = np.tile(np.arange(n), len(masks))
        parts = [session.decode(z[rows[i : i + DECODE]], cut[i : i + DECODE]) for i in range(0, len(cut), DECODE)]
        return np.concatenate(parts).reshape(len(masks), n, -1)

    def games(masks: NDArray[np.bool_], p: Array) -> Array:
        """(coalition, batch, 2): log p(true class) and correctness; the prior's where nothing is present."""
        nothing = np.asarray(~(masks[:, None] & present).any(-1))
        p = np.where(nothing[..., None], session.prior, p)
        true = np.take_along_axis(p, np.broadcast_to(target, p.shape[:2])[..., None], -1)[..., 0]
        return np.stack([np.log(np.maximum(true, FLOOR)), p.argmax(-1) == target], -1)

    if exact:
        masks = contribution.subsets(M)
        p = decode(masks)
        worth = games(masks, p)  # (2**M, batch, 2)
        phi = contribution.shapley(np.moveaxis(worth, 0, -1))  # (batch, 2, M)
        probabilities = p[-1]
        one = 1 << np.arange(M)
        solo, without = worth[one, :, 1].T, worth[2**M - 1 - one, :, 1].T
        ends = worth[[0, -1]]
    else:
        phi = contribution.shapley_sampled(lambda m: games(m, decode(m)), M, orders=ORDERS, seed=0)
        one = np.eye(M, dtype=bool)
        masks = np.concatenate([np.zeros((1, M), bool), one, ~one, np.ones((1, M), bool)])
        p = decode(masks)
        worth = games(masks, p)
        probabilities, ends = p[-1], worth[[0, -1]]
        solo, without = worth[1 : M + 1, :, 1].T, worth[M + 1 : -1, :, 1].T
    residual = float(np.abs(phi.sum(-1) - (ends[1] - ends[0])).max())
    return Records(
        samples.ids, target, present, probabilities,
        phi[:, 0], phi[:, 1], np.where(present, solo, np.nan), np.where(present, without, np.nan),
        ends[0], residual, exact=exact,
    )  # fmt: skip


def joined(parts: Sequence[Records]) -> Records:
    """Batches in order, as one."""
    arrays = (
        "target",
        "present",
        "probabilities",
        "phi_log_probability",
        "phi_accuracy",
        "solo",
        "without",
        "empty",
        "snr",
    )
    return Records(
        ids=[sample for part in parts for sample in part.ids],
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in arrays},
        residual=max(part.residual for part in parts),
        untouched=sum(part.untouched for part in parts),
        exact=parts[0].exact,
    )
