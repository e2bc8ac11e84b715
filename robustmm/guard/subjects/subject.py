"""A model as its guard sees it: an embedding for every modality, a decoder of any subset, answers to stand in for."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from robustmm.guard.detectors.modality import COLUMNS, InputDetectors, write_columns
from robustmm.guard.graph.operators import PLACE, Operators, opset_of
from robustmm.runtime.runner import Runner
from robustmm.runtime.session import Session

Array = NDArray[Any]
Masks = NDArray[np.bool_]
Embedding = NDArray[np.float32]

EXAMPLES = 30_000
WHOLE_EXAMPLES = 8_000
"""Where a modality without an encoder of its own enters the decoder, which then runs much of the model."""


class Given(NamedTuple):
    """The tensor (batch, *shape) of the graph that holds a modality's input."""

    tensor: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Subject(ABC):
    """`model` is to get a guard. `decoder` gives `scores` (batch, class), logits, and each answer (batch, width) by its
    name, from `present` (batch, modality) and every `z.<modality>` (batch, width of that modality). `presence` is the
    model's tensor of what its caller says is there."""

    session: Session
    model: onnx.ModelProto
    decoder: onnx.ModelProto
    given: Mapping[str, Given]
    widths: Mapping[str, int]
    presence: str
    scores: str
    precision: str
    answers: Mapping[str, int]
    exact: ClassVar[bool]
    """Whether the model's own answer stands for what its caller leaves out too, or for what is complete alone."""

    @property
    def is_whole(self) -> bool:
        """Whether the decoder is the whole model, for no modality has an encoder of its own."""
        return not self.session.encoded

    @property
    def examples(self) -> int:
        """Examples that a guard is fitted to at most."""
        return EXAMPLES if set(self.session.encoded) == set(self.session.names) else WHOLE_EXAMPLES

    @abstractmethod
    def lay_out(self, name: str, x: Array) -> Array:
        """Signals (batch, *modality.shape) as the tensor `given` holds them."""

    @abstractmethod
    def embed(self, name: str, x: Array) -> Embedding:
        """z (batch, width) of signals (batch, *modality.shape)."""

    def widen(self, fitted: Mapping[str, InputDetectors]) -> None:
        """Puts what the detectors read of every input beside its embedding, `guard/encoded/<modality>`, in place:
        `z.<modality>` (batch, width + COLUMNS) in the model, and `guard/z/<modality>` (batch, width)."""
        for name, (tensor, shape, dtype) in self.given.items():
            ops = Operators(f"{PLACE}input/{name}/", opset_of(self.model))
            columns = write_columns(ops, tensor, shape, dtype, fitted[name])
            ops("Concat", f"{PLACE}encoded/{name}", columns, axis=1, named=f"z.{name}")
            ops("Slice", f"z.{name}", *map(ops.numbers, (0, self.widths[name], 1)), named=f"{PLACE}z/{name}")
            ops.append_to(self.model)
        self.declare_wide({
            f"z.{name}": helper.make_tensor_value_info(f"z.{name}", TensorProto.FLOAT, ["batch", width + COLUMNS])
            for name, width in self.widths.items()
        })  # fmt: skip

    @abstractmethod
    def declare_wide(self, wide: Mapping[str, onnx.ValueInfoProto]) -> None:
        """Tells the shapes of the wide embeddings, where the model tells such."""

    @abstractmethod
    def is_silent(self, ops: Operators) -> str:
        """(batch, 1) bool: where the model's own answer stands, for all that `used` holds."""

    @abstractmethod
    def write_facts(self, thresholds: NDArray[np.float64], budget: float) -> None:
        """What the file says of itself, in place."""

    @abstractmethod
    def seal(self) -> bytes:
        """The finished model as a file's content."""

    @abstractmethod
    def feed_plain(self, inputs: Mapping[str, Array], present: Masks) -> dict[str, Array]:
        """What the plain file is fed for signals (batch, *modality.shape) some of which are missing."""

    @abstractmethod
    def feed_hardened(self, inputs: Mapping[str, Array], present: Masks) -> dict[str, Array]:
        """Likewise the hardened file."""

    @abstractmethod
    def open_plain(self) -> Runner:
        """The plain file, as it is deployed, with `answers` as its outputs."""

    @abstractmethod
    def to_probabilities(self, answers: Sequence[Array]) -> NDArray[np.float64]:
        """(batch, class) of what the file answers."""

    def open_hardened(self, file: Path) -> Runner:
        """The hardened file, with `answers` and `used` as its outputs."""
        return Runner(file, outputs=[*self.answers, "used"])
