"""One condition against clean: every number `robustmm attack` prints, and its published JSON form."""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from robustmm import contribution, metrics, statistics
from robustmm.evaluate import Condition, Records, evaluate
from robustmm.manifest import Manifest
from robustmm.reading import OnBad
from robustmm.results import Number, Result
from robustmm.session import Session


class Estimate(Result):
    """A value with its 95 % interval."""

    value: Number
    low: Number
    high: Number


class Change(Estimate):
    """Attacked minus clean over the same samples: paired bootstrap interval, randomisation p-value."""

    p: Number


class Scores(Result):
    """Accuracy with Wilson's interval; macro-F1; log-loss; equal-mass expected calibration error; Brier score."""

    accuracy: Estimate
    macro_f1: Number
    nll: Number
    ece: Number
    brier: Number


class Reliance(Result):
    """How much of the answers rests on one modality under one condition.

    `solo`: accuracy from it alone. `leave_one_out`: accuracy lost without it. `accuracy` and `log_probability`: exact
    Shapley values (the empty set is worth the class prior) with bootstrap intervals; shares are of the positive part.
    """

    present: Number
    solo: Estimate
    leave_one_out: Estimate
    accuracy: Estimate
    accuracy_share: Number
    log_probability: Estimate
    log_probability_share: Number


class Applied(Result):
    """A corruption as it met one modality: the level and its physical strength."""

    name: str
    level: Number
    strength: Number
    unit: str


class ModalityResult(Result):
    name: str
    kind: str
    noises: list[Applied]
    missing: Number
    clean: Reliance
    attacked: Reliance


class ClassResult(Result):
    label: str
    support: int
    clean_recall: Number
    attacked_recall: Number
    clean_f1: Number
    attacked_f1: Number


class AttackResult(Result):
    """The result of `robustmm attack --json`, format 1."""

    format: int = 1
    robustmm: str
    model: str
    model_sha256: str
    method: str
    manifest: str
    split: str
    samples: int
    seed: int
    exact: bool = Field(description="false where contributions come from sampled orders")
    efficiency_residual: Number = Field(description="largest |sum of contributions - (v(all) - v(empty))|, near 0")
    untouched: int = Field(description="samples the corruptions left bit-identical (silent clips, empty texts)")
    bad_inputs: list[str]
    clean: Scores
    attacked: Scores
    accuracy_change: Change
    nll_change: Change
    flip_rate: Estimate
    modalities: list[ModalityResult]
    classes: list[ClassResult]


def attack(
    session: Session,
    manifest: Manifest,
    condition: Condition,
    *,
    split: str,
    seed: int,
    on_bad: OnBad = "error",
    batch: int = 64,
    advance: Callable[[int], None] = lambda steps: None,
) -> AttackResult:
    """Evaluates a file clean and under `condition` on the same samples."""
    from robustmm import __version__

    steps = condition.touched(session.modalities)
    (clean, attacked), bad = evaluate(
        session, manifest, [Condition("clean"), condition], seed=seed, on_bad=on_bad, batch=batch, advance=advance
    )
    right = [metrics.correct(r.probabilities, r.target) for r in (clean, attacked)]
    surprise = [metrics.surprise(r.probabilities, r.target) for r in (clean, attacked)]
    flipped = int((clean.probabilities.argmax(1) != attacked.probabilities.argmax(1)).sum())
    before, after = reliance(session.names, clean, seed), reliance(session.names, attacked, seed)
    return AttackResult(
        robustmm=__version__,
        model=str(session.path),
        model_sha256=hashlib.sha256(session.path.read_bytes()).hexdigest(),
        method=session.facts["recipe"]["method"]["name"],
        manifest=str(manifest.path),
        split=split,
        samples=len(manifest),
        seed=seed,
        exact=clean.exact,
        efficiency_residual=max(clean.residual, attacked.residual),
        untouched=attacked.untouched,
        bad_inputs=bad,
        clean=scores(clean),
        attacked=scores(attacked),
        accuracy_change=Change(**statistics.paired_bootstrap(right[1], right[0], seed=seed)._asdict()),
        nll_change=Change(**statistics.paired_bootstrap(surprise[1], surprise[0], seed=seed)._asdict()),
        flip_rate=proportion(flipped, len(manifest)),
        modalities=[
            ModalityResult(
                name=m.name,
                kind=m.kind,
                noises=[
                    Applied(name=c.name, level=level, strength=c.strength(level), unit=c.unit)
                    for c, level in steps.get(m.name, [])
                ],
                missing=condition.missing.get(m.name, 0.0),
                clean=before[i],
                attacked=after[i],
            )
            for i, m in enumerate(session.modalities)
        ],
        classes=by_class(session.classes, clean, attacked),
    )


def scores(records: Records) -> Scores:
    p, y = records.probabilities, records.target
    return Scores(
        accuracy=proportion(int(metrics.correct(p, y).sum()), len(y)),
        macro_f1=metrics.macro_f1(p, y),
        nll=metrics.nll(p, y),
        ece=metrics.ece(p, y),
        brier=metrics.brier(p, y),
    )


def proportion(successes: int, n: int) -> Estimate:
    """A share with Wilson's interval; no number where there is nothing to count."""
    if n == 0:
        return Estimate(value=float("nan"), low=float("nan"), high=float("nan"))
    low, high = statistics.wilson(successes, n)
    return Estimate(value=successes / n, low=low, high=high)


def mean(values: ArrayLike, seed: int) -> list[Estimate]:
    """Bootstrap estimates of the column means of (samples, column)."""
    found = statistics.bootstrap_mean(values, seed=seed)
    return [Estimate(value=v, low=low, high=h) for v, low, h in zip(*(np.atleast_1d(x) for x in found), strict=True)]


def reliance(names: Sequence[str], records: Records, seed: int) -> list[Reliance]:
    """What each modality contributes under one condition. Leave-one-out counts samples that have the modality."""
    right = metrics.correct(records.probabilities, records.target)
    phi, log_phi = mean(records.phi_accuracy, seed), mean(records.phi_log_probability, seed)
    shares = contribution.shares(records.phi_accuracy.mean(0))
    log_shares = contribution.shares(records.phi_log_probability.mean(0))
    nothing = Estimate(value=float("nan"), low=float("nan"), high=float("nan"))
    found = []
    for m in range(len(names)):
        rows = records.present[:, m]
        lost = mean((right - records.without[:, m])[rows], seed)[0] if rows.any() else nothing
        found.append(
            Reliance(
                present=rows.mean(),
                solo=proportion(int(records.solo[rows, m].sum()), int(rows.sum())),
                leave_one_out=lost,
                accuracy=phi[m],
                accuracy_share=shares[m],
                log_probability=log_phi[m],
                log_probability_share=log_shares[m],
            )
        )
    return found


def by_class(classes: Sequence[str], clean: Records, attacked: Records) -> list[ClassResult]:
    before, after = (metrics.per_class(r.probabilities, r.target) for r in (clean, attacked))
    return [
        ClassResult(
            label=label,
            support=int(before.support[c]),
            clean_recall=before.recall[c],
            attacked_recall=after.recall[c],
            clean_f1=before.f1[c],
            attacked_f1=after.f1[c],
        )
        for c, label in enumerate(classes)
    ]
