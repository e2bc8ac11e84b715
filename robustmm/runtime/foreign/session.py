"""A classifier that other tools exported, under a session's interface: every decoder call runs the whole graph."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from robustmm.errors import DataError, RobustmmError
from robustmm.runtime import graph, session
from robustmm.runtime.foreign.binding import bind_inputs
from robustmm.runtime.foreign.description import Description, load_description, raise_errors
from robustmm.runtime.foreign.inputs import build_inputs
from robustmm.runtime.runner import Runner, split_batches
from robustmm.runtime.session import Embeddings, Session, softmax

SUM_TOLERANCE = 1e-3
"""How far from 1 a sum of probabilities may be, half precision included."""


class ForeignSession(Session):
    """`embed` scales and lays out: it returns the graph's own input (batch, ...) in the graph's dtype. `decode` fills
    missing inputs and runs the whole graph. The description says what each input is."""

    decodes = 64

    def __init__(self, path: Path, description: Path, provider: str = "cpu", threads: int = 0, batch: int = 64) -> None:
        """Raises UsageError for a description that does not fit the graph, DataError for a graph that does not run."""
        model, loaded = session.read_graph(path), load_description(description)
        self.bindings = bind_inputs(loaded, model)
        self.path, self.provider, self.description, self.batch = path, provider, description, batch
        self.modalities = loaded.modalities
        self.names = [m.name for m in self.modalities]
        self.classes = list(loaded.table.classes)
        self.prior = (
            np.array(loaded.table.prior) if loaded.table.prior else np.full(len(self.classes), 1 / len(self.classes))
        )
        self.activation = loaded.table.output.activation
        self.facts = {
            "manifest": None,
            "recipe": {"method": {"name": "foreign"}},
            "description": hashlib.sha256(loaded.source.encode()).hexdigest(),
        }
        self.tensors = {tensor.name: tensor for tensor in graph.inputs(model)}
        self._encoders = {binding.modality.name: binding for binding in self.bindings}  # type: ignore[misc]
        self._fillers = {binding.modality.name: binding.filler for binding in self.bindings}
        fixed = loaded.table.batch or max(tensor.batch for tensor in self.tensors.values())
        try:
            self._whole = Runner(graph.select_output(model, loaded.table.output.name), provider, threads, fixed)
            answer = self._run(
                {name: self.blank_embedding(name, 2) for name in self.names}, np.zeros((2, len(self.names)), bool)
            )
        except RobustmmError:
            raise
        except Exception as error:  # onnxruntime's errors share no base class
            hint = "" if fixed else "; if it takes one number of rows only, say so in the description: batch = 1"
            raise DataError(f"{path} cannot be run: {error}".splitlines()[0] + hint) from error
        if wrong := check_answer(answer, loaded):
            raise_errors(loaded.path, [loaded.locate_error(*wrong)])

    def decode(self, z: Embeddings, present: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Probabilities (batch, class) from the graph's inputs and the presence mask (batch, modality)."""
        if len(present) == 0:
            return np.zeros((0, len(self.classes)))
        held = np.asarray(present.any(1))
        row = np.where(held, np.arange(len(held)), held.argmin())  # rows without inputs are alike: one runs
        asked, answered = np.unique(row, return_inverse=True)
        parts = [
            self._run({n: z[n][rows] for n in self.names}, present[rows]) for rows in split_batches(asked, self.decodes)
        ]
        return probabilities(np.concatenate(parts), self.activation, len(self.classes))[answered]

    def blank_embedding(self, name: str, batch: int) -> NDArray[Any]:
        """The fill that the graph is fed where the modality is missing."""
        return np.repeat(self._fillers[name], batch, 0)

    def _run(self, z: Embeddings, present: NDArray[np.bool_]) -> NDArray[Any]:
        return self._whole(**build_inputs(self.bindings, z, present, self.tensors))


def open_session(
    path: Path, description: Path | None = None, provider: str = "cpu", threads: int = 0, batch: int = 64
) -> Session:
    """A session on a file that robustmm exported, or on any other with its description."""
    if description is None:
        return Session(path, provider, threads, batch)
    return ForeignSession(path, description, provider, threads, batch)


def probabilities(answer: NDArray[Any], activation: str, classes: int) -> NDArray[np.float64]:
    """Probabilities (batch, class) of an output (batch, ...); a single column is of the second of two classes."""
    columns = answer.reshape(len(answer), -1).astype(np.float64)
    if activation == "softmax":
        return softmax(columns)
    p = expit(columns) if activation == "sigmoid" else columns
    return np.concatenate([1 - p, p], 1) if p.shape[1] == 1 and classes == 2 else p


def check_answer(answer: NDArray[Any], description: Description) -> tuple[list[str], str] | None:
    """The error, with its key, where the answer to two rows is not what the description says; None where it is."""
    name, activation, classes = (
        description.table.output.name,
        description.table.output.activation,
        len(description.table.classes),
    )
    if len(answer) != 2:
        return ["batch"], f'the output "{name}" answers {answer.shape} to 2 rows; say how many it takes, as batch = 1'
    width = answer[0].size
    one = width == 1 and classes == 2
    if not (one if activation == "sigmoid" else width == classes or (one and activation == "none")):
        wanted = "1 column for 2 classes" if activation == "sigmoid" else f"{classes} columns for {classes} classes"
        return ["classes"], f'the output "{name}" should have {wanted} ({activation}), found {width}'
    p = probabilities(answer, "none", classes)
    if not np.isfinite(p).all():
        return ["output", "name"], f'the output "{name}" is not finite where every input is missing; fill it otherwise'
    sums, place = p.sum(1), ["output", "activation"]
    shares = p.min() > -SUM_TOLERANCE and np.abs(sums - 1).max() < SUM_TOLERANCE
    if activation == "none" and not shares:
        found = f"{np.round(p[0], 4).tolist()}, which sum to {sums[0]:.4g}"
        return place, f'[output] activation: "{name}" should hold probabilities, found {found}; softmax or sigmoid?'
    if activation == "softmax" and shares:
        return place, f'[output] activation: "{name}" holds probabilities already, expected "none"'
    return None
