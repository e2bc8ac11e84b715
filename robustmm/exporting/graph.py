"""torch -> ONNX, part by part: every encoder and the decoder are traced apart, then joined by the names of their ends.

Traced as one, the exporter would read the batch size of every part off the first input, and the file could not be cut.
"""

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence

import onnx
import torch
from torch import Tensor, nn

from robustmm.errors import UsageError
from robustmm.modalities import Modality
from robustmm.model.fusion_model import FusionModel
from robustmm.runtime.graph import rename_tensors

OPSET = 20
EXAMPLES = 3
"""Rows of the examples that are traced: two sizes below it are special to the tracer."""
DECODER = "decoder/"
"""Prefix of everything inside the decoder; that of an encoder is `encoders/NAME/`. No modality's name has a slash."""
END = "end/"
"""Prefix of a part's inputs and outputs until it is joined: a modality may be called as the exporter calls a tensor."""


class EncoderGraph(nn.Module):
    """An input (batch, *shape) to its z (batch, width)."""

    def __init__(self, model: FusionModel, modality: str) -> None:
        super().__init__()
        self.model, self.modality = model, modality

    def forward(self, x: Tensor) -> Tensor:
        return self.model.embed_one(self.modality, x)


class DecoderGraph(nn.Module):
    """The presence mask (batch, modality) and every z to logits and probabilities (batch, class)."""

    def __init__(self, model: FusionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, present: Tensor, *z: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.model.decode(torch.stack(z, 1), present)
        return logits, logits.softmax(-1)


def trace_graph(model: FusionModel, modalities: Sequence[Modality]) -> onnx.ModelProto:
    """The graph of a model in evaluation mode. Raises UsageError that names the part that ONNX cannot express."""
    z = {m.name: f"z.{m.name}" for m in modalities}
    parts = {}
    for m in modalities:
        blank = torch.from_numpy(m.blank_input())
        with name_part(f'the encoder of "{m.name}"'):
            example = blank.expand(EXAMPLES, *blank.shape).contiguous()
            parts[encoder_prefix(m.name)] = trace_part(EncoderGraph(model, m.name), (example,), [m.name], [z[m.name]])
    with name_part("the fusion"):
        mask = torch.ones(EXAMPLES, len(z), dtype=torch.bool)
        examples = (mask, *(torch.zeros(EXAMPLES, model.width) for _ in z))
        parts[DECODER] = trace_part(
            DecoderGraph(model), examples, ["present", *z.values()], ["logits", "probabilities"]
        )
    return join_parts(parts, list(z))


def trace_part(
    module: nn.Module, examples: tuple[Tensor, ...], inputs: Sequence[str], outputs: Sequence[str]
) -> onnx.ModelProto:
    """A module of tensors as a graph with these ends; the first axis of every one is the batch."""
    batch = {0: torch.export.Dim("batch", min=1)}
    rest = tuple(batch for _ in examples[1:])
    with silence_exporter():
        program = torch.onnx.export(
            module.eval(),
            examples,
            input_names=[END + name for name in inputs],
            output_names=[END + name for name in outputs],
            dynamic_shapes=(batch, rest) if rest else (batch,),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # dynamo=True always returns one
    graph: onnx.ModelProto = program.model_proto
    return graph


@contextlib.contextmanager
def name_part(part: str) -> Iterator[None]:
    """Turns whatever the exporter raises, which is of many types, into a sentence about a part of the model."""
    try:
        yield
    except Exception as error:
        cause = error.__cause__ or error
        raise UsageError(f"{part} cannot be exported to ONNX: {first_line(cause)}") from error


def first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def encoder_prefix(modality: str) -> str:
    return f"encoders/{modality}/"


def split_parts(graph: onnx.ModelProto, names: Sequence[str]) -> dict[str, onnx.ModelProto]:
    """The parts of a whole graph over these modalities, by the prefix of what is inside them."""
    cut = onnx.utils.Extractor(graph)
    z = [f"z.{name}" for name in names]
    parts = {encoder_prefix(n): cut.extract_model([n], [end]) for n, end in zip(names, z, strict=True)}
    parts[DECODER] = cut.extract_model(["present", *z], ["logits", "probabilities"])
    for part in parts.values():
        ends = {value.name for value in (*part.graph.input, *part.graph.output)}
        rename_tensors(part.graph, lambda name, ends=ends: END + name if name in ends else name)  # type: ignore[misc]
    return parts


def join_parts(parts: Mapping[str, onnx.ModelProto], names: Sequence[str]) -> onnx.ModelProto:
    """Parts as one graph: inputs `present` and the modalities, outputs `logits`, `probabilities` and every `z.NAME`."""
    whole = onnx.ModelProto()
    whole.CopyFrom(parts[DECODER])
    for field in ("node", "initializer", "value_info", "input", "output"):
        whole.graph.ClearField(field)
    ends: dict[str, onnx.ValueInfoProto] = {}
    for prefix, part in parts.items():
        rename_tensors(part.graph, lambda name, prefix=prefix: place_name(name, prefix))  # type: ignore[misc]
        ends |= {value.name: value for value in (*part.graph.input, *part.graph.output)}
        whole.graph.node.extend(part.graph.node)
        whole.graph.initializer.extend(part.graph.initializer)
    whole.graph.input.extend(ends[name] for name in ("present", *names))
    whole.graph.output.extend(ends[name] for name in ("logits", "probabilities", *(f"z.{name}" for name in names)))
    for entry in (*whole.graph.node, *whole.graph.input, *whole.graph.output):
        del entry.metadata_props[:]  # stack traces with this machine's folders
    return whole


def place_name(name: str, prefix: str) -> str:
    """A tensor's name in the whole graph: an end's own, or the part's prefix and what it is called inside."""
    if name.startswith(END):
        return name.removeprefix(END)
    is_placed = not name or name.startswith(prefix)  # an optional input that is left out has no name
    return name if is_placed else prefix + name


@contextlib.contextmanager
def silence_exporter() -> Iterator[None]:
    """The exporter's notes about torchvision, deprecations and constants it cannot fold are not the user's concern."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
