"""A linear model of a recipe's modalities, solved for: what method `linear` trains, and the line that others beat."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack
from torch import Tensor, nn

from robustmm.config.recipe import Train
from robustmm.config.tuning import Tuning
from robustmm.data.prior import prior
from robustmm.methods import Method
from robustmm.metrics.classification import accuracy, nll
from robustmm.model.encoders.handcrafted import Handcrafted
from robustmm.model.fusion import Sum
from robustmm.model.fusion_model import FusionModel
from robustmm.progress import Watcher
from robustmm.training import checkpoint
from robustmm.training.data import TrainingSplit
from robustmm.training.linear.logistic import Logistic, Matrix, fit_logistic
from robustmm.training.loop import Progress, Tensors
from robustmm.training.optimiser import build_optimiser
from robustmm.training.validation import training_nll, validate

MOST_ROWS = 10_000
"""Training samples that a classifier learns from at most, drawn with one seed."""
PENALTIES = (1.0, 0.1, 0.01, 0.001, 0.0001)
"""L2 penalties that are tried, strongest first: each begins where the one before ended."""
UNJUDGED = 0.01
"""The penalty of a modality that no valid sample has."""
PATIENCE = 2
"""Weaker penalties in a row that may be worse on valid before no more are tried."""
Reader = Callable[[], Iterator[Tensor]]


def solve(
    model: FusionModel,
    method: Method,
    data: TrainingSplit,
    valid: TrainingSplit,
    settings: Train,
    watcher: Watcher,
    *,
    tuning: Mapping[str, Tuning] = {},
    resumed: tuple[Tensors, Progress] | None = None,
    keep: Callable[[Tensors, Progress, dict[str, float]], None] = lambda *_: None,
) -> Tensors:
    """`training.loop.fit` for a linear model: one epoch without a step. Gives its weights."""
    if resumed:
        return checkpoint.select_prefix(resumed[0], "best.")
    watcher.begin("solving", 1, 0, len(model.modalities))
    solve_weights(model, data, valid, watcher.step)
    scores = validate(model, valid, prior(data.target.cpu().numpy(), data.classes))
    row = {"epoch": 1, "learning_rate": 0.0, "unimodal": training_nll(model, data), **scores}
    state = checkpoint.training_state(model, method, build_optimiser(settings, model, method, tuning))
    best = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    kept = {f"best.{name}": tensor for name, tensor in best.items()}
    keep(state | kept, Progress(1, scores, 1), row)
    watcher.epoch(row)
    return best


def solve_weights(
    model: FusionModel, data: TrainingSplit, valid: TrainingSplit, step: Callable[[], None] = lambda: None
) -> None:
    """Puts the classifiers of `data` into a model of handcrafted encoders and a sum: modality m's logits are the first
    numbers of its projection."""
    fusion = model.fusion
    assert isinstance(fusion, Sum)
    for m, name in enumerate(model.modalities):
        encoder, projection = model.encoders[name], model.projections[name]
        assert isinstance(encoder, Handcrafted)
        assert isinstance(projection, nn.Linear)
        found = choose_classifier(encoder, *read_rows(data, m, MOST_ROWS), *read_rows(valid, m), data.classes)
        with torch.no_grad():
            for values, solved in ((projection.weight, found.weight), (projection.bias, found.bias)):
                values.zero_()
                values[: data.classes] = torch.from_numpy(solved)
            fusion.weight[m] = torch.eye(data.classes, model.width)
            fusion.biases[m] = 0.0
        step()


def read_rows(data: TrainingSplit, modality: int, most: int | None = None) -> tuple[Reader, NDArray[np.int64]]:
    """What reads the inputs of a modality where it is present, in batches, and their targets; at most `most` rows."""
    rows = data.present[:, modality].cpu().nonzero()[:, 0]
    if most is not None and len(rows) > most:
        drawn = np.random.default_rng(0).permutation(len(rows))[:most]
        rows = rows[torch.from_numpy(np.sort(drawn))]
    inputs = data.inputs[data.modalities[modality]]

    def read() -> Iterator[Tensor]:
        for part in rows.split(256):
            yield torch.from_numpy(inputs[part.numpy()]).to(data.device)

    return read, data.target.cpu().numpy()[rows.numpy()]


def choose_classifier(
    encoder: Handcrafted,
    read: Reader,
    target: NDArray[np.int64],
    read_valid: Reader,
    wanted: NDArray[np.int64],
    classes: int,
) -> Logistic:
    """The classifier whose penalty is best on valid: by accuracy, then by log-loss. Fits the encoder's scale."""
    measured = measure_features(encoder, read)
    encoder.fit(measured)
    x = scale_features(encoder, measured)
    if not len(wanted):
        return fit_logistic(x, target, classes, UNJUDGED)
    seen = scale_features(encoder, measure_features(encoder, read_valid))
    path, scores = list[Logistic](), list[tuple[float, float]]()
    for penalty in PENALTIES:
        path.append(fit_logistic(x, target, classes, penalty, path[-1] if path else None))
        answers = path[-1].log_probabilities(seen)
        scores.append((accuracy(np.exp(answers), wanted), -nll(np.exp(answers), wanted)))
        if len(scores) - scores.index(max(scores)) > PATIENCE:
            break
    return path[scores.index(max(scores))]


@torch.no_grad()
def measure_features(encoder: Handcrafted, read: Reader) -> Any:
    """(samples, feature) before they are scaled: an array, or a sparse matrix where few are other than 0."""
    encoder.eval()
    parts = [encoder.measure(x).cpu().numpy() for x in read()]
    return vstack([csr_matrix(part) for part in parts], "csr") if encoder.sparse else np.concatenate(parts)


@torch.no_grad()
def scale_features(encoder: Handcrafted, measured: Any) -> Matrix:
    """(samples, feature) as the encoder answers them, in float64."""
    parts = []
    for start in range(0, measured.shape[0], 256):
        rows = measured[start : start + 256]
        rows = torch.from_numpy(rows.toarray() if encoder.sparse else rows).to(encoder.scale.device)
        found = encoder.finish(rows).double().cpu()
        parts.append(csr_matrix(found.numpy()) if encoder.sparse else found)
    return vstack(parts, "csr") if encoder.sparse else torch.cat(parts)
