"""What is written with `Operators`, run by onnxruntime on arrays."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from robustmm.guard.graph.operators import Operators, build_model
from robustmm.runtime.runner import Runner

Write = Callable[..., str | Sequence[str]]


def run_nodes(write: Write, *arrays: NDArray[Any], opset: int = 20) -> list[NDArray[Any]]:
    """The outputs of `write(ops, *names)` for these arrays, whose first axis is the batch."""
    ops, names = Operators("test/", opset), [f"x{i}" for i in range(len(arrays))]
    ends = write(ops, *names)
    given = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), ["batch", *x.shape[1:]])
        for name, x in zip(names, arrays, strict=True)
    ]
    model = build_model(ops, given, [ends] if isinstance(ends, str) else list(ends))
    return Runner(model, threads=1).run_exactly(dict(zip(names, arrays, strict=True)))


def run_one(write: Write, *arrays: NDArray[Any], opset: int = 20) -> NDArray[np.float64]:
    """The first of them, in double precision."""
    return run_nodes(write, *arrays, opset=opset)[0].astype(np.float64)
