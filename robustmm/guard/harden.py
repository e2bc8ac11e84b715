"""A guard fitted to the train and valid splits, written into the graph: onnxruntime and numpy, no torch."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from robustmm.data.loading import OnBad, collate_signals, read_samples, targets
from robustmm.data.manifest import Manifest
from robustmm.data.sample import hash_order
from robustmm.errors import DataError, UsageError
from robustmm.evaluation.attack import proportion
from robustmm.guard import graph, judge, proof
from robustmm.guard.detectors.modality import COLUMNS
from robustmm.guard.examples import Encode, Fault, encode_signals, read_signals
from robustmm.guard.fitting import fit_answers, fit_detectors, fit_modality_scales
from robustmm.guard.reliability import list_subsets
from robustmm.guard.result import HardenResult
from robustmm.guard.table import build_table, corrupt_all
from robustmm.guard.temperature import Temperature
from robustmm.modalities import Signal
from robustmm.progress import Reporter
from robustmm.runtime.graph import extract_part
from robustmm.runtime.metadata import HARDENED_FORMAT, KEY
from robustmm.runtime.runner import Runner
from robustmm.runtime.seal import SEAL
from robustmm.runtime.session import Session, read_graph

TRAIN_ROWS = 4_000
"""Samples of the train split that distances are fitted to at most."""
VALID_ROWS = 1_500
"""Samples of the valid split at most."""
SPLITS = ("train", "valid")


class Hardened(NamedTuple):
    """A hardened graph, and what is known of it."""

    model: onnx.ModelProto
    thresholds: NDArray[np.float64]
    judged: judge.Judged
    known: list[list[Fault]]
    examples: int


@dataclass(frozen=True)
class Observed:
    """A graph that tells what the decision reads of a sample, fitted to the train split; and the valid split's clean
    samples, each embedding with what the detectors read of its input beside it."""

    model: onnx.ModelProto
    answers: graph.Answers
    temperature: Temperature
    encode: Encode
    ids: Sequence[str]
    signals: Mapping[str, Sequence[Signal | None]]
    clean: Mapping[str, NDArray[np.float32]]
    present: NDArray[np.bool_]
    target: NDArray[np.int64]


def observe(session: Session, manifest: Manifest, on_bad: OnBad, tell: Reporter) -> Observed:
    """All that a guard knows but for its decision."""
    model, modalities, width = read_graph(session.path), session.modalities, int(session.facts["width"])
    train, valid = (manifest.split(split) for split in SPLITS)
    train, valid = (limit(rows, most) for rows, most in ((train, TRAIN_ROWS), (valid, VALID_ROWS)))
    decoder = extract_part(model, ["present", *(f"z.{m.name}" for m in modalities)], ["logits"])
    inputs, embeddings = fit_detectors(session, model, train, on_bad, tell)
    graph.widen_embeddings(model, modalities, width, inputs)
    encoders = {m.name: Runner(extract_part(model, [m.name], [f"z.{m.name}"])) for m in modalities}
    with tell.stage("reading valid", len(valid)) as advance:
        samples = read_signals(valid, modalities, on_bad, advance)
    target, present = targets(valid, session.classes), samples.present()

    def encode(name: str, x: NDArray[Any]) -> NDArray[np.float32]:
        return np.asarray(encoders[name](**{name: x}), np.float32)

    clean = {m.name: encode_signals(m, samples.signals[m.name], encode) for m in modalities}
    scales = {
        m.name: fit_modality_scales(model, clean[m.name][present[:, k]], embeddings[m.name], f"{valid.path}: {m.name}")
        for k, m in enumerate(modalities)
    }
    temperature = fit_answers(session, {n: z[:, :width] for n, z in clean.items()}, present, target)
    answers = graph.write_answers(model, decoder, modalities, embeddings, scales, temperature)
    return Observed(model, answers, temperature, encode, samples.ids, samples.signals, clean, present, target)


def harden(session: Session, manifest: Manifest, budget: float, on_bad: OnBad, tell: Reporter) -> Hardened:
    """The session's model with a guard. `budget` is the accuracy that clean samples may lose, as a share."""
    check_hardenable(session, manifest)
    modalities, seen = session.modalities, observe(session, manifest, on_bad, tell)
    model, clean, present = seen.model, seen.clean, seen.present
    encoded = corrupt_all(modalities, seen.ids, seen.signals, clean, present, seen.encode, tell)
    table = build_table(model, seen.answers, modalities, encoded, clean, present, seen.target)
    known = [[each.fault for each in faults] for faults in encoded]
    with tell.stage("fitting the guard", 2 + judge.count_folds(known)) as advance:
        judged = judge.cross_fit(table, known, advance)
        thresholds = judge.find_thresholds(judged, budget)
        fitted = judge.fit(table)
        advance(1)
    graph.write_decision(model, seen.answers, modalities, fitted, thresholds)
    write_facts(model, int(session.facts["width"]) + COLUMNS, thresholds, budget)
    return Hardened(model, thresholds, judged, known, len(table.rows))


def prove_hardened(
    session: Session, manifest: Manifest, hardened: Hardened, file: Path, shown: Path, budget: float, on_bad: OnBad
) -> HardenResult:
    """The proof of the hardened `file` on valid samples, and what is known of its guard. Raises ParityError."""
    rows = limit(manifest.split("valid"), proof.ROWS)
    samples = read_samples(rows, session.modalities, on_bad)
    inputs = {m.name: collate_signals(m, samples.signals[m.name]) for m in session.modalities}
    proved = proof.prove(session.path, file, inputs, samples.present(), str(session.facts["precision"]))
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
    if session.description is not None:
        raise UsageError(f"{session.path} was not exported by robustmm; only its own files can be hardened")
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


def write_facts(model: onnx.ModelProto, width: int, thresholds: NDArray[np.float64], budget: float) -> None:
    """The metadata of the hardened file: those of the plain one, its wide embeddings, and that it has a guard."""
    facts = json.loads(next(entry.value for entry in model.metadata_props if entry.key == KEY))
    facts |= {
        "format": HARDENED_FORMAT,
        "width": width,
        "guard": {"thresholds": thresholds.tolist(), "clean_cost": budget},
    }
    kept = [entry for entry in model.metadata_props if entry.key not in (KEY, SEAL)]
    entries = [(entry.key, entry.value) for entry in kept]
    del model.metadata_props[:]
    for key, value in [*entries, (KEY, json.dumps(facts, ensure_ascii=False))]:
        model.metadata_props.add(key=key, value=value)
