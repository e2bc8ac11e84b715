"""How the accuracy of two audits differs on the same samples, from the records of both."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from robustmm.auditing.gates.measure import Part
from robustmm.auditing.plan import Reading
from robustmm.auditing.store import RECORDS
from robustmm.metrics.noninferiority import estimate_difference
from robustmm.metrics.unpaired import Ranged


@dataclass(frozen=True)
class PairedRecords:
    """The records of an audit in its folder, and how they are read."""

    folder: Path
    reading: Reading

    def compare(self, part: Part, baseline: Path, against: Part) -> Ranged | None:
        """By how much accuracy is lower than in the audit whose results are `baseline`; None where the records of both
        are not there, or are not those of the results."""
        ours = read_right(self.folder / RECORDS, part)
        theirs = read_right(baseline.with_name(RECORDS), against)
        if ours is None or theirs is None or ours.keys() != theirs.keys():
            return None
        here, there = (np.array([right[sample] for sample in ours], np.float64) for right in (ours, theirs))
        sampling = self.reading.sampling
        if part.group:
            rows: NDArray[np.bool_] = np.array(self.reading.groups[part.group.column]) == part.group.value
            here, there, sampling = here[rows], there[rows], sampling.take(rows)
        value, (low, high) = estimate_difference(there, here, sampling)
        return Ranged(value, low, high)


def read_right(path: Path, part: Part) -> dict[str, bool] | None:
    """Whether each sample's answer is right, by id, in the order of the manifest; None where the file cannot be read,
    or its accuracy is another than the result's."""
    columns, accuracy = ["id", "label", "answer"], part.condition.accuracy.value
    if not path.is_file():
        return None
    try:
        table = pyarrow.parquet.read_table(path, columns=columns, filters=[("condition", "=", part.condition.name)])
        found = table.to_pydict()
    except (OSError, pyarrow.ArrowException, ValueError):
        return None
    right = [label == answer for label, answer in zip(found["label"], found["answer"], strict=True)]
    if not right or not abs(float(np.mean(right)) - accuracy) < 1e-5:
        return None
    return dict(zip(found["id"], right, strict=True))
