"""Feeds modalities to the inputs of a foreign graph: signals are laid out, missing ones are filled."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustmm.modalities import Modality
from robustmm.runtime.foreign.preprocessing import AXIS_LETTERS, Preprocessing
from robustmm.runtime.foreign.tokens import MarkedText, split_padding
from robustmm.runtime.graph import Tensor


@dataclass(frozen=True)
class InputBinding:
    """One modality's place in the graph's inputs."""

    modality: Modality
    preprocessing: Preprocessing
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one signal as the graph takes it, without the batch."""
        sizes = dict(zip(AXIS_LETTERS[self.modality.kind], self.modality.shape, strict=True))
        return tuple(sizes.get(c, 1) for c in self.preprocessing.layout[1:])

    @property
    def axis(self) -> int:
        """The axis of the channels, the batch counted."""
        return max(self.preprocessing.layout.find("C"), self.preprocessing.layout.find("D"))

    def __call__(self, /, **signals: NDArray[Any]) -> NDArray[Any]:
        """One modality's signals (batch, *modality.shape), scaled and laid out (batch, *shape); called by a session as
        an encoder is."""
        (x,) = signals.values()
        if self.modality.kind == "text":  # with its marks of padding; `build_inputs` takes them out
            return np.ascontiguousarray(x.reshape(len(x), *self.shape))
        if self.preprocessing.has_scaling or self.dtype.kind not in "iub":
            wide = x.astype(np.result_type(np.float32, self.dtype), copy=False)
            x = (wide - np.array(self.preprocessing.subtract, wide.dtype)) / np.array(
                self.preprocessing.divide, wide.dtype
            )
        if self.dtype.kind in "iu" and not np.can_cast(x.dtype, self.dtype):
            limits = np.iinfo(self.dtype)
            x = np.clip(np.rint(x), limits.min, limits.max)
        letters = AXIS_LETTERS[self.modality.kind]
        kept = [letters.index(c) for c in self.preprocessing.layout[1:] if c != "1"]
        order = [0, *(1 + i for i in [*kept, *(set(range(len(letters))) - set(kept))])]
        return np.ascontiguousarray(x.transpose(order).reshape(len(x), *self.shape), self.dtype)

    @cached_property
    def filler(self) -> NDArray[Any]:
        """The fill of a missing signal (1, *shape)."""
        m, missing = self.modality, self.preprocessing.missing
        if missing == "empty":
            return self(x=np.asarray(m.feed(""))[None])
        if missing == "zero":
            return self(x=m.blank_input()[None]) if m.kind == "text" else np.zeros((1, *self.shape), self.dtype)
        numbers = getattr(m, "mean", ()) if missing == "mean" else missing
        return self(x=np.broadcast_to(np.array(numbers, np.float32), (1, *m.shape)))


def build_inputs(
    bindings: Sequence[InputBinding],
    z: Mapping[str, NDArray[Any]],
    present: NDArray[np.bool_],
    tensors: Mapping[str, Tensor],
) -> dict[str, NDArray[Any]]:
    """The graph's inputs, from the laid-out signals (batch, *shape) of some modalities and the presence mask (batch,
    modality) of all."""
    shared: dict[str, list[tuple[InputBinding, NDArray[Any]]]] = defaultdict(list)
    mask_columns: dict[str, list[NDArray[np.bool_]]] = defaultdict(list)
    fed: dict[str, NDArray[Any]] = {}
    for m, binding in enumerate(bindings):
        preprocessing = binding.preprocessing
        if preprocessing.present:
            mask_columns[preprocessing.present].append(present[:, m])
        if binding.modality.name not in z:
            continue
        own = z[binding.modality.name]
        here = present[:, m].reshape(-1, *[1] * (own.ndim - 1))
        own = np.where(here, own, binding.filler)
        if isinstance(binding.modality, MarkedText):
            own, held = split_padding(binding.modality, own)
            fed |= {preprocessing.mask: held} if preprocessing.mask else {}
            fed |= {preprocessing.token_type: np.zeros(own.shape)} if preprocessing.token_type else {}
        shared[preprocessing.input].append((binding, own))
    for name, columns in mask_columns.items():
        flat = len(columns) == 1 and len(tensors[name].dims or ()) == 1
        fed[name] = columns[0] if flat else np.stack(columns, 1)
    for name, parts in shared.items():
        parts.sort(key=lambda part: part[0].preprocessing.columns or (0, 0))
        fed[name] = np.concatenate([own for _, own in parts], parts[0][0].axis) if len(parts) > 1 else parts[0][1]
    return {name: x.astype(tensors[name].dtype, copy=False) for name, x in fed.items()}
