"""What a suite's conditions cost on a model: encodings and decodings per sample, and seconds measured on a few."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from robustmm.conditions.condition import Condition
from robustmm.conditions.plan import Plan
from robustmm.data.loading import OnBad, collate_signals, read_samples
from robustmm.data.manifest import Manifest
from robustmm.evaluation.subsets import ORDERS
from robustmm.metrics import contribution
from robustmm.runtime.session import Session

T = TypeVar("T")

TIMED_SAMPLES = 16
"""Samples an encoder is timed on; each condition's corruption is timed on one."""


@dataclass(frozen=True)
class Cost:
    """`encodings` by modality and `decodings` are per sample, the clean pass included."""

    conditions: int
    encodings: dict[str, int]
    decodings: int
    samples: int
    seconds: float


def estimate_cost(
    session: Session, manifest: Manifest, conditions: Sequence[Condition], on_bad: OnBad = "error"
) -> Cost:
    """The cost of `conditions` and the clean pass over the rows of `manifest`."""
    M = len(session.names)
    some = manifest.take(list(range(min(TIMED_SAMPLES, len(manifest)))))
    samples, spent = _time_call(lambda: read_samples(some, session.modalities, on_bad))
    inputs = {m.name: collate_signals(m, samples.signals[m.name]) for m in session.modalities}
    z = session.embeddings(inputs, len(some))  # the first call allocates
    encoding = {name: _time_call(partial(session.embed, name, x))[1] for name, x in inputs.items()}
    decoding = _time_call(lambda: session.decode(z, np.ones((len(some), M), bool)))[1]
    coalitions = 2**M if contribution.EXACT_LIMIT >= M else 2 * M + 2 + ORDERS * M
    parts = {(name, "") for name in session.names}
    spent += sum(encoding.values())
    for condition in conditions:
        plan = Plan(condition, session.modalities, some, 0, on_bad)
        for m in session.modalities:
            if (part := (m.name, plan.key(m.name))) not in parts:
                parts.add(part)
                corrupter = plan.build_corrupter(m)
                for row in (0, len(some) - 1):  # the first call imports packages that few corruptions need
                    seconds = _time_call(partial(corrupter, row, some.ids[row], samples.signals[m.name][row]))[1]
                spent += seconds * len(some) + encoding[m.name]
    decodings = coalitions * (1 + len(conditions))
    encodings = {name: sum(part[0] == name for part in parts) for name in session.names}
    spent += decoding * decodings
    return Cost(len(conditions), encodings, decodings, len(manifest), spent * len(manifest) / len(some))


def _time_call(work: Callable[[], T]) -> tuple[T, float]:
    began = time.perf_counter()
    return work(), time.perf_counter() - began
