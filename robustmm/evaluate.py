"""Session x manifest x conditions -> records, streaming: each encoder is paid once per condition that touches it."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustmm import contribution, missing
from robustmm.corruptions import Corruption, corrupted, corruption_for, kinds
from robustmm.errors import UsageError, known
from robustmm.manifest import Manifest
from robustmm.metrics import FLOOR
from robustmm.modalities import Modality, Signal
from robustmm.reading import OnBad, Samples, fed, stream, targets
from robustmm.session import Session

ORDERS = 32
"""Sampled orders (antithetic) where modalities are too many for exact contributions."""
DECODE = 16_384
"""Rows given to the decoder at once."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Noise:
    """A corruption at a level, on some modalities; on all whose kind it serves when `on` is empty."""

    name: str
    level: float
    on: tuple[str, ...] = ()


@dataclass(frozen=True)
class Condition:
    """What happens to every sample: corruptions in order, then missing modalities at a rate."""

    name: str
    noises: tuple[Noise, ...] = ()
    missing: dict[str, float] = field(default_factory=dict)

    def touched(self, modalities: Sequence[Modality]) -> dict[str, list[tuple[Corruption, float]]]:
        """What is done to each modality. Raises UsageError for a name, kind or level that does not fit."""
        steps: dict[str, list[tuple[Corruption, float]]] = {}
        by_name = {m.name: m for m in modalities}
        for noise in self.noises:
            if not 0 <= noise.level <= 1:
                raise UsageError(f"the level of {noise.name} should be in [0, 1], found {noise.level:g}")
            serves = kinds(noise.name)
            for name in dict.fromkeys(noise.on) or [m.name for m in modalities if m.kind in serves]:
                if name not in by_name:
                    raise UsageError(f'there is no modality "{name}"{known(name, by_name)}')
                steps.setdefault(name, []).append((corruption_for(noise.name, by_name[name].kind), noise.level))
            if not noise.on and not any(m.kind in serves for m in modalities):
                found = ", ".join(f"{m.name} ({m.kind})" for m in modalities)
                raise UsageError(f'"{noise.name}" serves {", ".join(serves)}; the model has {found}')
        return steps


def condition(
    name: str, noises: Sequence[str], levels: Sequence[float], on: Sequence[str], missing: dict[str, float]
) -> Condition:
    """A condition from a command line's options: one level for all corruptions, or one for each."""
    if noises and len(levels) not in (1, len(noises)):
        raise UsageError(f"--level should be given once or for each of the {len(noises)} --noise, found {len(levels)}")
    if not noises and (levels or on):
        raise UsageError("--level and --on go with a --noise, found none")
    each = list(levels) * len(noises) if len(levels) == 1 else list(levels)
    return Condition(name, tuple(Noise(n, x, tuple(on)) for n, x in zip(noises, each, strict=True)), missing)


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
    plans = [condition.touched(session.modalities) for condition in conditions]
    tables = [missing.table(manifest.ids, session.names, c.missing, seed) for c in conditions]
    target = targets(manifest, session.classes)
    collected: list[list[Records]] = [[] for _ in conditions]
    bad: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        for rows, samples in stream(manifest, session.modalities, batch, on_bad):
            bad += samples.bad
            inputs = {m.name: fed(m, samples.signals[m.name]) for m in session.modalities}
            clean, here = session.embeddings(inputs, len(samples.ids)), samples.present()
            for number, plan in enumerate(plans):
                z, untouched = clean.copy(), np.full(len(samples.ids), bool(plan))
                for name, steps in plan.items():
                    modality, given = session.modality(name), samples.signals[name]
                    noisy = list(pool.map(_apply(modality, steps, seed), samples.ids, given))
                    untouched &= [same(a, b) for a, b in zip(noisy, given, strict=True)]
                    z[:, session.names.index(name)] = session.embed(name, fed(modality, noisy))
                present = here & tables[number][rows]
                records = recorded(session, samples, z, present, target[rows])
                records.untouched = int(untouched.sum())
                collected[number].append(records)
                advance(len(samples.ids))
    return [joined(parts) for parts in collected], bad


def _apply(
    modality: Modality, steps: list[tuple[Corruption, float]], seed: int
) -> Callable[[str, Signal | None], Signal | None]:
    statistics: dict[str, Any] = {key: getattr(modality, key, None) or None for key in ("mean", "std")}

    def apply(sample: str, signal: Signal | None) -> Signal | None:
        for chosen, level in steps:
            if signal is not None:
                signal = corrupted(
                    signal, chosen, level, seed=seed, sample_id=sample, modality=modality.name, **statistics
                )
        return signal

    return apply


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
        ends[0], residual, 0, exact,
    )  # fmt: skip


def joined(parts: Sequence[Records]) -> Records:
    """Batches in order, as one."""
    arrays = ("target", "present", "probabilities", "phi_log_probability", "phi_accuracy", "solo", "without", "empty")
    return Records(
        ids=[sample for part in parts for sample in part.ids],
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in arrays},
        residual=max(part.residual for part in parts),
        untouched=sum(part.untouched for part in parts),
        exact=parts[0].exact,
    )
