"""A run's log.csv by what its columns are of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robustmm.config.recipe import SELECTED
from robustmm.errors import DataError
from robustmm.runs import Run

Column = NDArray[np.float64]
ALONE, CONTRIBUTION = "valid_accuracy_", "contribution_"


@dataclass(frozen=True)
class Log:
    """Columns (epochs,), NaN where there is no number: losses by term, then scores on the valid split."""

    epochs: NDArray[np.int64]
    rate: Column
    losses: dict[str, Column]
    accuracy: Column
    nll: Column
    alone: dict[str, Column]
    """Accuracy of each modality alone."""
    contributions: dict[str, Column]
    """Shapley shares of the log-probability of the true class; empty above 8 modalities."""

    selected: dict[str, Column]
    """What `train.select` may name; accuracy alone in the log of an older robustmm."""

    def best_epoch(self, select: str = "clean") -> int:
        """The epoch that training keeps: the highest score, then lowest log-loss, then the first."""
        score = self.selected.get(select, self.accuracy)
        return int(self.epochs[np.lexsort((self.epochs, self.nll, -score))[0]])


def read_log(run: Run) -> Log:
    """The log of a run, finished or not. Raises DataError where it has no whole epoch or is damaged."""
    if not run.log_file.exists():
        raise DataError(f"{run.folder} should hold a log.csv, found none: no epoch of it has ended yet")
    found = run.log()
    names = list(found)
    wanted = ("epoch", "learning_rate", "valid_accuracy", "valid_nll")
    if lacking := [name for name in wanted if name not in found]:
        raise DataError(f"{run.log_file} is damaged: it has no column {lacking[0]}")
    if names[:2] != list(wanted[:2]) or not np.array_equal(found["epoch"], np.arange(1, len(found["epoch"]) + 1)):
        raise DataError(
            f"{run.log_file} is damaged: its first columns should be epoch, 1, 2, 3, ..., and learning_rate"
        )
    scores = names.index("valid_accuracy")
    after = names[scores + 2 :]
    return Log(
        epochs=found["epoch"].astype(np.int64),
        rate=found["learning_rate"],
        losses={name: found[name] for name in names[2:scores]},
        accuracy=found["valid_accuracy"],
        nll=found["valid_nll"],
        alone={name.removeprefix(ALONE): found[name] for name in after if name.startswith(ALONE)},
        selected={select: found[name] for select, name in SELECTED.items() if name in found},
        contributions={name.removeprefix(CONTRIBUTION): found[name] for name in after if name.startswith(CONTRIBUTION)},
    )
