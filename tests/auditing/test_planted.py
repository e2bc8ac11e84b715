"""Planted truth through a whole audit: a file, a description, a manifest, cells, results.json. The Bayes classifier of
every subset of the modalities is known, so the reported intervals can be held against it."""

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from graphs import saved
from onnx import helper
from planted import planted
from scipy.stats import binom

from robustmm.auditing.plan import AuditPlan
from robustmm.auditing.run import Audit
from robustmm.auditing.spec import Spec
from robustmm.conditions.condition import Condition
from robustmm.metrics.contribution import shapley
from robustmm.workers.processes import WorkerPool

D = (1.1, 0.7, 0.3)
SAMPLES, REPEATS = 400, 40
NAMES = ("m0", "m1", "m2")
DESCRIPTION = 'classes = ["no", "yes"]\n[output]\nname = "logits"\nactivation = "softmax"\n' + "".join(
    f'[modality.{name}]\nkind = "features"\nlength = 1\ninput = "{name}"\nmissing = "zero"\n' for name in NAMES
)


@contextmanager
def silent(title: str, total: int) -> Iterator[Callable[[int], None]]:
    yield lambda steps: None


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logits (0, sum of 2 d_m x_m): with zeros for what is missing, the Bayes classifier of what is there."""
    folder = tmp_path_factory.mktemp("planted")
    weight = np.stack([np.zeros(3), 2 * np.array(D)], 1).astype(np.float32)
    nodes = [helper.make_node("Concat", list(NAMES), ["x"], axis=1), helper.make_node("MatMul", ["x", "w"], ["logits"])]
    path = saved(folder, nodes, {n: ("f", ["batch", 1]) for n in NAMES}, ("logits", ["batch", 2]), {"w": weight})
    path.with_suffix(".toml").write_text(DESCRIPTION)
    return path


def manifest(folder: Path, seed: int) -> Path:
    folder.mkdir()
    found = planted(SAMPLES, D, seed)
    for name, x in found.inputs.items():
        np.save(folder / f"{name}.npy", x)
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "split", "label", *NAMES])
        for i, y in enumerate(found.target):
            writer.writerow([f"s{seed}-{i}", "test", ["no", "yes"][y], *(f"{n}.npy#{i}" for n in NAMES)])
    return folder / "manifest.csv"


@pytest.mark.slow
def test_intervals_cover_the_planted_truth_at_their_stated_rate(model: Path, tmp_path: Path) -> None:
    truth = planted(1, D, 0).truth
    phi, gone = shapley(truth), Condition("without m0", present=("m1", "m2"))
    covered = np.zeros((REPEATS, 8), dtype=bool)
    for seed in range(REPEATS):
        setting = Spec(model, manifest(tmp_path / str(seed), seed), describe=model.with_suffix(".toml"), seed=seed)
        result = Audit(setting, AuditPlan("planted", (gone,)), tmp_path / f"audit{seed}", WorkerPool(1), silent).run()
        without = result.conditions[0]
        solo = [truth[1 << m] for m in range(3)]
        intervals = [
            (result.clean.accuracy, truth[7]),
            (without.accuracy, truth[6]),
            *((m.shapley_accuracy, value) for m, value in zip(result.clean.modalities, phi, strict=True)),
            *((m.unimodal_accuracy, value) for m, value in zip(result.clean.modalities, solo, strict=True)),
        ]
        covered[seed] = [found.low <= value <= found.high for found, value in intervals]
    least = binom.ppf(0.001, REPEATS, 0.95)
    assert (covered.sum(0) >= least).all(), covered.mean(0)
    assert 0.925 < covered.mean() < 0.98
