"""The part of a cut foreign graph that reads one modality, and the embedding that it gives as one array."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustmm.runtime.foreign.inputs import InputBinding, build_inputs
from robustmm.runtime.foreign.parts.cut import Tensor
from robustmm.runtime.graph import Tensor as GraphTensor
from robustmm.runtime.runner import Runner


class CutEncoder:
    """Signals in, the embedding (batch, width) out: the modality's last tensors side by side, in a precision that holds
    each of their numbers exactly."""

    def __init__(
        self, binding: InputBinding, runner: Runner, tensors: Sequence[Tensor], inputs: dict[str, GraphTensor]
    ) -> None:
        self.binding, self.runner, self.tensors, self.inputs = binding, runner, tensors, inputs
        exact = all(t.dtype in (np.float32, np.float16, np.bool_) or t.dtype.itemsize < 3 for t in tensors)
        self.dtype = np.dtype(np.float32 if exact else np.float64)

    def __call__(self, /, **signals: NDArray[Any]) -> NDArray[Any]:
        """The embedding (batch, width) of signals (batch, *modality.shape); called by a session as an encoder is."""
        return self.encode(self.binding(**signals))

    def encode(self, laid_out: NDArray[Any]) -> NDArray[Any]:
        """The embedding of signals as the graph takes them (batch, *binding.shape)."""
        here = np.ones((len(laid_out), 1), bool)
        feed = build_inputs([self.binding], {self.binding.modality.name: laid_out}, here, self.inputs)
        values = self.runner.run(feed)
        return np.concatenate([x.reshape(len(x), -1).astype(self.dtype) for x in values], 1)

    def unpack(self, z: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The tensors that the head reads, of an embedding."""
        found, start = {}, 0
        for tensor in self.tensors:
            width = int(np.prod(tensor.shape))
            part = z[:, start : start + width].reshape(len(z), *tensor.shape)
            start += width
            found[tensor.name] = (part if tensor.dtype.kind == "f" else np.rint(part)).astype(tensor.dtype)
        return found
