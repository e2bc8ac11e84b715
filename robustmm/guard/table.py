"""The examples in columns: what the graph tells of each before the decision, and what was done to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustmm.guard.examples import (
    NUMBERS,
    Encode,
    Encoded,
    combine,
    corrupt_modality,
    count_signals,
    list_corruptions,
    mismatch,
)
from robustmm.guard.graph.answers import Answers
from robustmm.guard.reliability import list_subsets
from robustmm.guard.subjects.subject import Subject
from robustmm.modalities import Modality
from robustmm.progress import Reporter
from robustmm.runtime.graph import extract_part
from robustmm.runtime.runner import Runner

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
ROWS = 1024
"""Examples that go through the graph at once."""


@dataclass(frozen=True)
class Table:
    """Examples in columns. `faults` has a number of `known` faults by modality, -1 where it is clean."""

    rows: NDArray[np.int64]
    faults: NDArray[np.int64]
    features: NDArray[np.float32]  # (example, modality, feature)
    answers: NDArray[np.float32]  # (example, subset, class)
    present: Mask  # (example, modality)
    target: NDArray[np.int64]

    def take(self, kept: Mask) -> "Table":
        return Table(*(getattr(self, name)[kept] for name in self.__dataclass_fields__))

    @property
    def clean(self) -> Mask:
        return np.asarray((self.faults < 0).all(1))

    def true(self) -> Array:
        """(example, subset): the probability of the true class."""
        return np.asarray(np.take_along_axis(self.answers, self.target[:, None, None], 2)[..., 0], np.float64)

    def right(self) -> Array:
        """(example, subset): 1 where the answer is right."""
        return np.asarray(self.answers.argmax(-1) == self.target[:, None], np.float64)


def corrupt_all(
    modalities: Sequence[Modality],
    ids: Sequence[str],
    signals: Mapping[str, Sequence[Any]],
    clean: Mapping[str, NDArray[np.float32]],
    present: NDArray[np.bool_],
    encode: Encode,
    tell: Reporter,
) -> list[list[Encoded]]:
    """The faults of every modality."""
    counts = {m.name: len(list_corruptions(m)) for m in modalities}
    here = {m.name: int(present[:, k].sum()) for k, m in enumerate(modalities)}
    total = sum(n * count_signals(here[name], n) for name, n in counts.items())
    found = []
    with tell.stage("corrupting valid", total) as advance:
        for k, m in enumerate(modalities):
            made = corrupt_modality(m, ids, signals[m.name], encode, advance)
            swapped = count_signals(here[m.name], counts[m.name])
            found.append([*made, mismatch(m.name, clean[m.name], present[:, k], swapped)])
    return found


def build_table(
    subject: Subject,
    answers: Answers,
    encoded: Sequence[Sequence[Encoded]],
    clean: Mapping[str, NDArray[np.float32]],
    present: NDArray[np.bool_],
    target: NDArray[np.int64],
    tell: Reporter,
) -> Table:
    """Examples through the graph, as far as the decision."""
    names = subject.session.names
    S = len(list_subsets(len(names)))
    classes = int(target.max()) + 1
    chosen = combine(encoded, len(target), min(subject.examples, max(len(target), NUMBERS // (S * max(2, classes)))))
    place = [[{int(row): i for i, row in enumerate(each.rows)} for each in faults] for faults in encoded]
    rows = np.array([example.row for example in chosen])
    faults = np.array([example.faults for example in chosen])
    given = [subject.presence, *(f"z.{n}" for n in names)]
    runner = Runner(extract_part(subject.model, given, [answers.features, answers.probabilities]))
    features, probabilities = [], []
    size = min(ROWS, subject.session.decodes)
    with tell.stage("asking every subset", len(rows)) as advance:
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            feed: dict[str, NDArray[Any]] = {subject.presence: present[rows[part]]}
            for m, name in enumerate(names):
                z = clean[name][rows[part]].copy()
                for i, (row, fault) in enumerate(zip(rows[part], faults[part, m], strict=True)):
                    if fault >= 0:
                        z[i] = encoded[m][fault].z[place[m][fault][int(row)]]
                feed[f"z.{name}"] = z
            found = runner.run(feed)
            features.append(found[0])
            probabilities.append(found[1])
            advance(len(found[0]))
    return Table(rows, faults, np.concatenate(features), np.concatenate(probabilities), present[rows], target[rows])
