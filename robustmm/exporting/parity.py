"""The proof of an export: the file answers as the trained model does, at any batch size, with inputs missing."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from robustmm.data.storage.rows import Rows
from robustmm.data.storage.split import Split
from robustmm.errors import ParityError
from robustmm.guard.temperature import Calibration, Temperature
from robustmm.model.fusion_model import FusionModel
from robustmm.results import Number, Result
from robustmm.runtime.session import Session, softmax

BATCHES = (1, 2, 7)
ROWS = 42
"""Valid samples compared in every pattern: a multiple of each batch size."""

Array = NDArray[np.float64]


class Tolerance(NamedTuple):
    """The limits of a precision: largest and 99th-percentile difference of any probability, share of equal
    decisions, and accuracy lost on the valid split."""

    maximum: float
    p99: float
    agreement: float
    accuracy: float


TOLERANCES = {
    "fp32": Tolerance(1e-4, 1e-5, 1.0, 0.0),
    "fp16": Tolerance(5e-2, 1e-2, 0.98, 0.01),
    "int8": Tolerance(0.5, 0.2, 0.90, 0.03),
}


class Pattern(Result):
    """One presence pattern at one batch size: differences of probabilities, and equal decisions."""

    name: str
    batch: int
    maximum: Number
    p99: Number
    agreement: Number


class Proof(Result):
    """The result of `robustmm export --json`, format 1; accuracies are of the whole valid split. `calibration` is null
    without --calibrate."""

    format: int = 1
    precision: str
    patterns: list[Pattern]
    torch_accuracy: Number
    onnx_accuracy: Number
    samples: int
    size: int
    calibration: Calibration | None = None

    def rows(self) -> list[dict[str, Any]]:
        """A row per presence pattern and batch size."""
        return [
            {"pattern": p.name, "batch": p.batch, "maximum": p.maximum, "p99": p.p99, "agreement": p.agreement,
             "holds": self.is_within_tolerance(p)}
            for p in self.patterns
        ]  # fmt: skip

    @property
    def tolerance(self) -> Tolerance:
        return TOLERANCES[self.precision]

    def is_within_tolerance(self, pattern: Pattern) -> bool:
        t = self.tolerance
        return pattern.maximum <= t.maximum and pattern.p99 <= t.p99 and pattern.agreement >= t.agreement

    @property
    def accuracy_loss(self) -> float:
        return self.torch_accuracy - self.onnx_accuracy

    def parity_error(self) -> ParityError | None:
        """The worst finding where anything is outside the tolerance."""
        broken = [pattern for pattern in self.patterns if not self.is_within_tolerance(pattern)]
        if broken:
            worst = max(broken, key=lambda pattern: pattern.maximum)
            return ParityError(
                f"the {self.precision} file should answer as the trained model does (largest difference "
                f"{self.tolerance.maximum:g}, agreement {self.tolerance.agreement:.0%}); {worst.name} at batch "
                f"{worst.batch} differs by {worst.maximum:.2g} with {worst.agreement:.1%} agreement; no file is left"
            )
        if self.accuracy_loss > self.tolerance.accuracy + 1e-9:
            return ParityError(
                f"the {self.precision} file should lose at most {100 * self.tolerance.accuracy:g} points of valid "
                f"accuracy, it loses {100 * self.accuracy_loss:.1f}; no file is left"
            )
        return None


def prove_parity(
    path: Path, model: FusionModel, valid: Split, precision: str, temperature: Temperature | None = None
) -> Proof:
    """Compares the file at `path`, whole as it is deployed and cut as it is audited, with the torch model, whose logits
    are divided by the temperature where there is one."""
    whole = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    session = Session(path)
    rows = np.arange(min(ROWS, len(valid)))
    patterns = []
    masks = {"complete": np.ones(len(session.names), bool)}
    if len(session.names) > 1:
        masks |= {f"without {n}": np.arange(len(session.names)) != m for m, n in enumerate(session.names)}
    for name, mask in masks.items():
        present = valid.present[rows] & mask
        inputs = {m: valid.inputs[m][rows] for m in session.names}
        expected = torch_probabilities(model, inputs, present, temperature)
        given = poison_absent_inputs(inputs, present)
        for batch in BATCHES:
            found = run_batches(lambda i, p: onnx_probabilities(whole, i, p), given, present, batch)
            patterns.append(compare_answers(name, batch, expected, found))
        patterns.append(compare_answers(f"{name}, cut", len(rows), expected, session.predict(given, present)))
    valid_inputs = {m: valid.inputs[m] for m in session.names}
    torch_answers = run_batches(
        lambda i, p: torch_probabilities(model, i, p, temperature), valid_inputs, valid.present, 64
    )
    onnx_answers = run_batches(lambda i, p: onnx_probabilities(whole, i, p), valid_inputs, valid.present, 64)
    accuracies = [float((answer.argmax(1) == valid.target).mean()) for answer in (torch_answers, onnx_answers)]
    return Proof(
        precision=precision,
        patterns=patterns,
        torch_accuracy=accuracies[0],
        onnx_accuracy=accuracies[1],
        samples=len(valid),
        size=path.stat().st_size,
    )


def compare_answers(name: str, batch: int, expected: Array, found: Array) -> Pattern:
    difference = np.abs(expected - found)
    if not np.isfinite(difference).all():
        difference = np.where(np.isfinite(difference), difference, np.inf)
    agreement = float((expected.argmax(1) == found.argmax(1)).mean())
    return Pattern(
        name=name,
        batch=batch,
        maximum=float(difference.max()),
        p99=float(np.quantile(difference, 0.99)),
        agreement=agreement,
    )


def run_batches(
    answer: Callable[[dict[str, NDArray[Any]], NDArray[np.bool_]], Array],
    inputs: Mapping[str, Rows],
    present: NDArray[np.bool_],
    size: int,
) -> Array:
    parts = [slice(i, i + size) for i in range(0, len(present), size)]
    return np.concatenate([answer({m: x[part] for m, x in inputs.items()}, present[part]) for part in parts])


def poison_absent_inputs(inputs: Mapping[str, NDArray[Any]], present: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
    """The inputs with NaN (or the largest value; text keeps its ids) wherever a modality is absent: if any of that
    reaches an answer, the comparison fails."""
    out = {}
    for m, (name, x) in enumerate(inputs.items()):
        x = x.copy()
        if x.dtype.kind == "f":
            x[~present[:, m]] = np.nan
        elif x.dtype == np.uint8:
            x[~present[:, m]] = 255
        out[name] = x
    return out


def torch_probabilities(
    model: FusionModel,
    inputs: Mapping[str, NDArray[Any]],
    present: NDArray[np.bool_],
    temperature: Temperature | None = None,
) -> Array:
    logits = torch_logits(model, inputs, present[None])[0]
    return softmax(logits if temperature is None else logits / temperature.scale(present))


@torch.no_grad()
def torch_logits(model: FusionModel, inputs: Mapping[str, NDArray[Any]], present: NDArray[np.bool_]) -> Array:
    """(pattern, sample, class) for presence (pattern, sample, modality)."""
    z = model.embed({m: torch.from_numpy(np.ascontiguousarray(x)) for m, x in inputs.items()})
    return np.stack([model.decode(z, torch.from_numpy(each)).numpy() for each in present])


def onnx_probabilities(
    whole: onnxruntime.InferenceSession, inputs: Mapping[str, NDArray[Any]], present: NDArray[np.bool_]
) -> Array:
    return np.asarray(whole.run(["probabilities"], {**inputs, "present": present})[0], dtype=np.float64)
