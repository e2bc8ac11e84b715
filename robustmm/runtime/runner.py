"""One graph under onnxruntime: on a device through IO binding, never on a single row."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import (
    EPFail,
    Fail,
    InvalidArgument,
    InvalidGraph,
    NotImplemented,
    RuntimeException,
)

from robustmm.errors import UsageError, suggest

GRAPH_ERRORS = (EPFail, Fail, InvalidArgument, InvalidGraph, NotImplemented, RuntimeException)
"""What onnxruntime raises for a graph that it cannot run, or not on what it is given."""

SILENT = 4
"""Only what ends the process is logged: onnxruntime's log quotes names of a stranger's graph as they are."""
onnxruntime.set_default_logger_severity(SILENT)

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}


class Runner:
    """A graph, or a file with one: named arrays in; the first output out, or with `run` all of them. `outputs` names
    those wanted where they are not all. `batch` is the only number of rows that the graph takes, 0 where it takes
    any. A file is opened by its path, as it is deployed, and may keep its weights beside it."""

    def __init__(
        self,
        graph: onnx.ModelProto | Path,
        provider: str = "cpu",
        threads: int = 0,
        batch: int = 0,
        outputs: Sequence[str] = (),
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = SILENT
        wanted = find_providers(provider)
        source = str(graph) if isinstance(graph, Path) else graph.SerializeToString()
        self.session = onnxruntime.InferenceSession(source, options, providers=wanted)
        if wanted[0] not in self.session.get_providers():
            raise UsageError(
                f"{wanted[0]} is built in but cannot be used here (are its libraries, CUDA and cuDNN, installed?); "
                "see: robustmm doctor"
            )
        optional = self.session.get_overridable_initializers()
        self.inputs = {i.name for i in (*self.session.get_inputs(), *optional)}
        self.outputs = list(outputs) or [o.name for o in self.session.get_outputs()]
        self.bound = provider != "cpu"
        self.batch = batch

    def __call__(self, /, **feed: NDArray[Any]) -> NDArray[Any]:
        """The first output, see `run`."""
        return self.run(feed)[0]

    def run(self, feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The outputs for arrays of one length. A single row runs together with a copy of itself: for one row,
        onnxruntime takes other kernels, which round differently. A graph of a fixed batch gets that many rows at once,
        the last row repeated."""
        rows = len(next(iter(feed.values())))
        given = {name: x for name, x in feed.items() if name in self.inputs}
        if not self.batch and rows != 1:
            return self._run(given)
        size = self.batch or 2
        blocks = [np.minimum(range(start, start + size), rows - 1) for start in range(0, rows, size)]
        parts = [self._run({n: x[block] for n, x in given.items()}) for block in blocks]
        return [np.concatenate(found)[:rows] for found in zip(*parts, strict=True)]

    def run_exactly(self, feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The outputs for just these rows, a single one included: as a deployed file is run."""
        return self._run({name: x for name, x in feed.items() if name in self.inputs})

    def _run(self, given: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        given = {name: np.ascontiguousarray(x) for name, x in given.items()}
        found = self._run_with_binding(given) if self.bound else self.session.run(self.outputs, given)
        return [np.asarray(x) for x in found]

    def _run_with_binding(self, feed: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Runs through IO binding: the outputs stay on the provider's device until they are copied."""
        binding = self.session.io_binding()
        for name, x in feed.items():
            binding.bind_cpu_input(name, x)
        for name in self.outputs:
            binding.bind_output(name, "cuda" if PROVIDERS["cuda"] in self.session.get_providers() else "cpu")
        self.session.run_with_iobinding(binding)
        answer: list[NDArray[Any]] = binding.copy_outputs_to_cpu()
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
