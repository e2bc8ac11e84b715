"""One graph under onnxruntime: on a device through IO binding, never on a single row."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph

from robustmm.errors import UsageError, suggest

GRAPH_ERRORS = (Fail, InvalidArgument, InvalidGraph)
"""What onnxruntime raises for a graph that it cannot run."""

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}


class Runner:
    """A graph with one output: named arrays in, one array out. `batch` is the only number of rows that the graph
    takes, 0 where it takes any."""

    def __init__(self, graph: onnx.ModelProto, provider: str = "cpu", threads: int = 0, batch: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        wanted = find_providers(provider)
        self.session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=wanted)
        if wanted[0] not in self.session.get_providers():  # its libraries are missing; onnxruntime logged which
            raise UsageError(f"{wanted[0]} is built in but cannot be used here; see: robustmm doctor")
        self.inputs = {i.name for i in self.session.get_inputs()}
        self.output = self.session.get_outputs()[0].name
        self.bound = provider != "cpu"
        self.batch = batch

    def __call__(self, /, **feed: NDArray[Any]) -> NDArray[Any]:
        """The output for arrays of one length. A single row runs together with a copy of itself: for one row,
        onnxruntime takes other kernels, which round differently. A graph of a fixed batch gets that many rows at once,
        the last row repeated."""
        rows = len(next(iter(feed.values())))
        given = {name: x for name, x in feed.items() if name in self.inputs}
        if not self.batch and rows != 1:
            return self._run(given)
        size = self.batch or 2
        blocks = [np.minimum(range(start, start + size), rows - 1) for start in range(0, rows, size)]
        return np.concatenate([self._run({n: x[block] for n, x in given.items()}) for block in blocks])[:rows]

    def _run(self, given: dict[str, NDArray[Any]]) -> NDArray[Any]:
        given = {name: np.ascontiguousarray(x) for name, x in given.items()}
        return np.asarray(self._run_with_binding(given) if self.bound else self.session.run([self.output], given)[0])

    def _run_with_binding(self, feed: dict[str, NDArray[Any]]) -> NDArray[Any]:
        """Runs through IO binding: the output stays on the provider's device until it is copied."""
        binding = self.session.io_binding()
        for name, x in feed.items():
            binding.bind_cpu_input(name, x)
        binding.bind_output(self.output, "cuda" if PROVIDERS["cuda"] in self.session.get_providers() else "cpu")
        self.session.run_with_iobinding(binding)
        answer: NDArray[Any] = binding.copy_outputs_to_cpu()[0]
        return answer


def split_batches(x: NDArray[Any], size: int) -> Iterator[NDArray[Any]]:
    for start in range(0, len(x), size):
        yield x[start : start + size]


def find_providers(provider: str) -> Sequence[str]:
    """onnxruntime's name of a provider that is here, with the CPU behind it."""
    if provider not in PROVIDERS:
        raise UsageError(f'"{provider}" is not a provider{suggest(provider, PROVIDERS)}')
    if provider != "cpu" and PROVIDERS[provider] not in onnxruntime.get_available_providers():
        raise UsageError(f"the provider {provider} is not available here; see: robustmm doctor")
    return list(dict.fromkeys([PROVIDERS[provider], PROVIDERS["cpu"]]))
