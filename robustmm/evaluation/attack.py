"""One condition against clean: every number `robustmm attack` prints."""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from robustmm.conditions.condition import Condition, Step
from robustmm.conditions.plan import Plan
from robustmm.data.loading import OnBad
from robustmm.data.manifest import Manifest
from robustmm.evaluation.attack_result import (
    AppliedCorruption,
    AttackResult,
    Change,
    ClassResult,
    Contribution,
    Estimate,
    ModalityResult,
    Scores,
    SnrSummary,
)
from robustmm.evaluation.chance import doubt_accuracy
from robustmm.evaluation.evaluate import evaluate
from robustmm.evaluation.fit import PriorSource, description_text
from robustmm.evaluation.records import Records
from robustmm.metrics import classification, contribution, statistics
from robustmm.metrics.sampling import Sampling
from robustmm.runtime.session import Session
from robustmm.version import __version__

NOTHING = Estimate(value=float("nan"), low=float("nan"), high=float("nan"))
"""Of nothing there is no number."""


def attack(
    session: Session,
    manifest: Manifest,
    condition: Condition,
    *,
    split: str,
    seed: int,
    on_bad: OnBad = "error",
    batch: int = 64,
    prior: PriorSource = "model",
    notes: Sequence[str] = (),
    advance: Callable[[int], None] = lambda steps: None,
) -> AttackResult:
    """Evaluates a file clean and under `condition` on the same samples; `prior` and `notes` are those of
    fit.fit_session."""
    plan = Plan(condition, session.modalities, manifest, seed, on_bad)
    (clean, attacked), bad = evaluate(
        session, manifest, [Condition("clean"), condition], seed=seed, on_bad=on_bad, batch=batch, advance=advance
    )
    right = [classification.correctness(r.probabilities, r.target) for r in (clean, attacked)]
    surprise = [classification.sample_nll(r.probabilities, r.target) for r in (clean, attacked)]
    flipped = int((clean.probabilities.argmax(1) != attacked.probabilities.argmax(1)).sum())
    before, after = (contributions(session.names, records, seed, Sampling()) for records in (clean, attacked))
    description = description_text(session)
    return AttackResult(
        robustmm=__version__,
        model=str(session.path),
        model_sha256=hash_bytes(session.path.read_bytes()),
        description=description,
        description_sha256=hash_bytes(description.encode()) if description else "",
        method=session.facts["recipe"]["method"]["name"],
        prior=prior,
        notes=[*doubt_accuracy(clean, session.classes, foreign=bool(description)), *notes],
        manifest=str(manifest.path),
        split=split,
        samples=len(manifest),
        seed=seed,
        fill=condition.fill,
        exact=clean.exact,
        efficiency_residual=max(clean.residual, attacked.residual),
        unchanged=attacked.untouched,
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
                noises=[summarise_corruption(step, m.name) for step in plan.noises(m.name)],
                missing=1 - plan.present[:, i].mean(),
                snr=summarise_snr(attacked.snr[:, i], clean.present[:, i])
                if m.kind == "audio" and plan.noises(m.name)
                else None,
                clean=before[i],
                attacked=after[i],
            )
            for i, m in enumerate(session.modalities)
        ],
        classes=compare_classes(session.classes, clean, attacked),
    )


def hash_bytes(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def summarise_corruption(step: Step, modality: str) -> AppliedCorruption:
    strength, unit = step.strength(modality)
    return AppliedCorruption(
        name=step.name, level=step.level, strength=strength, unit=unit, probability=step.probability
    )


def summarise_snr(snr: NDArray[np.float64], here: NDArray[np.bool_]) -> SnrSummary:
    """The ratios of one modality (samples,) where it is here."""
    changed = snr[here & ~np.isnan(snr)]
    median, low, high = (
        np.quantile(changed, [0.5, 0.05, 0.95], method="nearest") if len(changed) else [float("nan")] * 3
    )
    return SnrSummary(median=median, low=low, high=high, changed=len(changed), unchanged=int(here.sum()) - len(changed))


def scores(records: Records) -> Scores:
    p, y = records.probabilities, records.target
    return Scores(
        accuracy=proportion(int(classification.correctness(p, y).sum()), len(y)),
        macro_f1=classification.macro_f1(p, y),
        nll=classification.nll(p, y),
        ece=classification.ece(p, y),
        brier=classification.brier(p, y),
    )


def proportion(successes: int, n: int) -> Estimate:
    """A share with Wilson's interval; no number where there is nothing to count."""
    if n == 0:
        return Estimate(value=float("nan"), low=float("nan"), high=float("nan"))
    low, high = statistics.wilson(successes, n)
    return Estimate(value=successes / n, low=low, high=high)


def share_right(right: ArrayLike, sampling: Sampling) -> Estimate:
    """The share of 0/1 values (sample,) with Wilson's interval; no number where there is nothing to count."""
    x = np.asarray(right, np.float64)
    if not len(x):
        return NOTHING
    low, high = sampling.proportion(x)
    return Estimate(value=x.mean(), low=low, high=high)


def estimate_means(values: ArrayLike, sampling: Sampling) -> list[Estimate]:
    """The column means of (samples, column), or the one of (samples,), with Student's intervals."""
    found = sampling.mean(values)
    return [Estimate(value=v, low=low, high=h) for v, low, h in zip(*(np.atleast_1d(x) for x in found), strict=True)]


def contributions(names: Sequence[str], records: Records, seed: int, sampling: Sampling) -> list[Contribution]:
    """What each modality contributes under one condition. Leave-one-out counts samples that have the modality."""
    right = classification.correctness(records.probabilities, records.target)
    phi, log_phi = (estimate_means(x, sampling) for x in (records.phi_accuracy, records.phi_log_probability))
    shares, log_shares = (
        certain_shares(x, seed, sampling) for x in (records.phi_accuracy, records.phi_log_probability)
    )
    found = []
    for m in range(len(names)):
        rows = records.present[:, m]
        some, lost = sampling.take(rows), (right - records.leave_one_out_correct[:, m])[rows]
        found.append(
            Contribution(
                present=rows.mean(),
                unimodal_accuracy=share_right(records.unimodal_correct[rows, m], some),
                leave_one_out=estimate_means(lost, some)[0] if rows.any() else NOTHING,
                shapley_accuracy=phi[m],
                shapley_accuracy_share=shares[m],
                shapley_log_probability=log_phi[m],
                shapley_log_probability_share=log_shares[m],
            )
        )
    return found


def certain_shares(phi: NDArray[np.float64], seed: int, sampling: Sampling) -> list[Estimate]:
    """Shares by modality of the values (samples, modality), with bootstrap intervals; no numbers where their sum,
    v(all) - v(empty), is not certainly positive: of nothing there are no shares."""
    if not estimate_means(phi.sum(1), sampling)[0].low > 0:
        return [NOTHING] * phi.shape[1]
    drawn = contribution.shares(sampling.resampled_means(phi, seed=seed))
    low, high = np.nanquantile(drawn, [0.025, 0.975], axis=0)
    bounds = zip(contribution.shares(phi.mean(0)), low, high, strict=True)
    return [Estimate(value=value, low=least, high=most) for value, least, most in bounds]


def compare_classes(classes: Sequence[str], clean: Records, attacked: Records) -> list[ClassResult]:
    before, after = (classification.class_scores(r.probabilities, r.target) for r in (clean, attacked))
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
