"""A hardened model against the plain one that it was made from: what its guard gains, of what could be gained."""

import os

import numpy as np
import pyarrow.parquet
from numpy.typing import NDArray

from robustmm.auditing.results.condition import ConditionResult
from robustmm.auditing.store import RECORDS
from robustmm.comparing.read import FinishedAudit
from robustmm.comparing.result import ConditionDifference, Dropping, GuardedCondition, GuardResult
from robustmm.errors import DataError

Array = NDArray[np.float64]


def has_guard(audit: FinishedAudit) -> bool:
    return any(m.dropped is not None for m in audit.result.clean.modalities)


def summarise_guard(
    plain: FinishedAudit,
    hardened: FinishedAudit,
    matched: list[tuple[ConditionResult, ConditionResult]],
    differences: list[ConditionDifference],
) -> GuardResult | None:
    """None unless the candidate alone has a guard. Conditions that corrupt nothing have nothing to gain by dropping."""
    if has_guard(plain) or not has_guard(hardened):
        return None
    found = [
        measure_guard(plain, hardened, mine, theirs, difference)
        for (mine, theirs), difference in zip(matched, differences, strict=True)
        if any(m.noises for m in mine.modalities)
    ]
    clean = [Dropping(modality=m.name, rate=m.dropped) for m in matched[0][1].modalities if m.dropped]
    headroom = sum(each.best - each.plain for each in found)
    gain = sum(each.hardened - each.plain for each in found)
    return GuardResult(
        clean_change=differences[0].difference,
        false_alarms=clean,
        headroom=headroom / len(found) if found else float("nan"),
        gain=gain / len(found) if found else float("nan"),
        share=gain / headroom if headroom > 0 else float("nan"),
        permuted_gain=float(np.mean([each.permuted_gain for each in found])) if found else float("nan"),
        conditions=found,
    )


def measure_guard(
    plain: FinishedAudit,
    hardened: FinishedAudit,
    mine: ConditionResult,
    theirs: ConditionResult,
    difference: ConditionDifference,
) -> GuardedCondition:
    """One condition. Raises DataError for records without the columns that this needs."""
    names = [m.name for m in mine.modalities]
    right = plain.read_answers(mine).right
    without = read_columns(plain, mine, [f"right_without.{n}" for n in names])
    columns = [f"{what}.{n}" for what in ("present", "used") for n in names]
    present, used = np.split(read_columns(hardened, theirs, columns).astype(bool), 2, axis=1)
    dropped = present & ~used
    without = np.where(np.isnan(without), right[:, None], without)
    corrupted = [k for k, m in enumerate(mine.modalities) if m.noises]
    return GuardedCondition(
        condition=mine.name,
        corrupted=[names[k] for k in corrupted],
        plain=mine.accuracy.value,
        hardened=theirs.accuracy.value,
        best=max(mine.accuracy.value, *(float(without[:, k].mean()) for k in corrupted)),
        dropped=[Dropping(modality=m.name, rate=m.dropped) for m in theirs.modalities if m.dropped],
        difference=difference.difference,
        permuted_gain=float((dropped.mean(0) * (without - right[:, None]).mean(0)).sum()),
    )


def read_columns(audit: FinishedAudit, condition: ConditionResult, columns: list[str]) -> Array:
    """(sample, column) in the order of the ids."""
    path = audit.folder / RECORDS
    try:
        table = pyarrow.parquet.read_table(
            os.fspath(path), columns=["id", *columns], filters=[("condition", "==", condition.name)], partitioning=None
        ).sort_by("id")
        return np.stack([np.asarray(table[name].to_numpy(), np.float64) for name in columns], 1)
    except (OSError, pyarrow.ArrowException, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{path} lacks what a hardened model is compared by; the same robustmm audit, with --fresh, makes it"
        ) from error
