"""One condition's records, against the clean ones, as numbers with intervals."""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from robustmm.auditing.results.schema import (
    BestUnimodal,
    ConditionResult,
    Emap,
    Group,
    Interaction,
    ModalityUnderCondition,
)
from robustmm.conditions.plan import Plan
from robustmm.evaluation.attack import bootstrap_means, contributions, proportion, summarise_corruption, summarise_snr
from robustmm.evaluation.attack_result import Change, Estimate
from robustmm.evaluation.records import Array, Records
from robustmm.metrics import classification, statistics
from robustmm.metrics.classification import correctness, sample_nll
from robustmm.metrics.interaction import uniform_shares
from robustmm.metrics.noninferiority import count_pairs, judge_retention, retention_interval
from robustmm.metrics.power import minimum_detectable_effect
from robustmm.metrics.robustness import evenness
from robustmm.metrics.selective import aurc
from robustmm.modalities import Modality

Columns = dict[str, list[str]]
"""What samples are grouped by: a column of the manifest, a value a sample."""


def summarise_condition(
    plan: Plan, records: Records, clean: Records, groups: Columns, seed: int, share: float
) -> ConditionResult:
    """Everything but what needs the other conditions: `adjusted` and `effect` stay those of one test alone. `share` of
    clean accuracy is what has to be kept."""
    p, y = records.probabilities, records.target
    right, before = correctness(p, y), correctness(clean.probabilities, y)
    change = statistics.paired_bootstrap(right, before, seed=seed)
    nll_change = statistics.paired_bootstrap(sample_nll(p, y), sample_nll(clean.probabilities, y), seed=seed)
    discordant = float((right != before).mean())
    flips = int((p.argmax(1) != clean.probabilities.argmax(1)).sum())
    pairs = count_pairs(right, before)
    kept, verdict = retention_interval(pairs), judge_retention(pairs, share)
    modalities = list(plan.modalities.values())
    lost = {
        m.name: float(1 - plan.present[:, i].mean()) for i, m in enumerate(modalities) if not plan.present[:, i].all()
    }
    return ConditionResult(
        name=plan.condition.name,
        missing=lost,
        fill=plan.condition.fill,
        accuracy=proportion(int(right.sum()), len(y)),
        change=Change(**change._asdict()),
        adjusted_p=change.p,
        effect="none",
        minimum_detectable_effect=minimum_detectable_effect(len(y), discordant or 1 / len(y)),
        retention=Estimate(value=right.mean() / before.mean() if before.any() else math.nan, **kept._asdict()),
        outcome=verdict.outcome,
        samples_to_decide=verdict.samples,
        macro_f1=classification.macro_f1(p, y),
        nll=classification.nll(p, y),
        nll_change=Change(**nll_change._asdict()),
        ece=classification.ece(p, y),
        brier=classification.brier(p, y),
        aurc=aurc(p, y),
        flip_rate=proportion(flips, len(y)),
        unchanged=records.untouched,
        efficiency_residual=records.residual,
        modalities=_summarise_modalities(plan, modalities, records, clean, seed),
        interactions=_interaction_indices([m.name for m in modalities], records, seed),
        emap=_additive_projection(right, records),
        best_unimodal=_best_unimodal([m.name for m in modalities], right, records, seed),
        evenness=_evenness(records),
        groups=[_summarise_group(c, v, rows, right, records) for c, v, rows in group_masks(groups)],
    )


def group_masks(columns: Columns) -> list[tuple[str, str, Any]]:
    """(column, value, rows) of every group, in order of column and value."""
    return [
        (column, value, np.array([v == value for v in values]))
        for column, values in columns.items()
        for value in sorted(set(values))
    ]


def _summarise_modalities(
    plan: Plan, modalities: Sequence[Modality], records: Records, clean: Records, seed: int
) -> list[ModalityUnderCondition]:
    weights = cal_weights(records)
    return [
        ModalityUnderCondition(
            **found.model_dump(),
            name=m.name,
            noises=[summarise_corruption(step, m.name) for step in plan.noises(m.name)],
            snr=summarise_snr(records.snr[:, i], clean.present[:, i])
            if m.kind == "audio" and plan.noises(m.name)
            else None,
            cal_weight=weights[i],
        )
        for i, (m, found) in enumerate(
            zip(modalities, contributions([m.name for m in modalities], records, seed), strict=True)
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


def _interaction_indices(names: Sequence[str], records: Records, seed: int) -> list[Interaction]:
    if not records.exact or len(names) < 2:
        return []
    values = bootstrap_means(records.interaction, seed)
    return [Interaction(modalities=pair, value=v) for pair, v in zip(combinations(names, 2), values, strict=True)]


def _additive_projection(right: Array, records: Records) -> Emap | None:
    rows = ~np.isnan(records.additive)
    if not rows.any():
        return None
    full, additive = float(right[rows].mean()), float(records.additive[rows].mean())
    return Emap(samples=int(rows.sum()), accuracy=full, additive_accuracy=additive, gap=full - additive)


def _best_unimodal(names: Sequence[str], right: Array, records: Records, seed: int) -> BestUnimodal | None:
    """The modality of the highest unimodal accuracy among all samples, those without it counted as wrong."""
    alone = np.nan_to_num(records.unimodal_correct).mean(0)
    best = int(alone.argmax())
    rows = records.present[:, best]
    if len(names) < 2 or not rows.any():
        return None
    solo = records.unimodal_correct[rows, best]
    change = statistics.paired_bootstrap(right[rows], solo, seed=seed)
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


def _summarise_group(column: str, value: str, rows: Any, right: Array, records: Records) -> Group:
    return Group(
        column=column,
        value=value,
        samples=int(rows.sum()),
        accuracy=proportion(int(right[rows].sum()), int(rows.sum())),
        contributions=list(records.phi_accuracy[rows].mean(0)),
    )
