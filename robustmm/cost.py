"""What a suite's conditions cost on a model: encodings and decodings per sample, and seconds measured on a few."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from robustmm import contribution
from robustmm.conditions import Condition
from robustmm.evaluate import ORDERS
from robustmm.manifest import Manifest
from robustmm.plan import Plan
from robustmm.reading import OnBad, fed, read
from robustmm.session import Session

PROBE = 16
"""Samples an encoder is timed on; each condition's corruption is timed on one."""


@dataclass(frozen=True)
class Cost:
    """`encodings` by modality and `decodings` are per sample, the clean pass included."""

    conditions: int
    encodings: dict[str, int]
    decodings: int
    samples: int
    seconds: float


def cost(session: Session, manifest: Manifest, conditions: Sequence[Condition], on_bad: OnBad = "error") -> Cost:
    """The cost of `conditions` and the clean pass over the rows of `manifest`."""
    M = len(session.names)
    some = manifest.take(list(range(min(PROBE, len(manifest)))))
    began = time.perf_counter()
    samples = read(some, session.modalities, on_bad)
    spent = time.perf_counter() - began
    inputs = {m.name: fed(m, samples.signals[m.name]) for m in session.modalities}
    z = session.embeddings(inputs, len(some))  # the first call allocates
    encoding = {}
    for name, x in inputs.items():
        began = time.perf_counter()
        session.embed(name, x)
        encoding[name] = time.perf_counter() - began
        spent += encoding[name]
    began = time.perf_counter()
    session.decode(z, np.ones((len(some), M), bool))
    coalitions = 2**M if contribution.EXACT_LIMIT >= M else 2 * M + 2 + ORDERS * M
    decoding = (time.perf_counter() - began) * coalitions
    spent += decoding * (1 + len(conditions))
    encodings = dict.fromkeys(session.names, 1)
    for condition in conditions:
        plan = Plan(condition, session.modalities, some, 0, on_bad)
        for m in session.modalities:
            if m.name in plan.touched:
                encodings[m.name] += 1
                strike = plan.struck(m, slice(0, len(some)))
                for row in (0, len(some) - 1):  # the first call imports what few corruptions need
                    began = time.perf_counter()
                    strike(some.ids[row], samples.signals[m.name][row], row)
                spent += (time.perf_counter() - began) * len(some) + encoding[m.name]
    decodings = coalitions * (1 + len(conditions))
    return Cost(len(conditions), encodings, decodings, len(manifest), spent * len(manifest) / len(some))
