import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from worlds import Nobody, manifest, recipe

from robustmm.data.manifest import read_manifest
from robustmm.data.storage.split import read_split
from robustmm.errors import DataError
from robustmm.exporting import export, parity
from robustmm.exporting.graph import OPSET
from robustmm.exporting.parity import Tolerance
from robustmm.exporting.precision import convert_fp16, quantise_int8
from robustmm.runs import Run
from robustmm.runtime.metadata import load_metadata
from robustmm.runtime.session import Session, read_graph, softmax
from robustmm.training.run import train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("export")
    path = manifest(folder / "data")
    return train(recipe(path, epochs=4), path, folder / "runs", Nobody())


@pytest.fixture(scope="module", autouse=True)
def traced_once(run: Run) -> Iterator[None]:
    """Tracing takes seconds and gives the same graph every time."""
    traced = export.trace_graph
    graph = traced(*export.rebuild_model(run))

    def copied(*_: object) -> onnx.ModelProto:
        copy = onnx.ModelProto()
        copy.CopyFrom(graph)
        return copy

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "trace_graph", copied)
        yield


@pytest.fixture(scope="module")
def model(run: Run) -> Path:
    assert export.export(run, run.model).parity_error() is None
    return run.model


def test_the_file_answers_as_the_model_does(run: Run, model: Path) -> None:
    torch_model, modalities = export.rebuild_model(run)
    facts = run.read_facts()
    test, _ = read_split(read_manifest(Path(facts["manifest"])).split("test"), modalities, facts["classes"])
    present = np.random.default_rng(0).random(test.present.shape) < 0.6
    expected = parity.torch_probabilities(torch_model, test.inputs, present)
    found = Session(model).predict(test.inputs, present)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_proof_covers_every_pattern_and_batch_size(run: Run) -> None:
    proof = export.export(run, run.folder / "again.onnx")
    assert {(p.name, p.batch) for p in proof.patterns if not p.name.endswith("cut")} == {
        (name, batch) for name in ("complete", "without vector", "without series") for batch in (1, 2, 7)
    }
    assert {p.name for p in proof.patterns if p.name.endswith("cut")} == {
        "complete, cut", "without vector, cut", "without series, cut"
    }  # fmt: skip
    assert proof.samples == 12
    assert proof.torch_accuracy == proof.onnx_accuracy


@pytest.mark.parametrize("broken", ["weights", "leak"])
def test_a_file_that_fails_the_proof_is_not_left_behind(run: Run, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    """The gate itself: a deliberately broken graph, once in a weight, once by letting an absent input through."""
    traced = export.trace_graph

    def spoilt(*arguments: object) -> onnx.ModelProto:
        graph = traced(*arguments)  # type: ignore[arg-type]
        if broken == "weights":
            weight = next(i for i in graph.graph.initializer if "decoder" in i.name or "fusion" in i.name)
            values = onnx.numpy_helper.to_array(weight) + 0.5
            weight.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float32), weight.name))
        else:
            masks = {name for node in graph.graph.node if "present" in node.input for name in node.output}
            for node in graph.graph.node:
                if node.op_type == "Where" and node.input[0] in masks:
                    node.input[2] = node.input[1]  # whatever is absent gets through
        return graph

    monkeypatch.setattr(export, "trace_graph", spoilt)
    path = run.folder / "broken.onnx"
    before = set(run.folder.iterdir())
    failure = export.export(run, path).parity_error()
    assert failure is not None
    assert failure.exit_code == 4
    assert "no file is left" in str(failure)
    assert set(run.folder.iterdir()) == before


def test_accuracy_lost_beyond_the_tolerance_fails(run: Run) -> None:
    proof = export.export(run, run.folder / "accuracy.onnx")
    proof = proof.model_copy(update={"onnx_accuracy": proof.torch_accuracy - 0.01})
    assert "loses 1.0" in str(proof.parity_error())


def weight_bytes(path: Path) -> int:
    return sum(onnx.numpy_helper.to_array(tensor).nbytes for tensor in onnx.load(path).graph.initializer)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_smaller_files_hold_within_their_stated_tolerance(run: Run, model: Path, precision: str) -> None:
    path = run.folder / f"model.{precision}.onnx"
    proof = export.export(run, path, precision)
    assert proof.parity_error() is None, str(proof.parity_error())
    assert 0 < max(p.maximum for p in proof.patterns) <= parity.TOLERANCES[precision].maximum
    assert proof.size == path.stat().st_size
    assert weight_bytes(path) < weight_bytes(model)
    assert Session(path).facts["precision"] == precision


def test_a_tolerance_that_is_too_tight_refuses_half_precision(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(parity.TOLERANCES, "fp16", Tolerance(1e-9, 1e-9, 1.0, 0.0))
    assert export.export(run, run.folder / "tight.onnx", "fp16").parity_error() is not None
    assert not (run.folder / "tight.onnx").exists()


def test_half_and_int8_change_the_arithmetic(model: Path) -> None:
    graph = read_graph(model)
    kinds = {i.data_type for i in convert_fp16(graph, ["vector", "series"]).graph.initializer}
    assert onnx.TensorProto.FLOAT16 in kinds
    assert any(node.op_type == "MatMulInteger" for node in quantise_int8(graph).graph.node)


def test_the_metadata_is_all_an_audit_needs(run: Run, model: Path) -> None:
    graph = read_graph(model)
    facts = load_metadata(graph, model).model_dump(mode="json")
    assert [m["name"] for m in facts["modalities"]] == ["vector", "series"]
    assert len(facts["modalities"][0]["mean"]) == 5
    assert facts["classes"] == ["ant", "bee", "cat"]
    assert sum(facts["prior"]) == pytest.approx(1)
    assert facts["recipe"]["method"]["name"] == "cal+mce"
    assert facts["recipe"]["method"]["mce"]["rec"] == 1.0
    assert facts["recipe"]["modality"]["series"]["encoder"]["dropout"] == 0.1
    assert set(facts["data"]) == {"train", "valid"}
    assert all(len(digest) == 64 for digest in facts["data"].values())
    assert facts["versions"]["exported"]["robustmm"]
    assert str(Path(run.read_facts()["manifest"]).parent) not in facts["run"]
    assert graph.opset_import[0].version == OPSET
    assert [i.name for i in graph.graph.input] == ["present", "vector", "series"]
    assert [o.name for o in graph.graph.output] == ["logits", "probabilities", "z.vector", "z.series"]


def test_the_file_tells_nobody_the_folders_of_the_machine_that_made_it(model: Path) -> None:
    content = model.read_bytes()
    for folder in (Path(torch.__file__).parent, Path(export.__file__).parents[1], Path.home()):
        assert str(folder).encode() not in content


def test_export_in_training_mode_does_not_depend_on_batch_mates(model: Path) -> None:
    session = Session(model)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(9, 5)).astype(np.float32)
    alone = np.concatenate([session.embed("vector", x[i : i + 1]) for i in range(9)])
    np.testing.assert_allclose(session.embed("vector", x), alone, atol=1e-6)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x07" * 40])
def test_files_that_are_no_model_are_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.onnx"):
        Session(path)


def test_a_truncated_model_is_a_sentence(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(model.read_bytes()[: model.stat().st_size // 2])
    with pytest.raises(DataError, match=r"cut\.onnx"):
        Session(path)


def test_a_foreign_model_is_a_sentence(tmp_path: Path) -> None:
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    ends = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1]) for n in "xy"]
    path = tmp_path / "foreign.onnx"
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "g", ends[:1], ends[1:])), path)
    with pytest.raises(DataError, match="was not exported by robustmm"):
        Session(path)


def test_weights_that_do_not_fit_the_recipe_are_a_sentence(run: Run, tmp_path: Path) -> None:
    import shutil

    copy = Run(Path(shutil.copytree(run.folder, tmp_path / "copy")))
    facts = copy.read_facts()
    facts["recipe"]["model"]["width"] = 4
    copy.update_facts(recipe=facts["recipe"])
    with pytest.raises(DataError, match="do not fit"):
        export.rebuild_model(copy)


def test_embed_one_is_a_column_of_embed(run: Run) -> None:
    model, modalities = export.rebuild_model(run)
    inputs = {m.name: torch.randn(4, *m.shape) for m in modalities}
    with torch.no_grad():
        z = model.embed(inputs)
        for i, m in enumerate(modalities):
            torch.testing.assert_close(model.embed_one(m.name, inputs[m.name]), z[:, i])


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_calibrated_file_decides_as_the_plain_one(run: Run, tmp_path: Path, precision: str) -> None:
    plain, scaled = tmp_path / "plain.onnx", tmp_path / "scaled.onnx"
    assert export.export(run, plain, precision).parity_error() is None
    proof = export.export(run, scaled, precision, calibrated=True)
    assert proof.parity_error() is None
    told = proof.calibration
    assert told is not None
    assert [p.name for p in told.patterns] == ["complete", "without vector", "without series"]
    _, modalities = export.rebuild_model(run)
    facts = run.read_facts()
    test, _ = read_split(read_manifest(Path(facts["manifest"])).split("test"), modalities, facts["classes"])
    factors = np.array([told.factors[m.name] for m in modalities])
    for present in (test.present, np.random.default_rng(0).random(test.present.shape) < 0.5):
        a, b = (Session(path).predict(test.inputs, present) for path in (plain, scaled))
        temperature = told.temperature * np.where(present, 1, factors).prod(1, keepdims=True)
        np.testing.assert_allclose(b, softmax(np.log(a) / temperature), atol=1e-3 if precision == "fp16" else 1e-5)
        assert (a.argmax(1) == b.argmax(1)).all()


def test_the_metadata_tell_of_temperatures(run: Run, model: Path, tmp_path: Path) -> None:
    export.export(run, tmp_path / "scaled.onnx", calibrated=True)
    told = [
        json.loads(read_graph(path).metadata_props[0].value)["temperature"]
        for path in (model, tmp_path / "scaled.onnx")
    ]
    assert told[0] is None
    assert set(told[1]) == {"base", "by_modality"}


def test_a_large_split_is_calibrated_on_a_part(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    plain = export.calibrate
    monkeypatch.setattr(export, "LOGITS", 3 * 3 * 10)
    monkeypatch.setattr(export, "calibrate", lambda logits, *rest: seen.append(logits.shape[1]) or plain(logits, *rest))
    assert export.export(run, tmp_path / "m.onnx", calibrated=True).parity_error() is None
    assert seen == [10]


def test_a_model_that_answers_nan_is_not_calibrated(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "torch_logits", lambda model, x, present: np.full((*present.shape[:2], 3), np.nan))
    assert export.export(run, tmp_path / "m.onnx", calibrated=True).calibration is None
