"""A model as its guard sees it: an embedding for every modality, a decoder of any subset, answers to stand in for."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from robustmm.guard.detectors.modality import InputDetectors
from robustmm.guard.graph.operators import Operators
from robustmm.runtime.runner import Runner
from robustmm.runtime.session import Session

Array = NDArray[Any]
Masks = NDArray[np.bool_]
Embedding = NDArray[np.float32]


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
    is_whole: bool
    """Whether the decoder is the whole model, for no modality has an encoder of its own."""
    rows: int
    """Rows that the decoder is given at once."""
    examples: int
    """Examples that a guard is fitted to at most."""
    exact: ClassVar[bool]
    """Whether the model's own answer stands for what its caller leaves out too, or for what is complete alone."""

    @abstractmethod
    def lay_out(self, name: str, x: Array) -> Array:
        """Signals (batch, *modality.shape) as the tensor `given` holds them."""

    @abstractmethod
    def embed(self, name: str, x: Array) -> Embedding:
        """z (batch, width) of signals (batch, *modality.shape)."""

    @abstractmethod
    def widen(self, fitted: Mapping[str, InputDetectors]) -> None:
        """Puts what the detectors read of every input beside its embedding: `z.<modality>` (batch, width + COLUMNS) in
        the model, and `guard/z/<modality>` (batch, width), in place."""

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
