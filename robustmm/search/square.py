"""The Square attack on an exported model: random search within a norm by modality, with queries only.

Each modality is attacked alone and, where there are several, all together, at every scale of the norms. A norm is the
largest change of an entry: a share of 255 (image, video), of full scale (audio), or training standard deviations
(series, features). Accuracies count samples that are wrong when clean as broken.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from robustmm.data.loading import OnBad, read_batches, targets
from robustmm.data.manifest import Manifest
from robustmm.evaluation.attack import proportion
from robustmm.runtime.session import Session
from robustmm.search import sanity
from robustmm.search.climb import NEVER, HillClimb
from robustmm.search.outcome import FirstBroken, Norm, RobustAccuracy, SquareOutcome, SquareRun
from robustmm.search.samples import Bools, SampleBatch
from robustmm.search.sanity import AttackRun
from robustmm.search.targets import WHOLE_RANGE, Target, build_targets
from robustmm.search.windows import UNITS

MIN_WHOLE_RANGE_QUERIES = 100
"""The fewest queries for the whole range, so that its check does not fail for lack of queries."""
CURVE_QUERIES = (1, 10, 50, 100, 500, 1000, 5000)
"""Query counts at which accuracy is reported, below the last."""


def run_square_attack(
    session: Session,
    manifest: Manifest,
    *,
    on: Sequence[str] = (),
    eps: Mapping[str, float] | None = None,
    scales: Sequence[float] = (0.5, 1.0, 2.0),
    queries: int = 200,
    seed: int = 0,
    batch: int = 64,
    on_bad: OnBad = "error",
    advance: Callable[[int], None] = lambda steps: None,
) -> SquareOutcome:
    """Robust accuracy under the Square attack on the modalities `on` (all but text when empty), whose norms are
    `eps` times each of `scales`, with so many `queries` a sample; and the attack's sanity checks.

    The window's schedule spans `queries`, so accuracy after fewer is not that of an attack that had only those.
    `advance` gets numbers of rows, every row once for each run (one more than the result has). Raises UsageError for
    what does not fit.
    """
    goals = build_targets(session, on, eps or {}, scales, queries)
    widest = {name: WHOLE_RANGE[session.modality(name).kind] for name in goals[-1].eps}
    whole = Target(widest, float("inf"), max(queries, MIN_WHOLE_RANGE_QUERIES))
    parts: list[list[AttackRun]] = []
    clean, without, bad = [], [], []
    target = targets(manifest, session.classes)
    for where, samples in read_batches(manifest, session.modalities, batch, on_bad):
        rows = SampleBatch.from_samples(session, samples, target[where])
        clean.append(rows.correct_mask(session, rows.z))
        without.append(rows.correct_without(session, widest))
        bad += samples.bad
        parts.append([])
        for aim in (*goals, whole):
            parts[-1].append(_attack_batch(session, rows, aim, seed))
            advance(len(rows.ids))
    *found, last = (_join_runs(each) for each in zip(*parts, strict=True))
    right = np.concatenate(clean)
    return SquareOutcome(
        seed=seed,
        samples=len(manifest),
        queries=queries,
        clean=proportion(int(right.sum()), len(right)),
        runs=[_summarise_run(session, aim, each, right) for aim, each in zip(goals, found, strict=True)],
        first=_first_broken(goals, found),
        checks=[
            sanity.check_not_above_clean(right, found),
            sanity.check_stronger_than_noise(right, found, seed),
            sanity.check_reaches_chance(last, np.concatenate(without), len(session.classes)),
            sanity.check_replay([*found, last]),
        ],
        bad_inputs=bad,
    )


def _attack_batch(session: Session, rows: SampleBatch, aim: Target, seed: int) -> AttackRun:
    climb = HillClimb(session, rows, aim.eps, seed)
    broken = climb.run(aim.queries)
    replayed = rows.correct_mask(session, session.embeddings(climb.worst_inputs(), len(rows.ids)))
    return AttackRun(aim.label, broken, replayed, rows.correct_under_noise(session, aim.eps, seed))


def _join_runs(parts: Sequence[AttackRun]) -> AttackRun:
    arrays = (np.concatenate([getattr(p, name) for p in parts]) for name in ("broken", "replayed", "noised"))
    return AttackRun(parts[0].label, *arrays)


def _summarise_run(session: Session, aim: Target, found: AttackRun, clean: Bools) -> SquareRun:
    counts = [*(q for q in CURVE_QUERIES if q < aim.queries), aim.queries]
    took = found.broken[(found.broken > 0) & (found.broken < NEVER)]
    return SquareRun(
        scale=aim.scale,
        norms=[Norm(modality=n, eps=e, unit=UNITS[session.modality(n).kind]) for n, e in aim.eps.items()],
        curve=[
            RobustAccuracy(queries=q, accuracy=proportion(int((found.broken > q).sum()), len(clean))) for q in counts
        ],
        broken=len(took),
        median_queries=np.median(took) if len(took) else float("nan"),
        noise=proportion(int((clean & found.noised).sum()), len(clean)),
    )


def _first_broken(goals: Sequence[Target], found: Sequence[AttackRun]) -> list[FirstBroken]:
    """At every scale, over the runs on one modality; empty where only one is attacked."""
    by_scale: dict[float, dict[str, NDArray[np.int64]]] = {}
    for aim, each in zip(goals, found, strict=True):
        if len(aim.eps) == 1:
            by_scale.setdefault(aim.scale, {})[next(iter(aim.eps))] = each.broken
    results = []
    for scale, runs in by_scale.items():
        took = np.stack(list(runs.values()), 1)  # (sample, modality)
        took = took[(took.min(1) > 0) & (took.min(1) < NEVER)]
        first = took == took.min(1, keepdims=True)
        shares = (first / first.sum(1, keepdims=True)).mean(0) if len(took) else [float("nan")] * len(runs)
        results.append(FirstBroken(scale=scale, samples=len(took), shares=dict(zip(runs, shares, strict=True))))
    return results if len(goals[-1].eps) > 1 else []
