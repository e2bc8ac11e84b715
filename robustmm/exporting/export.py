"""A finished run to one ONNX file: its graph, all that an audit needs in its metadata, and the proof of parity."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
import onnx
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from robustmm import files, runs
from robustmm.config.recipe import Recipe, build_recipe, split_name_options
from robustmm.data.manifest import read_manifest
from robustmm.data.sample import hash_order
from robustmm.data.storage.choice import StorageOptions, choose_storage
from robustmm.data.storage.split import Split, read_split
from robustmm.errors import DataError, UsageError, explain_write
from robustmm.evaluation.source import EMBEDDED
from robustmm.exporting.graph import trace_graph
from robustmm.exporting.parity import Proof, prove_parity, torch_logits
from robustmm.exporting.precision import convert_fp16, quantise_int8
from robustmm.guard.temperature import Calibration, Temperature, calibrate, list_patterns, scale_logits
from robustmm.methods import Batch, build_method
from robustmm.modalities import AnyModality, Modality
from robustmm.model.fusion_model import FusionModel
from robustmm.progress import Watcher
from robustmm.runs import Run
from robustmm.runtime.metadata import FORMAT, KEY, find_contradiction
from robustmm.runtime.seal import seal_model
from robustmm.training import checkpoint
from robustmm.training.build import build_model, refuse_too_large

ROWS = 64
"""Valid samples that go through the model at once."""
LOGITS = 2**25
"""Numbers that temperatures are fitted on at most; of a larger valid split a random part."""


def rebuild_model(run: Run) -> tuple[FusionModel, list[Modality]]:
    """A finished run's model, rebuilt from its folder."""
    facts = run.read_finished()
    recipe, modalities = parse_facts(run, facts)
    model = assemble_model(recipe, modalities, facts["classes"])
    tensors, _ = checkpoint.load_tensors(run.weights)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise DataError(f"{run.weights}: the weights do not fit the model its recipe describes") from error
    return model.eval(), modalities


def parse_facts(run: Run, facts: dict[str, Any]) -> tuple[Recipe, list[Modality]]:
    """The recipe and the fitted modalities of a finished run. Raises DataError where run.json is damaged."""
    path = run.folder / "run.json"
    try:
        recipe = build_recipe(facts["recipe"], "recipe", run.folder.name)
        modalities: list[Modality] = list(TypeAdapter(list[AnyModality]).validate_python(facts["modalities"]))
    except UsageError as error:
        raise DataError(f"{path} is damaged: {str(error).splitlines()[0]}") from error
    except ValidationError as error:
        item = error.errors()[0]
        where = ".".join(map(str, item["loc"]))
        raise DataError(f"{path} is damaged: modalities.{where}: {item['msg'].lower()}") from error
    wrong = find_contradiction(modalities, facts["classes"], facts["prior"])
    if [m.name for m in modalities] != list(recipe.modality):
        wrong = "modalities and recipe have different names"
    if wrong:
        raise DataError(f"{path} is damaged: {wrong}")
    return recipe, modalities


def assemble_model(recipe: Recipe, modalities: list[Modality], classes: list[str]) -> FusionModel:
    """The model that a training ends with, what its method puts into it included; with weights of no meaning."""
    model = build_model(recipe, modalities, len(classes))
    with refuse_too_large(recipe):
        data = BlankData(modalities, {"classes": classes})
        build_method(recipe.method_name, recipe.method_options).setup(model, data)
    return model


def check_exportable(recipe: Recipe, modalities: list[Modality], classes: list[str], watcher: Watcher) -> None:
    """Traces an untrained model, so that what cannot be exported is refused before the training and not after it.

    Only models with parts from elsewhere: this takes seconds, and every part of ours is exported in the tests. Raises
    UsageError.
    """
    encoders = [recipe.encoder(m.name)[0] or "" for m in modalities]
    names = [*encoders, split_name_options(recipe.model.fusion)[0] or "", recipe.method_name]
    if any(":" in name or name == "transformers" for name in names):
        watcher.begin("trying the export", 1, 0, 1)
        trace_graph(assemble_model(recipe, modalities, classes).eval(), modalities)


class BlankData:
    """TrainingData for a setup that only rebuilds the method's modules in the model: shapes, no data."""

    def __init__(self, modalities: list[Modality], facts: dict[str, Any]) -> None:
        self.modalities = tuple(m.name for m in modalities)
        self.classes = len(facts["classes"])
        self.present = torch.ones(1, len(modalities), dtype=torch.bool)
        self.target = torch.zeros(1, dtype=torch.int64)
        self.class_weight: Tensor | None = None
        self.epochs = 1

    def unimodal_logits(self) -> Tensor:
        return torch.zeros(1, len(self.modalities), self.classes)

    def joint_answers(self, width: int) -> tuple[Tensor, Tensor]:
        return torch.zeros(1, width), torch.zeros(1, self.classes)

    def samples(self) -> Iterator[Batch]:
        return iter(())


def export(run: Run, path: Path, precision: str = "fp32", calibrated: bool = False) -> Proof:
    """Writes a finished run to `path` as one file, and proves it on the run's valid split, on which the temperatures of
    a `calibrated` file are fitted too.

    `Proof.parity_error` gives None where the proof holds; a file that fails is deleted, and so is a half-written one.
    """
    facts = run.read_finished()
    model, modalities = rebuild_model(run)
    inside = Path(facts["inside"]) if facts.get("inside") else None
    rows = read_manifest(Path(facts["manifest"]), inside).split("valid")
    storage = choose_storage(StorageOptions.model_validate(facts.get("storage", {})), [rows], modalities)
    valid, _ = read_split(rows, modalities, facts["classes"], facts["on_bad"], storage=storage)
    try:
        graph = trace_graph(model, modalities)
    except UsageError as error:
        todo = f"robustmm export {quote(str(run.folder))}"
        raise UsageError(f"{error}; the training is kept, export it once that is mended with: {todo}") from error
    if precision == "fp16":
        graph = convert_fp16(graph, [m.name for m in modalities])
    elif precision == "int8":
        graph = quantise_int8(graph)
    temperature, calibration = fit_valid(model, valid, len(facts["classes"])) if calibrated else (None, None)
    if temperature:
        scale_logits(graph, temperature)
    write_metadata(graph, run, modalities, model.width, precision, temperature)
    candidate = path.with_name(f".{path.stem}.{os.getpid()}.unproven.onnx")
    try:
        files.write_file(candidate, seal_model(graph.SerializeToString()), shown=path)
        found = prove_parity(candidate, model, valid, precision, temperature)
        if found.parity_error() is None:
            with explain_write(path):
                candidate.replace(path)
    finally:
        with suppress(OSError):
            candidate.unlink()
    return found.model_copy(update={"calibration": calibration})


def fit_valid(model: FusionModel, valid: Split, classes: int) -> tuple[Temperature, Calibration] | tuple[None, None]:
    """The temperature of a trained model, by its logits on the valid split from subsets of its modalities; nothing
    where it answers NaN, which the proof tells."""
    patterns = list_patterns(len(model.modalities))
    rows = np.sort(hash_order(valid.ids)[: max(1, LOGITS // (len(patterns) * classes))])
    present = patterns[:, None] & valid.present[rows]
    parts = [slice(i, i + ROWS) for i in range(0, len(rows), ROWS)]
    logits = [
        torch_logits(model, {m: valid.inputs[m][rows[part]] for m in model.modalities}, present[:, part])
        for part in parts
    ]
    if not all(np.isfinite(found).all() for found in logits):
        return None, None
    return calibrate(np.concatenate(logits, 1), present, valid.target[rows], model.modalities)


def write_metadata(
    graph: onnx.ModelProto,
    run: Run,
    modalities: list[Modality],
    width: int,
    precision: str,
    temperature: Temperature | None = None,
) -> None:
    """Writes the metadata: inputs, classes, prior, the effective recipe, versions and hashes of the training data."""
    facts = run.read_finished()
    recipe, data = facts["recipe"], facts["recipe"]["data"]
    manifest = Path(data["manifest"]).name  # a file that is passed on does not show the user's folders
    tables = {name: hide_folders(table) for name, table in recipe["modality"].items()}
    content = {
        "format": FORMAT,
        "modalities": [hide_folders(m.model_dump()) for m in modalities],
        "classes": facts["classes"],
        "prior": facts["prior"],
        "width": width,
        "recipe": {**recipe, "data": {**data, "manifest": manifest}, "modality": tables},
        "data": facts["data"],
        "manifest": manifest if manifest == data["manifest"] == EMBEDDED else "",
        "run": run.folder.name,
        "precision": precision,
        "temperature": temperature._asdict() if temperature else None,
        "versions": {"trained": facts["versions"], "exported": runs.versions()},
    }
    entry = graph.metadata_props.add()
    entry.key, entry.value = KEY, json.dumps(content, ensure_ascii=False)
    graph.producer_name, graph.producer_version = "robustmm", runs.versions(())["robustmm"]


def hide_folders(table: dict[str, Any]) -> dict[str, Any]:
    """A modality's table with the last part only of paths to a tokenizer and a backbone; names of the hub stay."""
    shown = {**table}
    for key, value in table.items():
        if key == "encoder" and isinstance(value, dict):
            shown[key] = hide_folders(value)
        elif key in ("tokenizer", "model") and isinstance(value, str) and Path(value).exists():
            shown[key] = Path(value).name
    return shown
