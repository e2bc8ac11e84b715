"""What each subset of the modalities answers, and what modalities do to each other's answers."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from robustmm.auditing.results.condition import Interaction, SubsetAccuracy
from robustmm.evaluation.attack import estimate_means, share_right
from robustmm.evaluation.attack_result import Estimate
from robustmm.evaluation.records import Array, Records
from robustmm.metrics.contribution import subset_masks
from robustmm.metrics.sampling import Sampling


def subset_accuracies(names: Sequence[str], records: Records, sampling: Sampling) -> list[SubsetAccuracy]:
    """Accuracy from every subset of the modalities, the empty set first; none where they were sampled."""
    if not records.subset_correct.shape[1]:
        return []
    values = estimate_means(records.subset_correct[:, 0], sampling)
    values += [share_right(column, sampling) for column in records.subset_correct.T[1:]]
    masks = subset_masks(len(names))
    return [
        SubsetAccuracy(modalities=[n for n, inside in zip(names, mask, strict=True) if inside], accuracy=value)
        for mask, value in zip(masks, values, strict=True)
    ]


def spoiling_rate(modality: int, right: Array, records: Records, sampling: Sampling) -> Estimate:
    """How often samples that have a modality and another are right without it and wrong with it."""
    rows = records.present[:, modality] & (records.present.sum(1) > 1)
    without = np.nan_to_num(records.leave_one_out_correct[rows, modality])
    return share_right((without == 1) & (right[rows] == 0), sampling.take(rows))


def dropping_rate(modality: int, records: Records, sampling: Sampling) -> Estimate | None:
    """How often a guard drops a modality that is there; None without a guard."""
    if not records.used.shape[1]:
        return None
    rows = records.present[:, modality]
    return share_right(~records.used[rows, modality], sampling.take(rows))


def interaction_indices(names: Sequence[str], records: Records, sampling: Sampling) -> list[Interaction]:
    if not records.exact or len(names) < 2:
        return []
    values = estimate_means(records.interaction, sampling)
    return [
        Interaction(modalities=(names[i], names[j]), value=value, needed=needed_rate(i, j, records, sampling))
        for (i, j), value in zip(combinations(range(len(names)), 2), values, strict=True)
    ]


def needed_rate(first: int, second: int, records: Records, sampling: Sampling) -> Estimate:
    """How often samples that have two modalities are right from the two and from neither alone."""
    rows = records.present[:, first] & records.present[:, second]
    together = records.subset_correct[rows, (1 << first) | (1 << second)]
    alone = records.unimodal_correct[rows][:, [first, second]]
    return share_right((together == 1) & (alone == 0).all(1), sampling.take(rows))
