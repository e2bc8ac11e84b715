"""The results of every sample under one condition.

Their file is made for many small ones: a line of JSON (`Head`), then the bytes of every array, each from a multiple of
8 on. An .npz of 19 arrays takes longer to open than to measure.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import IO, Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Array = NDArray[np.float64]
ALIGNMENT = 8
"""Bytes of the widest number: arrays that begin at a multiple of it are read where they stand."""


@dataclass
class Records:
    """One row per sample under one condition. Contributions are of two games: log p(true class) and correctness;
    the value of the empty set is that of the class prior, tied classes at random. NaN marks a missing modality."""

    ids: list[str]
    target: NDArray[np.int64]
    present: NDArray[np.bool_]  # (samples, modality)
    probabilities: Array  # (samples, class)
    phi_log_probability: Array  # (samples, modality)
    phi_accuracy: Array  # (samples, modality)
    unimodal_correct: Array  # (samples, modality): 1 where the unimodal answer is right
    leave_one_out_correct: Array  # (samples, modality): 1 where right without this modality
    empty_value: Array  # (samples, 2): value of the empty set in both games
    subset_correct: NDArray[np.float32]  # (samples, 2**modality): the empty subset first; no columns unless exact
    interaction: Array  # (samples, pair): Shapley interaction of correctness, pairs as itertools.combinations has them
    additive: Array  # (samples,): 1 where the additive projection is right, NaN where it was not measured
    information: Array  # (samples, modality): share of log p(true class), with log 1/classes for the empty set
    certainty: Array  # (samples, modality): 1 - entropy / log(classes) of the unimodal answer
    residual: float = 0.0  # largest |sum phi - (v(all) - v(empty))|
    untouched: int = 0  # samples that the condition's corruptions left bit-identical
    used: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0), bool))
    # (samples, modality): what was answered from, which a guard may have chosen; no columns unless there is one
    snr: Array = field(default_factory=lambda: np.zeros((0, 0)))  # (samples, modality), see evaluate.signal_to_noise
    exact: bool = True

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[np.int64]) -> "Records":
        """Some rows, or all in another order; facts of the whole stay."""
        arrays = {name: getattr(self, name)[rows] for name in ARRAYS}
        return Records([self.ids[i] for i in rows], **arrays, **{name: getattr(self, name) for name in FACTS})

    def write(self, file: IO[bytes]) -> None:
        arrays = [np.ascontiguousarray(getattr(self, name)) for name in ARRAYS]
        head = {name: getattr(self, name) for name in ("ids", *FACTS)}
        head["arrays"] = [(array.dtype.str, array.shape) for array in arrays]
        line = json.dumps(head).encode()
        file.write(line + b" " * (-(len(line) + 1) % ALIGNMENT) + b"\n")
        for array in arrays:
            file.write(array.tobytes() + bytes(-array.nbytes % ALIGNMENT))


ARRAYS = tuple(f.name for f in fields(Records) if f.name not in ("ids", "residual", "untouched", "exact"))
FACTS = ("residual", "untouched", "exact")


class Head(BaseModel):
    """The first line of records in a file: all but the content of their arrays."""

    model_config = ConfigDict(extra="forbid")

    ids: list[str]
    residual: float
    untouched: int
    exact: bool
    arrays: list[tuple[Literal["<i8", "|b1", "<f8", "<f4"], tuple[Annotated[int, Field(ge=0, lt=2**31)], ...]]]


def load_records(file: IO[bytes]) -> Records:
    """What `Records.write` wrote. Raises ValueError for anything else."""
    content = bytearray(file.read())  # arrays are views of it, which may be written to
    start = content.find(b"\n") + 1
    head = Head.model_validate(json.loads(content[:start]))
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, (dtype, shape) in zip(ARRAYS, head.arrays, strict=True):
        number, kind = math.prod(shape), np.dtype(dtype)
        if start + number * kind.itemsize > len(content):
            raise ValueError(f'expected the whole of "{name}", found the end of the file')
        if number and shape[:1] != (len(head.ids),):
            raise ValueError(f'expected {len(head.ids)} rows of "{name}", found the shape {shape}')
        arrays[name] = np.frombuffer(content, kind, number, start).reshape(shape)
        start += number * kind.itemsize
        start += -start % ALIGNMENT
    if start != len(content):
        raise ValueError(f"expected {start} bytes, found {len(content)}")
    return Records(head.ids, **arrays, **{name: getattr(head, name) for name in FACTS})  # type: ignore[arg-type]


def join_records(parts: Sequence[Records]) -> Records:
    """Batches in order, as one."""
    return Records(
        ids=[sample for part in parts for sample in part.ids],
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS},
        residual=max(part.residual for part in parts),
        untouched=sum(part.untouched for part in parts),
        exact=parts[0].exact,
    )
