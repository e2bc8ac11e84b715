"""A session: an exported file under onnxruntime, cut at its embeddings into encoders and one decoder."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from robustmm.errors import DataError, RobustmmError, UsageError, check_regular
from robustmm.modalities import Modality
from robustmm.modalities.files.limits import NUMBER_BYTES, check_claim
from robustmm.runtime.graph import find_bytes, inputs
from robustmm.runtime.metadata import load_metadata
from robustmm.runtime.runner import GRAPH_ERRORS, Runner, split_batches
from robustmm.runtime.seal import doubt_bytes

OTHER_FORMATS = (
    (0, b"PK\x03\x04", "a zip archive, such as PyTorch and Keras write"),
    (0, b"\x80", "a pickle, such as PyTorch and scikit-learn write"),
    (0, b"\x89HDF", "an HDF5 file, such as Keras writes"),
    (4, b"TFL3", "a TensorFlow Lite model"),
    (8, b'{"', "a safetensors file"),
    (0, b"\x1f\x8b", "packed by gzip"),
)
"""How files of other formats begin: an offset, the bytes there, and what it is."""

Embeddings = Mapping[str, NDArray[Any]]
"""What the decoder reads, by modality: z (batch, width) where the graph was cut."""


class Session:
    """`embed` one modality, `decode` any subset, `predict` both. Arrays in, arrays out.

    The graph has inputs named like the modalities and `present` (batch, modality) bool, and outputs `logits`,
    `probabilities` and one `z.<modality>` (batch, width) each. Everything else an audit needs is in its metadata.
    An encoder runs on `batch` rows at once; answers do not depend on it.
    """

    description: Path | None
    """The description of a file that other tools made, None for ours."""
    notes: Sequence[str] = ()
    """What a reader of its answers should know."""
    decodes = 16_384
    """Rows given to the decoder at once."""

    def __init__(self, path: Path, provider: str = "cpu", threads: int = 0, batch: int = 64) -> None:
        graph = read_graph(path)
        found = load_metadata(graph, path)
        self.path, self.provider, self.description = path, provider, None
        self.notes = doubt_bytes(path, graph)
        self.facts = found.model_dump(mode="json")
        self.modalities: list[Modality] = list(found.modalities)
        self.names = [m.name for m in self.modalities]
        self.classes = found.classes
        self.prior: NDArray[np.float64] = np.array(found.prior)
        self.batch = batch
        try:
            cut = onnx.utils.Extractor(graph)
            parts = {n: cut.extract_model([n], [f"z.{n}"]) for n in self.names}
            self._encoders = {n: Runner(part, provider, threads) for n, part in parts.items()}
            z = [f"z.{name}" for name in self.names]
            outputs = ["logits", "used"] if found.guard else ["logits"]
            self._decoder = Runner(cut.extract_model([*z, "present"], outputs), provider, threads)
        except RobustmmError:
            raise
        except Exception as error:  # onnx asserts, looks up and infers; onnxruntime's errors share no base class
            told = " ".join(str(error).split()) or type(error).__name__
            raise DataError(f"{path} cannot be cut at its embeddings: {told}") from error

    @property
    def encoded(self) -> list[str]:
        """The modalities whose encoders run apart from the rest."""
        return self.names

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
        if not len(x):
            return self.blank_embedding(name, 0)
        with self.describe_refusals():
            return np.concatenate([self._encoders[name](**{name: part}) for part in split_batches(x, self.batch)])

    def decode(self, z: Embeddings, present: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Probabilities (batch, class) from embeddings and the presence mask (batch, modality)."""
        feed = {f"z.{name}": z[name] for name in self.names}
        with self.describe_refusals():
            return softmax(self._decoder(**feed, present=present))

    @property
    def is_hardened(self) -> bool:
        """Whether a guard in the graph decides which of the present modalities it answers from."""
        return bool(self.facts.get("guard"))

    def choose_used(self, z: Embeddings, present: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(batch, modality): what a hardened model answers from, without memory; `present` for one without a guard."""
        if not self.is_hardened:
            return present
        feed = {f"z.{name}": z[name] for name in self.names}
        with self.describe_refusals():
            return np.asarray(self._decoder.run({**feed, "present": present})[1])

    @contextmanager
    def describe_refusals(self) -> Iterator[None]:
        """Turns what onnxruntime refuses while it runs into a sentence."""
        try:
            yield
        except GRAPH_ERRORS as error:
            raise DataError(describe_refusal(self.path, error)) from error

    def blank_embedding(self, name: str, batch: int) -> NDArray[np.float32]:
        """An embedding for rows without this modality; what it holds does not matter."""
        return np.zeros((batch, int(self.facts["width"])), np.float32)

    def predict(self, inputs: Mapping[str, NDArray[Any]], present: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Probabilities (batch, class). A modality that no row has may be left out of `inputs`."""
        return self.decode(self.embeddings(inputs, len(present)), present)

    def embeddings(self, inputs: Mapping[str, NDArray[Any]], batch: int) -> dict[str, NDArray[np.float32]]:
        """The embedding of every modality; blank for those left out."""
        return {n: self.embed(n, inputs[n]) if n in inputs else self.blank_embedding(n, batch) for n in self.names}


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Over the last axis, in double precision."""
    shifted = logits.astype(np.float64)
    with np.errstate(invalid="ignore"):  # infinite logits are NaN here, and told where the sample is known
        shifted -= shifted.max(-1, keepdims=True)
        exponential = np.exp(shifted)
        return np.asarray(exponential / exponential.sum(-1, keepdims=True))


def read_graph(path: Path) -> onnx.ModelProto:
    """The graph in a file. Raises DataError for a file that is not there or not ONNX, and for inputs that are larger
    than a cell may be."""
    check_regular(path)
    if not path.is_file():
        raise DataError(f"the model {path} does not exist")
    try:
        graph = onnx.load(str(path))
        if not graph.graph.node:
            empty = "it is empty" if path.stat().st_size == 0 else "it has no nodes"
            raise DataError(f"{path} is not an ONNX model: {empty}")
        if wrong := find_bytes(graph):
            raise DataError(f"{path} is damaged: its names should be UTF-8, found {wrong!r}")
    except DataError:
        raise
    except Exception as error:  # protobuf's parse errors share no base class across its versions
        raise DataError(describe_unreadable(path, error)) from error
    for tensor in inputs(graph):
        dims = [size or 1 for size in tensor.dims or ()]
        itemsize = tensor.dtype.itemsize if tensor.dtype else 1
        check_claim(max(itemsize * prod(dims), NUMBER_BYTES * prod(dims[1:])), path, f"the input {tensor}")
    return graph


def describe_unreadable(path: Path, error: Exception) -> str:
    """Why a file is no ONNX model, as far as its first bytes and the error tell."""
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith(b"version https://git-lfs"):
        return f"{path} is a Git LFS pointer, not the model; fetch it with: git lfs pull"
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return f"{path} is a web page, not a model; download the file itself"
    if start[4:8] == b"ORTM":
        return f"{path} is in onnxruntime's own format (.ort); give the .onnx that it was made from"
    for offset, sign, what in OTHER_FORMATS:
        if start[offset:].startswith(sign):
            return f"{path} is {what}, not an ONNX model; export it as ONNX"
    if lost := re.search(r"TensorProto.* should be stored in (.+?), but it", str(error)):
        return f"{path} keeps its weights in {lost[1]}, which should stand beside it, found none"
    return f"{path} is not a readable ONNX model"


def describe_refusal(path: Path, error: Exception, hint: str = "") -> str:
    """Why onnxruntime does not run a model, in one line and without the place in its own source. `hint` is added where
    the rows that it was given may be the reason."""
    text = " ".join(str(error).split())
    here = f"onnxruntime {onnxruntime.__version__} reads up to"
    if found := re.search(r"IR version: (\d+), max supported IR version: (\d+)", text):
        return f"{path} has the ONNX IR version {found[1]}, {here} {found[2]}; export it again, or update onnxruntime"
    if found := re.search(r"Opset (\d+) is under development.* for domain (\S+) is till opset (\d+)", text):
        wanted = f"with opset_version={found[3]}" if found[2] == "ai.onnx" else "with an older opset"
        return f"{path} has opset {found[1]} of {found[2]}, {here} {found[3]}; export it again {wanted}"
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    text = text.removeprefix(f"Load model from {path} failed:").strip()
    text = re.sub(r"\S*onnxruntime_src\S+:\d+ .*?\) (?=[A-Z])", "", text)
    shaped = re.search("running|shape|dimension|rank", text, re.IGNORECASE)
    return f"{path} cannot be run: {text}{hint if shaped else ''}"
