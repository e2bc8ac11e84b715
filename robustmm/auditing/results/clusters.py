"""Clusters of samples, such as speakers or videos: how they are named, and what looks like them."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from robustmm.auditing.plan import Reading
from robustmm.auditing.results.schema import Clusters
from robustmm.data.manifest import Manifest
from robustmm.errors import DataError
from robustmm.evaluation.records import Records
from robustmm.metrics.classification import correctness
from robustmm.metrics.sampling import Sampling
from robustmm.modalities.base import TABLE_COLUMNS, Modality

NAMES = re.compile(
    r"(^|[_\W])(subject|speaker|patient|person|participant|actor|user|site|hospital|scanner|camera|device|session|scene"
    r"|recording|video|clip|source|group|location)s?([_\W]|id|$)",
    re.IGNORECASE,
)
"""What columns of clusters are called."""
CLEAR_EFFECT = 1.5
"""Design effect of clean correctness from which a column is called one of clusters whatever its name."""
SHUFFLES = 200


def read_clusters(rows: Manifest, column: str) -> tuple[Sampling, Clusters | None]:
    """How the rows were drawn: in the clusters that `column` names, independently where it is empty. Raises DataError
    for a column that the manifest lacks, an empty cell in it, or one cluster only."""
    if not column:
        return Sampling(), None
    values = rows.column(column)
    if "" in values:
        raise DataError(
            f'{rows.path} has no "{column}" for sample "{rows.ids[values.index("")]}"; --cluster needs one for each'
        )
    names, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise DataError(f'{rows.path} has one "{column}" only, expected at least 2 clusters')
    found = Clusters(column=column, number=len(names), smallest=int(counts.min()), largest=int(counts.max()))
    return Sampling(index.astype(np.int64)), found


def doubt_sampling(rows: Manifest, modalities: Sequence[Modality], clean: Records, reading: Reading) -> list[str]:
    """A sentence for the column of metadata that looks most like one of clusters: called so, or the clean answers of
    its values are more alike than by chance. A column that goes with the label is none.
    Where clusters were named nothing is doubted."""
    if reading.sampling.clusters is not None:
        return []
    inputs = {column for m in modalities for column in m.column_names}
    right = correctness(clean.probabilities, clean.target)
    found = []
    for column, values in rows.columns.items():
        if column in inputs or column in TABLE_COLUMNS:
            continue
        names, index = np.unique(values, return_inverse=True)
        if not 2 <= len(names) <= len(values) / 2 or _follows(rows.labels, values) or _follows(values, rows.labels):
            continue
        effect = Sampling(index).design_effect(right)
        if not effect > 1 or not (NAMES.search(column) or effect >= CLEAR_EFFECT):
            continue
        if NAMES.search(column) or _chance(index, right, effect, reading.seed) < 0.01:
            found.append((effect, column, len(names)))
    if not found:
        return []
    effect, column, number = max(found)
    return [
        f'the {len(rows)} samples come from {number} values of "{column}", whose samples may be alike (design effect '
        f"{effect:.1f}): intervals take them as independent; to take the values as what was drawn: --cluster {column}"
    ]


def _follows(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether each value of the first goes with one value of the second."""
    return len(set(zip(first, second, strict=True))) == len(set(first))


def _chance(index: NDArray[np.intp], right: NDArray[np.float64], effect: float, seed: int) -> float:
    """How often the same clusters of shuffled answers have this design effect."""
    rng = np.random.default_rng(seed)
    drawn = [Sampling(index).design_effect(rng.permutation(right)) for _ in range(SHUFFLES)]
    return float(np.mean([each >= effect for each in drawn]))
