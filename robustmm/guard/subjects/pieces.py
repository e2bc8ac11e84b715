"""What the head of a foreign graph reads of a modality: an embedding, or what the graph is fed, side by side."""

from typing import Any, NamedTuple

import numpy as np

from robustmm.guard.graph.operators import Operators
from robustmm.guard.subjects.subject import Array, Embedding
from robustmm.runtime.foreign.inputs import InputBinding, build_inputs
from robustmm.runtime.foreign.session import ForeignSession

FARTHEST = 1e30
"""Stands for an infinity in an embedding, such as masks of padding hold: it can be multiplied by 0."""


class Piece(NamedTuple):
    """A tensor (batch, *shape) that the head reads, or some `columns` of it along an `axis`."""

    tensor: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    axis: int = 0
    columns: tuple[int, int] | None = None


def list_pieces(session: ForeignSession, binding: InputBinding) -> list[Piece]:
    """The graph's inputs of a modality without an encoder of its own."""
    found = []
    for name in list_inputs(binding):
        columns = binding.preprocessing.columns if name == binding.preprocessing.input else None
        dtype = session.tensors[name].dtype
        assert dtype is not None  # or it would not have been bound
        shared = columns and sum(b.preprocessing.input == name for b in session.bindings) > 1
        found.append(Piece(name, binding.shape, dtype, binding.axis, columns if shared else None))
    return found


def list_inputs(binding: InputBinding) -> list[str]:
    """The graph's inputs that hold one modality."""
    told = binding.preprocessing
    return [name for name in (told.input, told.mask, told.token_type) if name]


def feed_one(session: ForeignSession, binding: InputBinding, laid_out: Array) -> dict[str, Array]:
    """The graph's inputs of one modality, which of a shared one are its own columns."""
    here = np.ones((len(laid_out), 1), bool)
    return build_inputs([binding], {binding.modality.name: laid_out}, here, session.tensors)


def embed(session: ForeignSession, name: str, x: Array) -> Embedding:
    """What the head reads of a modality (batch, width): the embedding, or all that the graph is fed."""
    binding = session.bindings[session.names.index(name)]
    if name in session.encoded:
        return bound(session.embed(name, x))
    return flatten_inputs(session, binding, binding(x=x))


def fill_embedding(session: ForeignSession, binding: InputBinding) -> Embedding:
    """The embedding (1, width) of what is missing."""
    name = binding.modality.name
    if name in session.encoded:
        return bound(session.blank_embedding(name, 1))
    return flatten_inputs(session, binding, binding.filler)


def flatten_inputs(session: ForeignSession, binding: InputBinding, laid_out: Array) -> Embedding:
    """(batch, width) of all that the graph is fed of a modality."""
    fed = feed_one(session, binding, laid_out)
    own = [fed[name] for name in list_inputs(binding)]
    return bound(np.concatenate([part.reshape(len(part), -1).astype(np.float32) for part in own], 1))


def bound(z: Array) -> Embedding:
    z = z.astype(np.float32)
    return np.where(np.isinf(z), np.copysign(np.float32(FARTHEST), z), z)


def take_columns(ops: Operators, piece: Piece) -> str:
    return ops.slice(piece.tensor, piece.axis, *piece.columns) if piece.columns else piece.tensor
