"""The noise floor: how far repeats of the clean run differ."""

import numpy as np

from robustmm.auditing.results.schema import NoiseFloor
from robustmm.auditing.spec import OpenedSpec
from robustmm.auditing.store import Store, read_cell, write_cell
from robustmm.conditions.condition import Condition
from robustmm.progress import Stage

REPEATS = 3


def keep_noise_floor(work: OpenedSpec, store: Store, stage: Stage) -> NoiseFloor:
    """The noise floor, measured where the store has none."""
    path = store.path(work.floor_key, ".json")
    found = read_cell(path, NoiseFloor.model_validate_json)
    if found is None:
        with stage("noise floor", 1) as advance:
            content = measure_noise_floor(work).model_dump_json().encode()
            advance(1)
        write_cell(path, content)
        found = NoiseFloor.model_validate_json(content)
    return found


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
