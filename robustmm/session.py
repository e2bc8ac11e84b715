"""A session: an exported file under onnxruntime, cut at its embeddings into encoders and one decoder."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from pydantic import TypeAdapter

from robustmm.errors import DataError, UsageError
from robustmm.modalities import AnyModality, Modality

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
METADATA = "robustmm"
FORMAT = 1
_MODALITIES = TypeAdapter(list[AnyModality])


class Session:
    """`embed` one modality, `decode` any subset, `predict` both. Arrays in, arrays out.

    The graph has inputs named like the modalities and `present` (batch, modality) bool, and outputs `logits`,
    `probabilities` and one `z.<modality>` (batch, width) each. Everything else an audit needs is in its metadata.
    """

    def __init__(self, path: Path, provider: str = "cpu", threads: int = 0) -> None:
        graph = opened(path)
        facts = metadata(graph, path)
        self.path = path
        self.facts = facts
        self.modalities: list[Modality] = list(_MODALITIES.validate_python(facts["modalities"]))
        self.names = [m.name for m in self.modalities]
        self.classes: list[str] = facts["classes"]
        self.prior: NDArray[np.float64] = np.array(facts["prior"])
        self._options = onnxruntime.SessionOptions()
        self._options.intra_op_num_threads = threads
        self._options.log_severity_level = 3
        self._provider = usable(provider)
        try:
            cut = onnx.utils.Extractor(graph)
            self._encoders = {n: self._run(cut.extract_model([n], [f"z.{n}"])) for n in self.names}
            z = [f"z.{name}" for name in self.names]
            self._decoder = self._run(cut.extract_model([*z, "present"], ["logits"]))
        except (ValueError, KeyError, onnxruntime.capi.onnxruntime_pybind11_state.Fail) as error:
            raise DataError(f"{path} cannot be cut at its embeddings: {error}") from error

    def _run(self, graph: onnx.ModelProto) -> onnxruntime.InferenceSession:
        made = onnxruntime.InferenceSession(graph.SerializeToString(), self._options, providers=self._provider)
        if self._provider[0] not in made.get_providers():  # its libraries are not here, onnxruntime has said which
            raise UsageError(f"{self._provider[0]} is built in but cannot be used here; see: robustmm doctor")
        return made

    def modality(self, name: str) -> Modality:
        return self.modalities[self.names.index(name)]

    def embed(self, name: str, x: NDArray[Any]) -> NDArray[np.float32]:
        """z (batch, width) of one modality's input (batch, *shape)."""
        modality = self.modality(name)
        if x.shape[1:] != modality.shape or x.dtype != modality.dtype:
            raise UsageError(
                f"the input {name} should be {modality.dtype} (batch, {', '.join(map(str, modality.shape))}), "
                f"found {x.dtype} {x.shape}"
            )
        z: NDArray[np.float32] = self._encoders[name].run(None, {name: x})[0]
        return z

    def decode(self, z: NDArray[np.float32], present: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Probabilities (batch, class) from z (batch, modality, width) and what is present (batch, modality)."""
        feed: dict[str, NDArray[Any]] = {f"z.{n}": np.ascontiguousarray(z[:, m]) for m, n in enumerate(self.names)}
        logits = self._decoder.run(None, {**feed, "present": np.ascontiguousarray(present)})[0]
        return softmax(logits)

    def predict(self, inputs: Mapping[str, NDArray[Any]], present: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Probabilities (batch, class). A modality that no row has may be left out of `inputs`."""
        return self.decode(self.embeddings(inputs, len(present)), present)

    def embeddings(self, inputs: Mapping[str, NDArray[Any]], batch: int) -> NDArray[np.float32]:
        """z (batch, modality, width), zeros for modalities left out."""
        parts = {name: self.embed(name, x) for name, x in inputs.items()}
        width = next(iter(parts.values())).shape[1] if parts else int(self.facts["width"])
        z = np.zeros((batch, len(self.names), width), np.float32)
        for name, part in parts.items():
            z[:, self.names.index(name)] = part
        return z


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Over the last axis, in double precision."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(-1, keepdims=True)
    exponential = np.exp(shifted)
    return np.asarray(exponential / exponential.sum(-1, keepdims=True))


def opened(path: Path) -> onnx.ModelProto:
    """The graph in a file. Raises DataError for a file that is not there or not ONNX."""
    if not path.is_file():
        raise DataError(f"the model {path} does not exist")
    try:
        graph = onnx.load(str(path))
        if not graph.graph.node:
            raise DataError(f"{path} is not an ONNX model: it has no nodes")
    except DataError:
        raise
    except Exception as error:  # protobuf's parse errors share no base class across its versions
        raise DataError(f"{path} is not a readable ONNX model") from error
    return graph


def metadata(graph: onnx.ModelProto, path: Path) -> dict[str, Any]:
    """What `robustmm export` wrote beside the graph."""
    stored = {entry.key: entry.value for entry in graph.metadata_props}
    if METADATA not in stored:
        raise DataError(f"{path} was not exported by robustmm: it carries no {METADATA} metadata")
    facts: dict[str, Any] = json.loads(stored[METADATA])
    if facts["format"] != FORMAT:
        raise DataError(f"{path} has format {facts['format']}, this robustmm reads {FORMAT}")
    return facts


def usable(provider: str) -> Sequence[str]:
    """onnxruntime's name of a provider that is here, with the CPU behind it."""
    if provider not in PROVIDERS:
        raise UsageError(f'"{provider}" is not a provider (known: {", ".join(PROVIDERS)})')
    if provider != "cpu" and PROVIDERS[provider] not in onnxruntime.get_available_providers():
        raise UsageError(f"the provider {provider} is not available here; see: robustmm doctor")
    return list(dict.fromkeys([PROVIDERS[provider], PROVIDERS["cpu"]]))
