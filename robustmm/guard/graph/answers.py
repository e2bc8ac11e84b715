"""What a guard decides by, in a graph: what its detectors tell of every modality, and what the model answers from every
subset of them, by a copy of its decoder for all subsets at once.

Nothing of the model is changed. What the detectors read of an input stands beside the embedding, `z.<modality>` (batch,
width + COLUMNS).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from robustmm.guard.detectors.agreement import measure_disagreement
from robustmm.guard.detectors.broken import CERTAIN, replace_nan, replace_non_finite
from robustmm.guard.detectors.modality import (
    COLUMNS,
    EmbeddingDetectors,
    Scales,
    write_distances,
    write_features,
)
from robustmm.guard.graph.operators import PLACE, Operators, opset_of
from robustmm.guard.reliability import list_subsets
from robustmm.guard.subjects.subject import Subject
from robustmm.guard.temperature import Temperature
from robustmm.runtime.graph import rename_tensors


@dataclass(frozen=True)
class Answers:
    """Names in the graph: `features` (batch, modality, feature); calibrated `probabilities` (batch, subset, class);
    the model's answers as they are (decoded subset, batch, width), `raw`; `kept` (batch, modality) bool: present and
    finite; `strangeness` (batch, modality)."""

    features: str
    probabilities: str
    raw: Mapping[str, str]
    kept: str
    strangeness: str


def write_answers(
    subject: Subject,
    embeddings: Mapping[str, EmbeddingDetectors],
    scales: Mapping[str, Scales],
    temperature: Temperature,
) -> Answers:
    """Adds what the decision reads to a graph with wide embeddings."""
    model, names = subject.model, subject.session.names
    M, ops = len(names), Operators(f"{PLACE}decision/", opset_of(model))
    z, finite, features = {}, [], []
    for m in names:
        columns, wrong = replace_non_finite(ops, ops.slice(f"z.{m}", 1, -COLUMNS, 2**31), 1)
        z[m], off = replace_non_finite(ops, f"{PLACE}z/{m}", 1)
        worst = ops("Max", ops.slice(columns, 1, COLUMNS - 1, COLUMNS), off, wrong)
        finite.append(ops("Less", worst, ops.constant(CERTAIN)))
        distances = write_distances(ops, z[m], columns, embeddings[m])
        features.append(ops.unsqueeze(write_features(ops, distances, columns, scales[m]), 1))
    kept = ops("And", subject.presence, ops("Concat", *finite, axis=1))
    seen = ops("Concat", *features, axis=1)
    strangeness = ops("Relu", ops.reduce("ReduceMax", seen, [2], keep=False))
    masks = list_decoded(M)
    here = ops("And", ops.constant(masks[:, None], bool), ops.unsqueeze(kept, 0))  # (decoded subset, batch, modality)
    decoded = write_decoder(ops, subject, z, here, len(masks))
    p = ops("Softmax", scale_by_temperature(ops, decoded[subject.scores], here, temperature), axis=-1)
    p = replace_nan(ops, p, 0.0)  # an answer that is no number is never expected to be right
    number = {tuple(mask): row for row, mask in enumerate(masks.tolist())}
    doubts = []
    for k in range(M):
        own, others = (ops("Gather", p, ops.numbers(number[tuple(mask)]), axis=0) for mask in split_off(M, k))
        doubts.append(ops("Transpose", measure_disagreement(ops, own, others), perm=[1, 0, 2]))
    p = ops.slice(ops("Transpose", p, perm=[1, 0, 2]), 1, 0, len(list_subsets(M)))
    every = ops("Concat", seen, ops("Concat", *doubts, axis=1), axis=2, named=f"{PLACE}features")
    ops("Identity", p, named=f"{PLACE}probabilities")
    ops.append_to(model)
    raw = {name: decoded[name] for name in subject.answers}
    return Answers(every, f"{PLACE}probabilities", raw, kept, strangeness)


def list_decoded(M: int) -> NDArray[np.bool_]:
    """The subsets (subset, modality) that are decoded: those of `list_subsets`, and each modality alone."""
    masks = list(list_subsets(M))
    alone = [mask for mask in np.eye(M, dtype=bool) if not any((mask == other).all() for other in masks)]
    return np.array([*masks, *alone])


def split_off(M: int, m: int) -> tuple[tuple[bool, ...], tuple[bool, ...]]:
    """A modality alone, and all others."""
    own = np.arange(M) == m
    return tuple(own.tolist()), tuple((~own).tolist())


def write_decoder(ops: Operators, subject: Subject, z: Mapping[str, str], here: str, copies: int) -> dict[str, str]:
    """Scores and answers (subset, batch, width) of a copy of the decoder, from what each subset holds of a sample,
    `here` (subset, batch, modality). What a model stores is not stored twice where all of it runs for every subset; a
    head is small, and where it reads tensors of its own onnxruntime fuses the plain one as it did."""
    given = {"present": ops("Reshape", here, ops.numbers(-1, len(z)))}
    for m, name in z.items():
        given[f"z.{m}"] = ops("Tile", name, ops.numbers(copies, 1))
    place = f"{ops.prefix}decoder/"
    stored = {tensor.name for tensor in subject.decoder.graph.initializer} if subject.is_whole else set[str]()
    stored &= {tensor.name for tensor in subject.model.graph.initializer}
    given |= {name: name for name in stored}
    part = onnx.ModelProto()
    part.CopyFrom(subject.decoder)
    rename_tensors(part.graph, lambda name: given.get(name, place + name if name else name))
    ops.nodes.extend(part.graph.node)
    ops.stored.extend(tensor for tensor in part.graph.initializer if tensor.name not in stored)
    widths = {subject.scores: len(subject.session.classes), **subject.answers}
    return {name: ops("Reshape", place + name, ops.numbers(copies, -1, width)) for name, width in widths.items()}


def scale_by_temperature(ops: Operators, logits: str, here: str, temperature: Temperature) -> str:
    """Logits (subset, batch, class) divided by the temperature of what each lacks of `here`."""
    absent = ops.cast(ops("Not", here))
    terms = ops("MatMul", absent, ops.constant(np.array(temperature.by_modality)[:, None]))
    return ops("Div", logits, ops("Exp", ops("Add", terms, ops.constant(temperature.base))))
