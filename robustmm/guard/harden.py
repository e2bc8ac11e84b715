"""A guard fitted to the train and valid splits, written into the graph: onnxruntime and numpy, no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from robustmm.data.loading import OnBad, collate_signals, read_samples, targets
from robustmm.data.manifest import Manifest
from robustmm.data.sample import hash_order
from robustmm.errors import DataError, UsageError
from robustmm.evaluation.attack import proportion
from robustmm.guard import judge, proof
from robustmm.guard.examples import Encode, Fault, encode_signals, read_signals
from robustmm.guard.fitting import columns_runner, fit_answers, fit_detectors, fit_modality_scales
from robustmm.guard.graph import answers, decision
from robustmm.guard.graph.operators import opset_of
from robustmm.guard.reliability import list_subsets
from robustmm.guard.result import HardenResult
from robustmm.guard.subjects.foreign import open_foreign
from robustmm.guard.subjects.own import open_own
from robustmm.guard.subjects.subject import Subject
from robustmm.guard.table import build_table, corrupt_all
from robustmm.guard.temperature import Temperature
from robustmm.modalities import Signal
from robustmm.progress import Reporter
from robustmm.runtime.foreign.session import ForeignSession
from robustmm.runtime.session import Session

TRAIN_ROWS = 4_000
"""Samples of the train split that distances are fitted to at most."""
VALID_ROWS = 1_500
"""Samples of the valid split at most."""
SPLITS = ("train", "valid")


class Hardened(NamedTuple):
    """A hardened model, and what is known of it."""

    subject: Subject
    thresholds: NDArray[np.float64]
    judged: judge.Judged
    known: list[list[Fault]]
    examples: int


@dataclass(frozen=True)
class Observed:
    """A model that tells what the decision reads of a sample, fitted to the train split; and the valid split's clean
    samples, each embedding with what the detectors read of its input beside it."""

    subject: Subject
    answers: answers.Answers
    temperature: Temperature
    encode: Encode
    ids: Sequence[str]
    signals: Mapping[str, Sequence[Signal | None]]
    clean: Mapping[str, NDArray[np.float32]]
    present: NDArray[np.bool_]
    target: NDArray[np.int64]


def observe(session: Session, manifest: Manifest, on_bad: OnBad, tell: Reporter) -> Observed:
    """All that a guard knows but for its decision."""
    modalities = session.modalities
    train, valid = (manifest.split(split) for split in SPLITS)
    train, valid = (limit(rows, most) for rows, most in ((train, TRAIN_ROWS), (valid, VALID_ROWS)))
    subject = open_subject(session)
    inputs, embeddings = fit_detectors(subject, train, on_bad, tell)
    subject.widen(inputs)
    opset = opset_of(subject.model)
    columns = {name: columns_runner(given, opset, inputs[name]) for name, given in subject.given.items()}
    with tell.stage("reading valid", len(valid)) as advance:
        samples = read_signals(valid, modalities, on_bad, advance)
    target, present = targets(valid, session.classes), samples.present()

    def encode(name: str, x: NDArray[Any]) -> NDArray[np.float32]:
        return np.concatenate([subject.embed(name, x), columns[name](x=subject.lay_out(name, x))], 1)

    clean = {m.name: encode_signals(m, samples.signals[m.name], encode) for m in modalities}
    scales = {
        m.name: fit_modality_scales(
            subject.model, clean[m.name][present[:, k]], embeddings[m.name], f"{valid.path}: {m.name}"
        )
        for k, m in enumerate(modalities)
    }
    temperature = fit_answers(subject, {n: z[:, : subject.widths[n]] for n, z in clean.items()}, present, target)
    written = answers.write_answers(subject, embeddings, scales, temperature)
    return Observed(subject, written, temperature, encode, samples.ids, samples.signals, clean, present, target)


def open_subject(session: Session) -> Subject:
    """A model as its guard sees it."""
    return open_foreign(session) if isinstance(session, ForeignSession) else open_own(session)


def harden(session: Session, manifest: Manifest, budget: float, on_bad: OnBad, tell: Reporter) -> Hardened:
    """The session's model with a guard. `budget` is the accuracy that clean samples may lose, as a share."""
    check_hardenable(session, manifest)
    modalities, seen = session.modalities, observe(session, manifest, on_bad, tell)
    clean, present = seen.clean, seen.present
    encoded = corrupt_all(modalities, seen.ids, seen.signals, clean, present, seen.encode, tell)
    table = build_table(seen.subject, seen.answers, encoded, clean, present, seen.target, tell)
    known = [[each.fault for each in faults] for faults in encoded]
    with tell.stage("fitting the guard", 2 + judge.count_folds(known)) as advance:
        judged = judge.cross_fit(table, known, advance)
        thresholds = judge.find_thresholds(judged, budget)
        fitted = judge.fit(table)
        advance(1)
    decision.write_decision(seen.subject, seen.answers, fitted, thresholds)
    seen.subject.write_facts(thresholds, budget)
    return Hardened(seen.subject, thresholds, judged, known, len(table.rows))


def prove_hardened(
    session: Session, manifest: Manifest, hardened: Hardened, file: Path, shown: Path, budget: float, on_bad: OnBad
) -> HardenResult:
    """The proof of the hardened `file` on valid samples, and what is known of its guard. Raises ParityError."""
    rows = limit(manifest.split("valid"), proof.ROWS)
    samples = read_samples(rows, session.modalities, on_bad)
    inputs = {m.name: collate_signals(m, samples.signals[m.name]) for m in session.modalities}
    proved = proof.prove(hardened.subject, file, inputs, samples.present())
    clean, right = hardened.judged.fold < 0, hardened.judged.table.right()
    chosen = hardened.judged.choose(hardened.thresholds)
    dropped = (~list_subsets(len(session.names))[chosen] & hardened.judged.table.present)[clean]
    before, after = right[clean, 0].mean(), judge.gather(right, chosen)[clean].mean()
    return HardenResult(
        model=str(session.path), hardened=str(shown), modalities=session.names, thresholds=hardened.thresholds.tolist(),
        samples=int(clean.sum()), examples=hardened.examples, clean_plain=before, clean_hardened=after,
        clean_cost=100 * (before - after), budget=100 * budget,
        false_alarms=[proportion(int(n), len(dropped)) for n in dropped.sum(0)],
        families=judge.judge_families(hardened.judged, hardened.known, hardened.thresholds), proof=proved,
        size=file.stat().st_size, plain_size=session.path.stat().st_size,
    )  # fmt: skip


def check_hardenable(session: Session, manifest: Manifest) -> None:
    """Raises UsageError or DataError for a model, or data, that no guard can be fitted to."""
    if session.facts.get("guard"):
        raise UsageError(f"{session.path} is hardened already; harden the file that it was made from")
    if len(session.names) < 2:
        raise UsageError(f"{session.path} has one modality, {session.names[0]}: a guard needs another to fall back on")
    sizes = manifest.split_sizes()
    for split in SPLITS:
        if not sizes.get(split):
            raise DataError(
                f"{manifest.path} should have a split {split}, to fit the guard to; found {', '.join(sizes)}"
            )
    if sizes["valid"] < 2:
        raise DataError(f"{manifest.path}: split valid should have 2 rows or more, one half judges the other; found 1")


def limit(rows: Manifest, most: int) -> Manifest:
    """At most so many rows, those whose ids' hashes come first."""
    return rows.take(sorted(hash_order(rows.ids)[:most]))
