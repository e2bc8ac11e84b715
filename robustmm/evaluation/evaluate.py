"""Session x manifest x conditions -> records: media are read once, each encoder runs once for every way that its
input is corrupted, and all else is decoding."""

import math
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from robustmm.conditions.condition import Condition
from robustmm.conditions.plan import Plan
from robustmm.data.loading import OnBad, Samples, collate_signals, read_samples, targets
from robustmm.data.manifest import Manifest
from robustmm.evaluation.records import Records, join_records
from robustmm.evaluation.subsets import Baseline, evaluate_subsets
from robustmm.modalities import Signal
from robustmm.runtime.session import Session

PREFETCH = 2
"""Corruption jobs in progress while an encoder runs."""
OVERLAPPED_BYTES = 2**14
"""Bytes of a signal from which its corruption runs beside the encoder: that of a smaller one is Python's own time, and
two threads of Python only wait for each other."""

EmbeddingKey = tuple[str, str]
"""A modality, and what happens to its signals: the key of its plan."""


@dataclass(frozen=True)
class Encoding:
    """The samples' embeddings of one modality, corrupted in one way."""

    z: NDArray[np.float32]
    unchanged: NDArray[np.bool_]  # (samples,): bit-identical to the clean signal
    snr: NDArray[np.float64]  # (samples,), see `signal_to_noise`; NaN for all but audio


class Evaluation:
    """Some conditions on the rows of a manifest, a few rows at a time. Noise depends on (seed, id, modality, name):
    answers do not depend on which rows come together, except for the baselines `mean` and `permuted`."""

    def __init__(
        self,
        session: Session,
        manifest: Manifest,
        conditions: Sequence[Condition],
        *,
        seed: int = 0,
        on_bad: OnBad = "error",
        baseline: Baseline = "masked",
    ) -> None:
        self.session, self.manifest, self.on_bad, self.baseline = session, manifest, on_bad, baseline
        self.plans = [Plan(condition, session.modalities, manifest, seed, on_bad) for condition in conditions]
        self.target = targets(manifest, session.classes)

    def read(self, rows: Sequence[int]) -> Samples:
        return read_samples(self.manifest.take(list(rows)), self.session.modalities, self.on_bad)

    def records(
        self, rows: Sequence[int], samples: Samples, numbers: Sequence[int], emap: bool = False
    ) -> Iterator[tuple[int, Records]]:
        """The records of these rows, whose samples were read, under the conditions of these numbers, in order. With
        `emap`, those of the clean condition have the additive projection: it says how the model fuses, and is dear."""
        here, index = samples.present(), np.array(rows, dtype=np.int64)
        wanted = {k: [(name, self.plans[k].key(name)) for name in self.session.names] for k in numbers}
        uses = Counter(part for parts in wanted.values() for part in parts)
        held: dict[EmbeddingKey, Encoding] = {}
        with ThreadPoolExecutor(PREFETCH) as pool:
            coming = self._encode(pool, wanted, rows, samples)
            for number, parts in wanted.items():
                while not held.keys() >= set(parts):  # they come in the order of first use
                    held.update([next(coming)])
                plan, chosen = self.plans[number], {part[0]: held[part] for part in parts}
                found = evaluate_subsets(
                    self.session, samples.ids, {name: e.z for name, e in chosen.items()},
                    plan.presence_mask(here, index), self.target[index], baseline=self.baseline,
                    emap=emap and plan.condition.is_clean, condition=plan.condition.name,
                )  # fmt: skip
                unchanged = [e.unchanged for name, e in chosen.items() if plan.noises(name)]
                found.untouched = int(np.all(unchanged, axis=0).sum()) if unchanged else 0
                found.snr = np.stack([e.snr for e in chosen.values()], 1)
                uses.subtract(parts)
                held = {part: e for part, e in held.items() if uses[part]}
                yield number, found

    def _encode(
        self, pool: ThreadPoolExecutor, wanted: dict[int, list[EmbeddingKey]], rows: Sequence[int], samples: Samples
    ) -> Iterator[tuple[EmbeddingKey, Encoding]]:
        """Every part once, in the order of first use; while one is encoded, the next are being corrupted."""
        plans = {part: self.plans[k] for k, parts in reversed(wanted.items()) for part in parts}
        order = list(dict.fromkeys(part for parts in wanted.values() for part in parts))
        jobs: deque[tuple[EmbeddingKey, Callable[[], list[Signal | None]]]] = deque()
        for part in [*order, *[None] * PREFETCH]:
            if part:
                work = partial(self._corrupt, plans[part], part, rows, samples)
                at_once = self.session.modality(part[0]).input_bytes >= OVERLAPPED_BYTES
                jobs.append((part, pool.submit(work).result if at_once else work))
            if len(jobs) > PREFETCH or (part is None and jobs):
                (name, key), result = jobs.popleft()
                modality, given, noisy = self.session.modality(name), samples.signals[name], result()
                unchanged = np.array([is_same_signal(a, b) for a, b in zip(noisy, given, strict=True)], dtype=bool)
                snr = np.full(len(rows), np.nan)
                if key and modality.kind == "audio":
                    snr[:] = [signal_to_noise(a, b) for a, b in zip(given, noisy, strict=True)]
                yield (name, key), Encoding(self.session.embed(name, collate_signals(modality, noisy)), unchanged, snr)

    def _corrupt(self, plan: Plan, part: EmbeddingKey, rows: Sequence[int], samples: Samples) -> list[Signal | None]:
        given = samples.signals[part[0]]
        if not part[1]:
            return given
        corrupter = plan.build_corrupter(self.session.modality(part[0]))
        return [corrupter(row, sample, signal) for row, sample, signal in zip(rows, samples.ids, given, strict=True)]


def evaluate(
    session: Session,
    manifest: Manifest,
    conditions: Sequence[Condition],
    *,
    seed: int = 0,
    batch: int = 64,
    on_bad: OnBad = "error",
    advance: Callable[[int], None] = lambda steps: None,
) -> tuple[list[Records], list[str]]:
    """Records of every condition, and the sentences of inputs that could not be read (`on_bad="missing"`). All are in
    memory at the end; an audit keeps them in files."""
    evaluation = Evaluation(session, manifest, conditions, seed=seed, on_bad=on_bad)
    collected: list[list[Records]] = [[] for _ in conditions]
    bad: list[str] = []
    for start in range(0, len(manifest), batch):
        rows = range(start, min(start + batch, len(manifest)))
        samples = evaluation.read(rows)
        bad += samples.bad
        for number, records in evaluation.records(rows, samples, range(len(conditions))):
            collected[number].append(records)
            advance(len(rows))
    return [join_records(parts) for parts in collected], bad


def signal_to_noise(clean: Signal | None, noisy: Signal | None) -> float:
    """The signal-to-noise ratio of a clip in dB, where the change counts as noise: NaN where nothing changed, and minus
    infinity where the clean clip is silent."""
    if clean is None or noisy is None or is_same_signal(clean, noisy):
        return float("nan")
    power, noise = (float(np.mean(np.square(x, dtype=np.float64))) for x in (clean, np.subtract(noisy, clean)))
    return 10 * math.log10(power / noise) if power else -math.inf


def is_same_signal(a: Signal | None, b: Signal | None) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a is b or np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return a is b or (isinstance(a, str) and a == b)
