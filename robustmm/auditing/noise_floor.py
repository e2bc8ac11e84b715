"""The noise floor: how far repeats of the clean run differ."""

import numpy as np

from robustmm.auditing.results.schema import NoiseFloor
from robustmm.auditing.spec import OpenedSpec
from robustmm.conditions.condition import Condition

REPEATS = 3


def measure_noise_floor(work: OpenedSpec) -> NoiseFloor:
    """Runs the first chunk clean several times, each time read, encoded and decoded anew."""
    evaluation = work.build_evaluation([Condition("clean")])
    rows = work.chunks[0]
    runs = [next(evaluation.records(rows, evaluation.read(rows), [0]))[1].probabilities for _ in range(REPEATS)]
    spread = np.max(runs, axis=0) - np.min(runs, axis=0)
    answers = np.argmax(runs, axis=-1)
    return NoiseFloor(
        samples=len(rows),
        repeats=REPEATS,
        probability_difference=spread.max(),
        answers_changed=(answers != answers[0]).any(0).mean(),
    )
