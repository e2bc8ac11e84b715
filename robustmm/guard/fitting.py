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
    write_distances,
    write_statistics,
)
from robustmm.guard.examples import BATCH
from robustmm.guard.graph import PLACE
from robustmm.guard.operators import Operators, build_model, opset_of
from robustmm.guard.temperature import Temperature, fit_temperature, list_patterns
from robustmm.modalities import Modality
from robustmm.progress import Reporter
from robustmm.runtime.runner import Runner
from robustmm.runtime.session import Session


def fit_detectors(
    session: Session, model: onnx.ModelProto, train: Manifest, on_bad: OnBad, tell: Reporter
) -> tuple[dict[str, InputDetectors], dict[str, EmbeddingDetectors]]:
    """The detectors of every modality, from the train split."""
    runners = {m.name: statistics_runner(m, opset_of(model)) for m in session.modalities}
    found: dict[str, list[list[NDArray[Any]]]] = {m.name: [] for m in session.modalities}
    target = targets(train, session.classes)
    with tell.stage("reading train", len(train)) as advance:
        for part, samples in read_batches(train, session.modalities, BATCH, on_bad):
            for m in session.modalities:
                here = [k for k, signal in enumerate(samples.signals[m.name]) if signal is not None]
                if here:
                    x = collate_signals(m, [samples.signals[m.name][k] for k in here])
                    read = runners[m.name].run({m.name: x})
                    found[m.name].append([*read, session.embed(m.name, x), target[part][here]])
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


def statistics_runner(modality: Modality, opset: int) -> Runner:
    """A graph of what the detectors read of an input, alone."""
    ops = Operators(PLACE, opset)
    ends = write_statistics(ops, modality.name, modality.shape, modality.dtype)
    kind = helper.np_dtype_to_tensor_dtype(modality.dtype)
    given = helper.make_tensor_value_info(modality.name, kind, ["batch", *modality.shape])
    return Runner(build_model(ops, [given], ends))


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
    session: Session, z: Mapping[str, NDArray[np.float32]], present: NDArray[np.bool_], target: NDArray[np.int64]
) -> Temperature:
    """The temperature of the answers from subsets of the clean valid samples."""
    patterns = list_patterns(len(session.names))[:, None] & present
    p = np.stack([session.decode(z, mask) for mask in patterns])
    return fit_temperature(np.log(np.maximum(p, 1e-12)), patterns, target)
