"""torch -> one ONNX file: a graph whose embeddings have names, and all that an audit needs in its metadata."""

import contextlib
import json
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from robustmm import runs
from robustmm.config.recipe import Recipe
from robustmm.data.loading import read_split
from robustmm.data.manifest import read_manifest
from robustmm.errors import DataError
from robustmm.evaluation.source import EMBEDDED
from robustmm.exporting.parity import Proof, prove_parity
from robustmm.exporting.precision import convert_fp16, quantise_int8
from robustmm.methods import build_method
from robustmm.modalities import AnyModality, Modality
from robustmm.model.fusion_model import FusionModel
from robustmm.runs import Run
from robustmm.runtime.session import FORMAT, METADATA
from robustmm.training import checkpoint
from robustmm.training.build import build_model

OPSET = 20


class ExportGraph(nn.Module):
    """The exported graph: every z by its own encoder, then one decode of all of them."""

    def __init__(self, model: FusionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, present: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
        z = [self.model.embed_one(name, x) for name, x in zip(self.model.modalities, inputs, strict=True)]
        logits = self.model.decode(torch.stack(z, 1), present)
        return logits, logits.softmax(-1), *z


def rebuild_model(run: Run) -> tuple[FusionModel, list[Modality]]:
    """A finished run's model, rebuilt from its folder."""
    facts = run.read_facts()
    recipe = Recipe.model_validate(facts["recipe"])
    modalities: list[Modality] = list(TypeAdapter(list[AnyModality]).validate_python(facts["modalities"]))
    model = build_model(recipe, modalities, len(facts["classes"]))
    chosen = build_method(recipe.method_name, recipe.method_options)
    chosen.setup(model, BlankData(modalities, facts))
    tensors, _ = checkpoint.load_tensors(run.weights)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise DataError(f"{run.weights}: the weights do not fit the model its recipe describes") from error
    return model.eval(), modalities


class BlankData:
    """TrainingData for a setup that only rebuilds the method's modules in the model: shapes, no data."""

    def __init__(self, modalities: list[Modality], facts: dict[str, Any]) -> None:
        self.modalities = tuple(m.name for m in modalities)
        self.classes = len(facts["classes"])
        self.present = torch.ones(1, len(modalities), dtype=torch.bool)
        self.target = torch.zeros(1, dtype=torch.int64)
        self.class_weight: Tensor | None = None

    def unimodal_logits(self) -> Tensor:
        return torch.zeros(1, len(self.modalities), self.classes)

    def joint_answers(self, width: int) -> tuple[Tensor, Tensor]:
        return torch.zeros(1, len(self.modalities), width), torch.zeros(1, self.classes)


def export(run: Run, path: Path, precision: str = "fp32") -> Proof:
    """Writes a finished run to `path` as one file, and proves it on the run's valid split.

    `Proof.parity_error` gives None where the proof holds; a file that fails is deleted, and so is a half-written one.
    """
    facts = run.read_facts()
    model, modalities = rebuild_model(run)
    valid, _ = read_split(
        read_manifest(Path(facts["manifest"])).split("valid"), modalities, facts["classes"], facts["on_bad"]
    )
    graph = trace_graph(model, modalities)
    if precision == "fp16":
        graph = convert_fp16(graph, [m.name for m in modalities])
    elif precision == "int8":
        graph = quantise_int8(graph)
    write_metadata(graph, run, modalities, model.width, precision)
    candidate = path.with_name(f".{path.stem}.{os.getpid()}.unproven.onnx")
    try:
        runs.write_file(candidate, graph.SerializeToString())
        found = prove_parity(candidate, model, valid, precision)
        if found.parity_error() is None:
            candidate.replace(path)
    finally:
        candidate.unlink(missing_ok=True)
    return found


def trace_graph(model: FusionModel, modalities: list[Modality]) -> onnx.ModelProto:
    """The graph of a model in evaluation mode."""
    batch = torch.export.Dim("batch", min=1)
    examples = [torch.zeros(3, *m.shape, dtype=torch.from_numpy(m.blank_input()).dtype) for m in modalities]
    names = [m.name for m in modalities]
    with silence_exporter():
        program = torch.onnx.export(
            ExportGraph(model).eval(),
            (torch.ones(3, len(names), dtype=torch.bool), *examples),
            input_names=["present", *names],
            output_names=["logits", "probabilities", *(f"z.{name}" for name in names)],
            dynamic_shapes=({0: batch}, tuple({0: batch} for _ in names)),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # dynamo=True always returns one
    graph: onnx.ModelProto = program.model_proto
    for part in (*graph.graph.node, *graph.graph.value_info, *graph.graph.input, *graph.graph.output):
        del part.metadata_props[:]  # stack traces with this machine's folders
    return graph


def write_metadata(graph: onnx.ModelProto, run: Run, modalities: list[Modality], width: int, precision: str) -> None:
    """Writes the metadata: inputs, classes, prior, the effective recipe, versions and hashes of the training data."""
    facts = run.read_facts()
    data = facts["recipe"]["data"]
    manifest = Path(data["manifest"]).name  # a file that is passed on does not show the user's folders
    content = {
        "format": FORMAT,
        "modalities": [m.model_dump() for m in modalities],
        "classes": facts["classes"],
        "prior": facts["prior"],
        "width": width,
        "recipe": {**facts["recipe"], "data": {**data, "manifest": manifest}},
        "data": facts["data"],
        "manifest": manifest if manifest == data["manifest"] == EMBEDDED else "",
        "run": run.folder.name,
        "precision": precision,
        "versions": {"trained": facts["versions"], "exported": runs.versions()},
    }
    entry = graph.metadata_props.add()
    entry.key, entry.value = METADATA, json.dumps(content, ensure_ascii=False)
    graph.producer_name, graph.producer_version = "robustmm", runs.versions(())["robustmm"]


@contextlib.contextmanager
def silence_exporter() -> Iterator[None]:
    """The exporter's notes about torchvision and deprecations are not the user's concern."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
