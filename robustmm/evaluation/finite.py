"""Answers that are no numbers, named by the first sample that has one."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from robustmm.errors import DataError
from robustmm.runtime.session import Session


def check_finite(
    session: Session, p: NDArray[np.float64], asked: NDArray[np.bool_], ids: Sequence[str], condition: str = ""
) -> None:
    """Raises DataError where an answer is NaN: `p` (..., samples, class), `asked` (..., samples) false where nothing is
    left to answer from, and the prior stands for the answer."""
    bad = (asked & ~np.isfinite(p).all(-1)).reshape(-1, len(ids)).any(0)
    if bad.any():
        under = f' under the condition "{condition}"' if condition else ""
        sample = f' to sample "{ids[int(bad.argmax())]}"' if ids[int(bad.argmax())] else ""
        raise DataError(
            f"{session.path} should answer with numbers, its answer{sample}{under} is NaN or infinite; where the input "
            "is a number (see: robustmm data check), the model's weights or its scaling are at fault"
        )
