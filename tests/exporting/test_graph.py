"""Parts traced apart and joined by name: any names, any order of modalities, and what ONNX cannot express."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from samples import PLAIN, drawn
from torch import Tensor
from worlds import Nobody, manifest, recipe

from robustmm.config.recipe import Recipe
from robustmm.errors import UsageError
from robustmm.exporting import export
from robustmm.exporting.graph import join_parts, split_parts, trace_graph
from robustmm.exporting.precision import convert_fp16
from robustmm.modalities import Features, Modality
from robustmm.model.encoders import Encoder, build_encoder, default_encoder
from robustmm.model.fusion import build_fusion
from robustmm.model.fusion_model import FusionModel
from robustmm.runs import Run
from robustmm.training.run import train

LAYER = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
BERT, VIT = {"model_type": "bert", **LAYER}, {"model_type": "vit", "patch_size": 4, **LAYER}
NAMES = ["val_1", "linear", "a-b", "a_b", "A_b", "decoder", "encoders", "keys", "type", "z"]
"""As the exporter calls its tensors, as torch calls its attributes, and alike but for what a sanitiser would change."""


def fused(modalities: list[Modality], configs: dict[str, dict[str, Any]]) -> FusionModel:
    torch.manual_seed(0)
    encoders = {
        m.name: build_encoder(m, "transformers", pretrained=False, config=configs[m.name])
        if m.name in configs
        else build_encoder(m, default_encoder(m.kind))
        for m in modalities
    }
    return FusionModel(encoders, build_fusion("concat", len(modalities), 8, 3), 8).eval()


def reached(graph: onnx.ModelProto, end: str) -> set[str]:
    """The graph's inputs that a tensor is computed from."""
    makers = {output: node for node in graph.graph.node for output in node.output}
    seen, left = set[str](), [end]
    while left:
        name = left.pop()
        if name not in seen:
            seen.add(name)
            left += makers[name].input if name in makers else []
    return seen & {value.name for value in graph.graph.input}


def assert_answers_alike(graph: onnx.ModelProto, model: FusionModel, modalities: list[Modality], atol: float) -> None:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    for batch in (1, 2, 5):
        inputs = {m.name: drawn(m, batch, seed=batch) for m in modalities}
        present = torch.rand(batch, len(modalities)) < 0.6
        with torch.no_grad():
            expected = model.decode(model.embed(inputs), present).softmax(-1)
        fed = {name: x.numpy() for name, x in inputs.items()} | {"present": present.numpy()}
        np.testing.assert_allclose(session.run(["probabilities"], fed)[0], expected, atol=atol)


def test_every_encoder_reads_its_own_input_only() -> None:
    """A text backbone read its batch size off the first input, where that was another modality."""
    order = ("features", "text", "image")
    modalities = [PLAIN[name] for name in order]
    model = fused(modalities, {"text": BERT, "image": VIT})
    graph = trace_graph(model, modalities)
    onnx.checker.check_model(graph)
    assert {m.name: reached(graph, f"z.{m.name}") for m in modalities} == {m.name: {m.name} for m in modalities}
    assert [value.name for value in graph.graph.input] == ["present", *order]
    assert [value.name for value in graph.graph.output] == ["logits", "probabilities", *(f"z.{n}" for n in order)]
    assert_answers_alike(graph, model, modalities, atol=1e-5)


def test_any_name_makes_a_graph_also_in_half_precision() -> None:
    modalities: list[Modality] = [Features(name=name, length=3 + i) for i, name in enumerate(NAMES)]
    model = fused(modalities, {})
    graph = trace_graph(model, modalities)
    small = convert_fp16(graph, NAMES)
    for made, atol in ((graph, 1e-5), (small, 5e-3)):
        onnx.checker.check_model(made)
        assert {name: reached(made, f"z.{name}") for name in NAMES} == {name: {name} for name in NAMES}
        assert_answers_alike(made, model, modalities, atol)
    assert any(i.data_type == onnx.TensorProto.FLOAT16 for i in small.graph.initializer)


def test_parts_that_are_split_and_joined_are_the_same_graph(world: Run) -> None:
    graph = onnx.load(world.model)
    again = join_parts(split_parts(graph, ["vector", "series"]), ["vector", "series"])
    assert {node.name: node.SerializeToString() for node in again.graph.node} == {
        node.name: node.SerializeToString() for node in graph.graph.node
    }
    assert [value.name for value in again.graph.input] == [value.name for value in graph.graph.input]
    assert {tensor.name for tensor in again.graph.initializer} == {tensor.name for tensor in graph.graph.initializer}


class Branching(Encoder):
    """An encoder whose way depends on a value: no graph can hold it."""

    width = 4

    def __init__(self, modality: Features) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(modality.length, 4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x)
        return out if x.sum() > 0 else -out


def branching(path: Path) -> Recipe:
    small = recipe(path)
    vector = {**small.modality["vector"], "encoder": {"name": f"{__name__}:Branching"}}
    return small.model_copy(update={"modality": {**small.modality, "vector": vector}})


def test_what_cannot_be_exported_is_refused_before_it_is_trained(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data")
    watcher = Nobody()
    with pytest.raises(UsageError, match=r'^the encoder of "vector" cannot be exported to ONNX: .+$'):
        train(branching(path), path, tmp_path / "runs", watcher, check=export.check_exportable)
    assert not watcher.rows
    assert not (tmp_path / "runs").exists()


def test_a_failed_export_keeps_the_training_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = manifest(tmp_path / "data")
    run = train(branching(path), path, tmp_path / "runs", Nobody())
    before = {file: file.read_bytes() for file in run.folder.iterdir()}
    with pytest.raises(UsageError) as refused:
        export.export(run, run.model)
    assert str(refused.value).endswith(
        f"; the training is kept, export it once that is mended with: robustmm export {run.folder}"
    )
    assert {file: file.read_bytes() for file in run.folder.iterdir()} == before
    monkeypatch.setattr(Branching, "forward", lambda self, x: self.layer(x))
    assert export.export(run, run.model).parity_error() is None


def test_parts_of_ours_are_not_traced_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = manifest(tmp_path / "data")
    monkeypatch.setattr(export, "trace_graph", None)
    train(recipe(path, epochs=1), path, tmp_path / "runs", Nobody(), check=export.check_exportable)


def test_trying_the_export_changes_no_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = manifest(tmp_path / "data")
    monkeypatch.setattr(Branching, "forward", lambda self, x: self.layer(x))
    checked = train(branching(path), path, tmp_path / "runs", Nobody(), check=export.check_exportable)
    unchecked = train(branching(path), path, tmp_path / "runs", Nobody())
    assert checked.weights.read_bytes() == unchecked.weights.read_bytes()
