"""A hardened file beside the plain one, asked as it is deployed."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx.numpy_helper import to_array

from robustmm.api.hardening import harden
from robustmm.data.loading import collate_signals, read_samples
from robustmm.data.manifest import read_manifest
from robustmm.guard.result import HardenResult
from robustmm.guard.temperature import Temperature
from robustmm.runtime.session import Session, read_graph


class Pair(NamedTuple):
    """A plain file, its hardened one, what was said of it, and inputs of its test split."""

    plain: Path
    hardened: Path
    manifest: Path
    result: HardenResult
    inputs: dict[str, NDArray[np.float32]]

    @property
    def names(self) -> list[str]:
        return list(self.inputs)

    def ask(self, which: str, **changed: NDArray[np.generic]) -> dict[str, NDArray[np.generic]]:
        """Every output by its name, for the inputs or others, just as they are given; all are present by default."""
        session = open_file(self.plain if which == "plain" else self.hardened)
        feed = {**self.inputs, **changed}
        rows = min(len(feed[name]) for name in self.names)
        feed |= {name: feed[name][:rows] for name in self.names}
        feed.setdefault("present", np.ones((rows, len(self.names)), bool))
        outputs = [output.name for output in session.get_outputs()]
        return dict(zip(outputs, session.run(outputs, feed), strict=True))


@cache
def open_file(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def read_inputs(model: Path, manifest: Path) -> dict[str, NDArray[np.float32]]:
    session = Session(model)
    samples = read_samples(read_manifest(manifest).split("test"), session.modalities)
    return {m.name: collate_signals(m, samples.signals[m.name]) for m in session.modalities}


def make_pair(model: Path, manifest: Path, folder: Path) -> Pair:
    made = harden(model, folder / "hardened.onnx", data=manifest)
    return Pair(model, made.path, manifest, made.result, read_inputs(model, manifest))


def fitted_temperature(pair: Pair) -> Temperature:
    """What `harden` fitted, read from the graph's own constants."""
    graph = read_graph(pair.hardened).graph
    stored = {tensor.name: to_array(tensor) for tensor in graph.initializer}
    made = {name: node for node in graph.node for name in node.output}
    (exp,) = [n for n in graph.node if n.op_type == "Exp" and "/decoder/" not in n.name and "guard/d" in n.name]
    add = made[exp.input[0]]
    terms, base = stored[made[add.input[0]].input[1]], stored[add.input[1]]
    return Temperature(float(base.squeeze()), tuple(terms[:, 0].tolist()))
