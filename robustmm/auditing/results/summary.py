"""One condition's records, against the clean ones, as numbers with intervals."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustmm.auditing.plan import Columns, Reading
from robustmm.auditing.results.condition import (
    BestUnimodal,
    CalibrationBin,
    ConditionResult,
    Emap,
    Group,
    ModalityUnderCondition,
)
from robustmm.auditing.results.subsets import dropping_rate, interaction_indices, spoiling_rate
from robustmm.auditing.spec import hash_content
from robustmm.conditions.plan import Plan
from robustmm.evaluation.attack import (
    NOTHING,
    contributions,
    estimate_means,
    share_right,
    summarise_corruption,
    summarise_snr,
)
from robustmm.evaluation.attack_result import Change, Estimate
from robustmm.evaluation.records import Array, Records
from robustmm.metrics import classification
from robustmm.metrics.classification import correctness, sample_nll
from robustmm.metrics.influence import Influenced, auroc_influence, macro_f1_influence
from robustmm.metrics.interaction import uniform_shares
from robustmm.metrics.noninferiority import Retention, judge_samples
from robustmm.metrics.power import minimum_detectable_effect
from robustmm.metrics.robustness import evenness
from robustmm.metrics.sampling import Sampling
from robustmm.metrics.selective import aurc
from robustmm.modalities import Modality


def summarise_condition(plan: Plan, records: Records, clean: Records, reading: Reading) -> ConditionResult:
    """Everything but what needs the other conditions: `adjusted` and `effect` stay those of one test alone."""
    p, y, sampling, seed = records.probabilities, records.target, reading.sampling, reading.seed
    right, before = correctness(p, y), correctness(clean.probabilities, y)
    change = sampling.difference(right, before, seed=seed)
    surprise = sample_nll(p, y)
    nll_change = sampling.difference(surprise, sample_nll(clean.probabilities, y), seed=seed)
    discordant = float((right != before).mean())
    kept = judge_samples(right, before, reading.share, sampling)
    effective = len(y) / max(1.0, np.nan_to_num(sampling.design_effect(right - before), nan=1.0))
    modalities = list(plan.modalities.values())
    names = [m.name for m in modalities]
    lost = {
        m.name: float(1 - plan.present[:, i].mean()) for i, m in enumerate(modalities) if not plan.present[:, i].all()
    }
    return ConditionResult(
        name=plan.condition.name,
        sha256=hash_content(plan.define()),
        missing=lost,
        fill=plan.condition.fill,
        accuracy=share_right(right, sampling),
        change=Change(**change._asdict()),
        adjusted_p=change.p,
        effect="none",
        minimum_detectable_effect=minimum_detectable_effect(max(1, int(effective)), discordant or 1 / len(y)),
        retention=_estimate_retention(kept),
        outcome=kept.verdict.outcome,
        samples_to_decide=kept.verdict.samples,
        macro_f1=_estimate_score(macro_f1_influence(p, y), sampling),
        auroc=_area_under_roc(p, y, sampling),
        nll=estimate_means(surprise, sampling)[0],
        nll_change=Change(**nll_change._asdict()),
        ece=classification.ece(p, y),
        calibration=[
            CalibrationBin(share=share, confidence=confidence, accuracy=hit)
            for share, confidence, hit in zip(*classification.calibration_bins(p, y), strict=True)
        ],
        brier=classification.brier(p, y),
        aurc=aurc(p, y),
        flip_rate=share_right(p.argmax(1) != clean.probabilities.argmax(1), sampling),
        unchanged=records.untouched,
        efficiency_residual=records.residual,
        modalities=_summarise_modalities(plan, modalities, records, clean, right, reading),
        interactions=interaction_indices(names, records, sampling),
        emap=_additive_projection(right, records),
        best_unimodal=_best_unimodal(names, right, records, reading),
        evenness=_evenness(records),
        groups=[
            _summarise_group(c, v, rows, right, before, records, reading) for c, v, rows in group_masks(reading.groups)
        ],
        design_effect=sampling.design_effect(right) if sampling.clusters is not None else math.nan,
    )


def group_masks(columns: Columns) -> list[tuple[str, str, Any]]:
    """(column, value, rows) of every group, in order of column and value."""
    return [
        (column, value, np.array([v == value for v in values]))
        for column, values in columns.items()
        for value in sorted(set(values))
    ]


def _summarise_modalities(
    plan: Plan,
    modalities: Sequence[Modality],
    records: Records,
    clean: Records,
    right: Array,
    reading: Reading,
) -> list[ModalityUnderCondition]:
    weights, names = cal_weights(records), [m.name for m in modalities]
    return [
        ModalityUnderCondition(
            **found.model_dump(),
            name=m.name,
            noises=[summarise_corruption(step, m.name) for step in plan.noises(m.name)],
            snr=summarise_snr(records.snr[:, i], clean.present[:, i])
            if m.kind == "audio" and plan.noises(m.name)
            else None,
            cal_weight=weights[i],
            spoils=spoiling_rate(i, right, records, reading.sampling),
            dropped=dropping_rate(i, records, reading.sampling),
        )
        for i, (m, found) in enumerate(
            zip(modalities, contributions(names, records, reading.seed, reading.sampling), strict=True)
        )
    ]


def cal_weights(records: Records) -> Array:
    """CAL's W (modality,) from what was recorded; see metrics.interaction.information_confidence."""
    here = records.present
    if not records.exact or not here.any():
        return np.full(here.shape[1], np.nan)
    seen, count = here.any(0), here.sum(0)
    weight = np.zeros(here.shape[1])
    for part in (records.information, records.certainty):
        weight[seen] += 0.5 * uniform_shares(np.where(here, part, 0).sum(0)[seen] / count[seen])
    return weight


def _estimate_score(found: Influenced, sampling: Sampling) -> Estimate:
    """A score in [0, 1] with Student's interval, cut to that range."""
    value, low, high = sampling.interval(*found)
    return Estimate(value=float(value), low=float(np.clip(low, 0, 1)), high=float(np.clip(high, 0, 1)))


def _area_under_roc(p: Array, y: NDArray[np.int64], sampling: Sampling) -> Estimate | None:
    if p.shape[1] != 2:
        return None
    return _estimate_score(auroc_influence(p[:, 1], y == 1), sampling) if 0 < y.sum() < len(y) else NOTHING


def _estimate_retention(kept: Retention) -> Estimate:
    return Estimate(value=kept.value, **kept.interval._asdict())


def _additive_projection(right: Array, records: Records) -> Emap | None:
    rows = ~np.isnan(records.additive)
    if not rows.any():
        return None
    full, additive = float(right[rows].mean()), float(records.additive[rows].mean())
    return Emap(samples=int(rows.sum()), accuracy=full, additive_accuracy=additive, gap=full - additive)


def _best_unimodal(names: Sequence[str], right: Array, records: Records, reading: Reading) -> BestUnimodal | None:
    """The modality of the highest unimodal accuracy among all samples, those without it counted as wrong."""
    alone = np.nan_to_num(records.unimodal_correct).mean(0)
    best = int(alone.argmax())
    rows = records.present[:, best]
    if len(names) < 2 or not rows.any():
        return None
    solo = records.unimodal_correct[rows, best]
    change = reading.sampling.take(rows).difference(right[rows], solo, seed=reading.seed)
    return BestUnimodal(
        modality=names[best],
        samples=int(rows.sum()),
        accuracy=solo.mean(),
        change=Change(**change._asdict()),
        negative_transfer=change.value < 0 and change.p < 0.05,
    )


def _evenness(records: Records) -> float:
    """Over all configurations of missing modalities; NaN where there are none, or none gains over the prior."""
    if records.subset_correct.shape[1] < 4:
        return float("nan")
    found = evenness(records.subset_correct.mean(0, dtype=np.float64))
    return float("nan") if found is None else found


def _summarise_group(
    column: str, value: str, rows: Any, right: Array, before: Array, records: Records, reading: Reading
) -> Group:
    some = reading.sampling.take(rows)
    return Group(
        column=column,
        value=value,
        samples=int(rows.sum()),
        clusters=None if some.clusters is None else some.units(int(rows.sum())),
        accuracy=share_right(right[rows], some),
        change=Change(**some.difference(right[rows], before[rows], seed=reading.seed)._asdict()),
        retention=_estimate_retention(judge_samples(right[rows], before[rows], reading.share, some)),
        contributions=list(records.phi_accuracy[rows].mean(0)),
    )
