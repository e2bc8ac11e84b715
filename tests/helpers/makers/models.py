"""The makers by name: what each needs, writes and feeds."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from makers import tabular
from makers.data import CLASSES, SAMPLES, SIDE, TRAIN, Samples, draw_samples, write_manifest

Feed = Callable[[Samples], dict[str, Any]]


@dataclass(frozen=True)
class Maker:
    """A model of another tool. `make` writes model.onnx and what stands beside it, and gives the owner's pipeline: from
    samples to the graph's inputs. `columns` name the manifest's columns, `edits` what a person changes in the draft."""

    title: str
    needs: tuple[str, ...]
    columns: dict[str, str]
    make: Callable[[Path, Samples], Feed]
    edits: tuple[tuple[str, str], ...] = ()


def measure_directly(folder: Path, samples: Samples, feed: Feed) -> float:
    """Accuracy of a plain onnxruntime loop over the owner's own inputs, a row at a time."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options)
    given, right = feed(samples), 0
    labels = {name: k for k, name in enumerate(CLASSES)} | {str(k): k for k in range(3)} | {k: k for k in range(3)}
    for i in range(len(samples.label)):
        found = session.run(None, {name: x[i : i + 1] for name, x in given.items()})[0]
        answer = found[0].argmax() if np.ndim(found) == 2 else labels[found[0]]  # converters give the label first
        right += int(answer == samples.label[i])
    return right / len(samples.label)


def make_world(name: str, folder: Path) -> tuple[Maker, float]:
    """A model with its data in a folder, and the accuracy of its owner's loop on the test split."""
    maker, samples = MAKERS[name], draw_samples()
    if "torch" in maker.needs:
        import torch

        torch.manual_seed(0)
    feed = maker.make(folder, samples)
    write_manifest(folder, samples, maker.columns)
    return maker, measure_directly(folder, samples.part(slice(TRAIN, None)), feed)


def _make_keras(folder: Path, samples: Samples) -> Feed:
    from makers import towers

    def feed(some: Samples) -> dict[str, Any]:
        return {"photo": some.photo.astype(np.float32) / np.float32(255), "vitals": some.vitals}

    inputs = list(feed(samples).values())
    model = towers.Keras(samples.vitals[:TRAIN].mean(0), samples.vitals[:TRAIN].std(0))
    towers.train(model, inputs, samples, 20)
    towers.save(towers.Probabilities(model), inputs, ["photo", "vitals"], folder / "model.onnx", dynamo=False)
    return feed


def _make_quantised(folder: Path, samples: Samples) -> Feed:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    feed = _make_keras(folder, samples)
    (folder / "model.onnx").rename(folder / "float.onnx")
    rows = [{n: x[i : i + 8] for n, x in feed(samples).items()} for i in range(0, TRAIN, 8)]

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter(rows)

        def get_next(self) -> Any:
            return next(self.left, None)

    quantize_static(
        folder / "float.onnx", folder / "model.onnx", Reader(), quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    onnx.checker.check_model(str(folder / "model.onnx"))
    (folder / "float.onnx").unlink()
    return feed


def _make_text_image(folder: Path, samples: Samples, kind: str, dynamo: bool) -> Feed:
    from makers import towers

    tokenizer = towers.save_tokenizer(folder)
    mean, std = towers.IMAGENET

    def feed(some: Samples) -> dict[str, Any]:
        ids, mask = towers.tokenize(tokenizer, some.text)
        pixels = towers.normalise(some.photo, mean, std)
        return {"input_ids": ids, "attention_mask": mask, "pixel_values": pixels}

    inputs = feed(samples)
    model = towers.ClipHead() if kind == "clip" else towers.BertResnet()
    towers.train(model, list(inputs.values()), samples, 10)
    towers.save(model, list(inputs.values()), list(inputs), folder / "model.onnx", dynamo)
    if kind == "clip":  # as a checkpoint's folder has it
        config = {"do_resize": True, "size": {"height": SIDE, "width": SIDE}, "resample": 2, "do_rescale": True,
                  "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": mean, "image_std": std}  # fmt: skip
        (folder / "preprocessor_config.json").write_text(json.dumps(config))
    return feed


def _make_wave_image(folder: Path, samples: Samples) -> Feed:
    from makers import towers

    def feed(some: Samples) -> dict[str, Any]:
        return {"waveform": towers.pad_end(some.wave), "photo": towers.normalise(some.photo)}

    inputs, model = feed(samples), towers.WaveImage()
    assert inputs["waveform"].shape[1] == SAMPLES
    towers.train(model, list(inputs.values()), samples, 25)
    towers.save(model, list(inputs.values()), list(inputs), folder / "model.onnx", dynamo=True)
    return feed


def _tabular(make: Callable[[Path, Samples], None], name: str) -> Callable[[Path, Samples], Feed]:
    def work(folder: Path, samples: Samples) -> Feed:
        make(folder, samples)
        return lambda some: {name: some.vitals}

    return work


IMAGENET_EDIT = (
    ("subtract = 0.0", "subtract = [123.675, 116.28, 103.53]"), ("divide = 255.0", "divide = [58.395, 57.12, 57.375]"),
)  # fmt: skip
TOWERS = {"text": "text", "photo": "image"}
MAKERS = {
    "keras": Maker("Keras-like: channels last, measurements beside", ("torch",), {"photo": "photo", "vitals": "vitals"},
                   _make_keras),
    "bert-resnet-dynamo": Maker(
        "BERT and ResNet, torch.onnx.export(dynamo=True)", ("torch", "transformers"), TOWERS,
        lambda folder, samples: _make_text_image(folder, samples, "bert", True), IMAGENET_EDIT),
    "bert-resnet-torchscript": Maker(
        "BERT and ResNet, torch.onnx.export(dynamo=False)", ("torch", "transformers"), TOWERS,
        lambda folder, samples: _make_text_image(folder, samples, "bert", False), IMAGENET_EDIT),
    "clip": Maker("CLIP's towers and a head, with preprocessor_config.json", ("torch", "transformers"), TOWERS,
                  lambda folder, samples: _make_text_image(folder, samples, "clip", True)),
    "scikit-learn": Maker("scikit-learn pipeline, skl2onnx", ("sklearn", "skl2onnx"), {"vitals": "X"},
                          _tabular(tabular.make_sklearn, "X")),
    "xgboost": Maker("XGBoost, onnxmltools", ("xgboost", "onnxmltools"), {"vitals": "vitals"},
                     _tabular(tabular.make_xgboost, "vitals")),
    "lightgbm": Maker("LightGBM, onnxmltools", ("lightgbm", "onnxmltools"), {"vitals": "vitals"},
                      _tabular(tabular.make_lightgbm, "vitals")),
    "int8": Maker("the Keras-like model quantised to int8 (QDQ)", ("torch",), {"photo": "photo", "vitals": "vitals"},
                  _make_quantised),
    "wave-image": Maker("raw waveform and picture, padded at the end", ("torch",),
                        {"wave": "waveform", "photo": "photo"}, _make_wave_image),
}  # fmt: skip
