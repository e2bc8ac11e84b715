"""A file of any number of modalities whose answers are known: classes told by normal vectors, and Bayes' rule as a
graph. Written by hand, so that it needs no training and may be of any opset."""

import csv
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from robustmm.runtime.metadata import KEY

CLASSES = ("ant", "bee", "cat")
PRIOR = [0.6, 0.3, 0.1]
"""Not that of the samples, which are equally many: so that it is seen where it is used."""
LENGTH = 6
SPLITS = ("train", "train", "valid", "test")


class Bayes(NamedTuple):
    """The file, its manifest, and the vectors (modality, sample, LENGTH) and targets (sample,) that it holds."""

    model: Path
    manifest: Path
    vectors: NDArray[np.float32]
    target: NDArray[np.int64]


def write_world(folder: Path, *, M: int = 3, samples: int = 240, opset: int = 20, strength: float = 1.6) -> Bayes:
    """Modalities a, b, c, ..., each with a mean for every class in units of its deviation; every fourth is valid."""
    rng = np.random.default_rng(M)
    folder.mkdir(parents=True, exist_ok=True)
    target = np.arange(samples) % len(CLASSES)
    means = strength * rng.normal(size=(M, len(CLASSES), LENGTH)) / np.sqrt(LENGTH / 2)
    vectors = (means[:, target] + rng.normal(size=(M, samples, LENGTH))).astype(np.float32)
    names = [chr(ord("a") + m) for m in range(M)]
    for name, x in zip(names, vectors, strict=True):
        np.save(folder / f"{name}.npy", x)
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "split", "label", *names])
        for i in range(samples):
            split = SPLITS[i // len(CLASSES) % len(SPLITS)]
            writer.writerow([f"s{i:03d}", split, CLASSES[target[i]], *(f"{name}.npy#{i}" for name in names)])
    model = build_bayes(names, means, opset)
    onnx.save(model, str(folder / "model.onnx"))
    return Bayes(folder / "model.onnx", folder / "manifest.csv", vectors, target)


def build_bayes(names: list[str], means: NDArray[np.float64], opset: int) -> onnx.ModelProto:
    """z.m is the log-likelihood (batch, class) of m alone; the logits are the sum of those present."""
    M, C, _ = means.shape
    nodes, stored = [], {"none": np.float32(0)}
    for m, name in enumerate(names):
        stored[f"{name}/w"] = means[m].T.astype(np.float32)
        stored[f"{name}/b"] = (-0.5 * (means[m] ** 2).sum(1)).astype(np.float32)
        nodes.append(helper.make_node("Gemm", [name, f"{name}/w", f"{name}/b"], [f"z.{name}"], name=f"{name}/gemm"))
    stored["axis"] = np.array([1])
    for m, name in enumerate(names):
        stored[f"{name}/index"] = np.array([m])
        nodes.append(helper.make_node("Gather", ["present", f"{name}/index"], [f"{name}/here"], axis=1))
        nodes.append(helper.make_node("Where", [f"{name}/here", f"z.{name}", "none"], [f"{name}/kept"]))
    nodes.append(helper.make_node("Sum", [f"{name}/kept" for name in names], ["logits"]))
    nodes.append(helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1))
    tell = helper.make_tensor_value_info
    inputs = [tell("present", TensorProto.BOOL, ["batch", M])]
    inputs += [tell(name, TensorProto.FLOAT, ["batch", means.shape[2]]) for name in names]
    ends = ["logits", "probabilities", *(f"z.{name}" for name in names)]
    outputs = [tell(name, TensorProto.FLOAT, ["batch", C]) for name in ends]
    constants = [numpy_helper.from_array(np.asarray(x), name) for name, x in stored.items()]
    graph = helper.make_graph(nodes, "bayes", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    std = np.sqrt(1 + (means - means.mean(1, keepdims=True)).var(1))
    modalities = [
        {"kind": "features", "name": name, "length": means.shape[2], "mean": means[m].mean(0).tolist(),
         "std": std[m].tolist()}
        for m, name in enumerate(names)
    ]  # fmt: skip
    facts = {
        "format": 1, "modalities": modalities, "classes": list(CLASSES), "prior": PRIOR, "width": C,
        "recipe": {"name": "bayes", "data": {"source": ""}, "method": {"name": "bayes"}}, "data": {}, "manifest": "",
        "run": "bayes", "precision": "fp32", "versions": {},
    }  # fmt: skip
    model.metadata_props.add(key=KEY, value=json.dumps(facts))
    return model
