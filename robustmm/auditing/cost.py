"""What an audit costs: encodings and decodings per sample, and seconds, from a small measurement of every stage."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from typing import TypeVar

import numpy as np

from robustmm.auditing.noise_floor import REPEATS
from robustmm.auditing.plan import Reading
from robustmm.auditing.results.breaking_levels import BISECTIONS, build_sweeps
from robustmm.auditing.results.records_table import build_table
from robustmm.auditing.results.summary import summarise_condition
from robustmm.auditing.spec import OpenedSpec
from robustmm.conditions.condition import Condition
from robustmm.conditions.plan import Plan
from robustmm.data.loading import Samples, collate_signals, targets
from robustmm.evaluation.evaluate import EmbeddingKey
from robustmm.evaluation.records import Records, load_records
from robustmm.evaluation.subsets import EMAP_SAMPLES, ORDERS, evaluate_subsets
from robustmm.metrics import contribution
from robustmm.metrics.classification import correctness
from robustmm.metrics.noninferiority import Pairs, count_pairs, judge_retention
from robustmm.metrics.sampling import Sampling

T = TypeVar("T")
CLOCK = time.perf_counter

TIMED_SAMPLES = 32
"""Samples that reading, encoders and decoder are timed on."""
TIMED_CONDITIONS = 8
"""Corruptions whose highest level is evaluated whole, or a few more: to see how far its parts add up, and whether it
fails."""
TIMED_SIGNALS = 2
"""Signals that a condition's corruption is timed on, after a first one that imports what it needs."""


@dataclass(frozen=True)
class Cost:
    """`encodings` by modality and `decodings` are per sample, the clean pass included; `seconds` are of one process."""

    conditions: int
    encodings: dict[str, int]
    decodings: int
    samples: int
    seconds: float


@dataclass(frozen=True)
class Timings:
    """Seconds of one process. Where it is not said otherwise they are per sample."""

    reading: float
    deciding: float
    """All that is decided from the embeddings of one condition."""
    decoding: float
    """The decoder, of one row."""
    keeping: float
    """Per condition: its cells written, and read for the numbers and for the table."""
    summing: float
    """Per condition: its numbers and its rows of the table."""
    projecting: float
    """The clean condition's additive projection, of all chunks that it is measured on."""
    embeddings: dict[EmbeddingKey, float]
    """Every way in which an input is corrupted, with its encoding; the clean ones first."""
    wanted: list[list[EmbeddingKey]]
    """The embeddings that a condition is decided from, the clean condition's first."""
    failing: float
    """The share of the corruptions whose levels will be bisected."""
    sweeps: list[list[int]]
    """The conditions of each corruption, by rising level."""

    def sum_new(self) -> list[float]:
        """Seconds per sample of every condition beside reading: embeddings are made where they are first wanted."""
        made: set[EmbeddingKey] = set()
        found = []
        for parts in self.wanted:
            found.append(self.deciding + sum(self.embeddings[part] for part in parts if part not in made))
            made.update(parts)
        return found

    def sum_finish(self, samples: int) -> float:
        """Seconds of what follows the suite's cells: statistics, and the levels that bisection tries."""
        new = self.sum_new()
        halving = sum(float(np.mean([samples * new[k] + self.keeping for k in each])) for each in self.sweeps)
        halving += samples * self.reading * bool(self.sweeps)
        return self.summing * len(self.wanted) + self.failing * BISECTIONS * halving


def estimate_cost(opened: OpenedSpec, conditions: Sequence[Condition], share: float = 0.9) -> Cost:
    """The cost of `conditions` and the clean pass on the samples of a spec, all stages but the searches."""
    timed = time_stages(opened, conditions, share)
    names, N, clean = opened.session.names, len(opened.rows), timed.sum_new()[0]
    seconds = REPEATS * len(opened.chunks[0]) * (timed.reading + clean) + N * timed.reading + timed.projecting
    seconds += sum(N * each + timed.keeping for each in timed.sum_new()) + timed.sum_finish(N)
    encodings = {name: sum(part[0] == name for part in timed.embeddings) for name in names}
    return Cost(len(conditions), encodings, count_coalitions(len(names)) * len(timed.wanted), N, seconds)


def describe_seconds(seconds: float) -> str:
    """A duration as it is announced: 80 s, 12 min, 30 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.0f} h"


def count_coalitions(modalities: int) -> int:
    """Rows that the decoder takes per sample and condition."""
    return 2**modalities if modalities <= contribution.EXACT_LIMIT else 2 * modalities + 2 + ORDERS * modalities


def time_stages(opened: OpenedSpec, conditions: Sequence[Condition], share: float) -> Timings:
    """Times every stage on a few samples. Whether a corruption's levels will be bisected is judged by its highest level
    on them."""
    session, rows, chunk = opened.session, opened.rows, opened.chunks[0]
    names, N = session.names, len(rows)
    timed = chunk[:TIMED_SAMPLES]
    evaluation = opened.build_evaluation([Condition("clean"), *conditions])
    samples, reading = _time_call(lambda: evaluation.read(timed))
    encoding = _time_encoders(opened, samples)
    records, deciding, decoding = _time_decoder(opened, samples, count_coalitions(len(names)))
    embeddings: dict[EmbeddingKey, float] = {(name, ""): encoding[name] for name in names}
    wanted = [[(name, plan.key(name)) for name in names] for plan in evaluation.plans]
    for plan, parts in zip(evaluation.plans, wanted, strict=True):
        for part in parts:
            if part not in embeddings:
                embeddings[part] = encoding[part[0]] + _time_corruption(plan, part[0], timed, samples)
    numbers = {condition.name: number for number, condition in enumerate(conditions, start=1)}
    sweeps = [[numbers[sweep.grid[level]] for level in sorted(sweep.grid)] for sweep in build_sweeps(conditions)]
    piloted = sweeps[:: max(1, len(sweeps) // TIMED_CONDITIONS)] or [[number] for number in list(numbers.values())[:1]]
    tried = [0, *(levels[-1] for levels in piloted)]
    found, true = _time_call(lambda: [next(evaluation.records(timed, samples, [number]))[1] for number in tried])
    told = len(timed) * sum(deciding + sum(embeddings[part] for part in wanted[number]) for number in tried)
    factor = true / told  # threads, their quarrels and what overlaps
    pairs = min(EMAP_SAMPLES, len(chunk)) ** 2 * len(names) * sum(map(opened.measures_emap, range(len(opened.chunks))))
    return Timings(
        reading=reading / len(timed),
        deciding=factor * deciding,
        decoding=decoding,
        keeping=_time_cells(records, len(opened.chunks)),
        summing=_time_statistics(opened, records, share),
        projecting=pairs * decoding if len(names) > 1 else 0.0,
        embeddings={part: factor * each for part, each in embeddings.items()},
        wanted=wanted,
        failing=float(np.mean([_will_fail(each, found[0], share, N) for each in found[1:]])) if sweeps else 0.0,
        sweeps=sweeps,
    )


def _will_fail(records: Records, clean: Records, share: float, samples: int) -> bool:
    """Whether a condition fails if all samples are as these."""
    right, before = (correctness(each.probabilities, each.target) for each in (records, clean))
    pairs = Pairs(*(count * samples // len(right) for count in count_pairs(right, before)))
    return judge_retention(pairs, share).outcome == "fails"


def _time_encoders(opened: OpenedSpec, samples: Samples) -> dict[str, float]:
    """Seconds per sample by modality, at the batch size that is used."""
    session = opened.session
    found = {}
    for m in session.modalities:
        size = min(session.batch, len(opened.chunks[0]))
        x = collate_signals(m, samples.signals[m.name])
        x = x[np.arange(size) % len(x)]
        session.embed(m.name, x[:2])  # the first call allocates
        found[m.name] = _time_call(partial(session.embed, m.name, x))[1] / size
    return found


def _time_decoder(opened: OpenedSpec, samples: Samples, coalitions: int) -> tuple[Records, float, float]:
    """Some records; seconds per sample of all that is decided from its embeddings, and per row of the decoder, both at
    the batch sizes that are used."""
    session, chunk = opened.session, opened.chunks[0]
    n = len(samples.ids)
    size = min(len(chunk), max(n, session.decodes // coalitions))
    index = np.arange(size) % n
    inputs = {m.name: collate_signals(m, samples.signals[m.name]) for m in session.modalities}
    z = {name: each[index] for name, each in session.embeddings(inputs, n).items()}
    target = targets(opened.rows.take(chunk[:n]), session.classes)[index]
    decide = partial(
        evaluate_subsets, session, [samples.ids[i] for i in index], z, samples.present()[index], target,
        baseline=opened.spec.baseline,
    )  # fmt: skip
    records, deciding = _time_call(decide)
    rows = np.arange(min(session.decodes, EMAP_SAMPLES**2)) % size
    everything = np.ones((len(rows), len(session.names)), bool)
    decoding = _time_call(lambda: session.decode({name: each[rows] for name, each in z.items()}, everything))[1]
    records.snr = np.full((size, len(session.names)), np.nan)
    return records, deciding / size, decoding / len(rows)


def _time_corruption(plan: Plan, name: str, rows: Sequence[int], samples: Samples) -> float:
    """Seconds per sample of one condition's corruptions of one modality."""
    corrupter, signals = plan.build_corrupter(plan.modalities[name]), samples.signals[name]
    there = [i for i, signal in enumerate(signals) if signal is not None] or [0]
    took = []
    for k in range(1 + TIMED_SIGNALS):
        i = there[k % len(there)]
        took.append(_time_call(partial(corrupter, rows[i], samples.ids[i], signals[i]))[1])
    return float(np.mean(took[1:]))


def _time_cells(records: Records, chunks: int) -> float:
    """Seconds per condition of writing its cells, and of reading them for the numbers and for the table."""

    def work() -> None:
        file = BytesIO()
        records.write(file)
        for _ in range(2):
            file.seek(0)
            load_records(file)

    work()
    return chunks * _time_call(work)[1]


def _time_statistics(opened: OpenedSpec, records: Records, share: float) -> float:
    """Seconds per condition of its numbers and its rows of the table, of as many records as there are samples. No two
    are equal, since equal ones are resampled faster."""
    n = len(opened.rows)
    many = records.take(np.arange(n) % len(records))
    noise = 1e-6 * np.random.default_rng(0).random((n, 1))
    many = replace(
        many, ids=opened.rows.ids, probabilities=many.probabilities * (1 - noise),
        phi_log_probability=many.phi_log_probability + noise,
    )  # fmt: skip
    plan = Plan(Condition("clean"), opened.session.modalities, opened.rows, 0, opened.spec.on_bad)
    reading = Reading({"label": opened.rows.labels}, Sampling(), opened.spec.seed, share)

    def work() -> None:
        summarise_condition(plan, many, many, reading)
        build_table("clean", many, opened.session.names, opened.session.classes)

    work()  # what the bootstrap draws is kept for the next condition
    return _time_call(work)[1]


def _time_call(work: Callable[[], T]) -> tuple[T, float]:
    began = CLOCK()
    return work(), CLOCK() - began
