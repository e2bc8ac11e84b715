"""What the guard knows of a modality, fitted: its detectors to the train split, their scales and the temperature of the
answers to clean samples of the valid split."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from robustmm.data.loading import OnBad, collate_signals, read_batches, targets
from robustmm.data.manifest import Manifest
from robustmm.errors import DataError
from robustmm.guard.detectors.modality import (
    COLUMNS,
    EmbeddingDetectors,
    InputDetectors,
    Scales,
    fit_embedding,
    fit_input,
    fit_scales,
    write_columns,
    write_distances,
    write_statistics,
)
from robustmm.guard.examples import BATCH
from robustmm.guard.graph.operators import PLACE, Operators, build_model, opset_of
from robustmm.guard.subjects.subject import Given, Masks, Subject
from robustmm.guard.temperature import Temperature, fit_temperature, list_patterns
from robustmm.progress import Reporter
from robustmm.runtime.runner import Runner
from robustmm.runtime.session import softmax


def fit_detectors(
    subject: Subject, train: Manifest, on_bad: OnBad, tell: Reporter
) -> tuple[dict[str, InputDetectors], dict[str, EmbeddingDetectors]]:
    """The detectors of every modality, from the train split."""
    session, opset = subject.session, opset_of(subject.model)
    runners = {name: statistics_runner(given, opset) for name, given in subject.given.items()}
    found: dict[str, list[list[NDArray[Any]]]] = {m.name: [] for m in session.modalities}
    target = targets(train, session.classes)
    with tell.stage("reading train", len(train)) as advance:
        for part, samples in read_batches(train, session.modalities, BATCH, on_bad):
            for m in session.modalities:
                here = [k for k, signal in enumerate(samples.signals[m.name]) if signal is not None]
                if here:
                    x = collate_signals(m, [samples.signals[m.name][k] for k in here])
                    read = runners[m.name].run({"x": subject.lay_out(m.name, x)})
                    found[m.name].append([*read, subject.embed(m.name, x), target[part][here]])
            advance(part.stop - part.start)
    inputs, embeddings = {}, {}
    for name, parts in found.items():
        if not parts:
            raise DataError(f"{train.path}: no row of split train has {name}, which the guard is fitted to")
        statistics, levels, stuck, wrong, z, y = (np.concatenate(column) for column in zip(*parts, strict=True))
        whole = (wrong[:, 0] == 0) & np.isfinite(z).all(1)
        if not whole.any():
            raise DataError(f"{train.path}: every {name} of split train holds NaN")
        inputs[name] = fit_input(*(x[whole].astype(np.float64) for x in (statistics, levels, stuck)))
        embeddings[name] = fit_embedding(z[whole].astype(np.float64), y[whole])
    return inputs, embeddings


def statistics_runner(given: Given, opset: int) -> Runner:
    """A graph of what the detectors are fitted to of an input `x`, alone."""
    ops = Operators(PLACE, opset)
    return Runner(build_model(ops, [declare_input(given)], write_statistics(ops, "x", given.shape, given.dtype)))


def columns_runner(given: Given, opset: int, fitted: InputDetectors) -> Runner:
    """A graph of what the fitted detectors read of an input `x`, alone."""
    ops = Operators(PLACE, opset)
    return Runner(build_model(ops, [declare_input(given)], [write_columns(ops, "x", given.shape, given.dtype, fitted)]))


def declare_input(given: Given) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(given.dtype)
    return helper.make_tensor_value_info("x", kind, ["batch", *given.shape])


def fit_modality_scales(
    model: onnx.ModelProto, z: NDArray[np.float32], fitted: EmbeddingDetectors, where: str
) -> Scales:
    """Of wide embeddings (sample, width + COLUMNS) of clean valid samples. Raises DataError, which begins with `where`
    they are from, for none that is finite."""
    finite = z[np.isfinite(z).all(1)]
    if not len(finite):
        raise DataError(f"{where}: no row of split valid holds it without NaN, and the guard is fitted to such rows")
    ops = Operators(PLACE, opset_of(model))
    plain, columns = ops.slice("z", 1, 0, -COLUMNS), ops.slice("z", 1, -COLUMNS, 2**31)
    raw = write_distances(ops, plain, columns, fitted)
    given = helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", z.shape[1]])
    distances = Runner(build_model(ops, [given], [raw]))(z=finite)
    return fit_scales(distances.astype(np.float64), finite[:, -COLUMNS:].astype(np.float64))


def fit_answers(
    subject: Subject, z: Mapping[str, NDArray[np.float32]], present: Masks, target: NDArray[np.int64]
) -> Temperature:
    """The temperature of the answers from subsets of the clean valid samples."""
    patterns = list_patterns(len(subject.session.names))[:, None] & present
    decoder = Runner(subject.decoder, outputs=[subject.scores])
    found = []
    for mask in patterns:
        size = subject.session.decodes
        parts = [slice(start, start + size) for start in range(0, len(target), size)]
        feeds = [{"present": mask[part], **{f"z.{n}": x[part] for n, x in z.items()}} for part in parts]
        found.append(softmax(np.concatenate([decoder(**feed) for feed in feeds])))
    p = np.stack(found)
    return fit_temperature(np.log(np.maximum(p, 1e-12)), patterns, target)
