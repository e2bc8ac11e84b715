"""A corruption that kills its process once, where the environment says so."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np

from robustmm.corruptions.base import Corruption
from robustmm.corruptions.features import gaussian

MARK = "ROBUSTMM_TEST_MARK"
"""Names a file that says that a process was killed; without it none is."""


def fatal(z: Any, sigma: float, rng: np.random.Generator) -> Any:
    mark = os.environ.get(MARK)
    if mark and not os.path.exists(mark):
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return gaussian.function(z, sigma, rng)


Fatal = Corruption("fatal:Fatal", "series", gaussian.units, gaussian.table, gaussian.zero, "ours", fatal)
