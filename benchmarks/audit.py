"""What an audit saves and costs, with encoders of ResNet-18's size: python benchmarks/audit.py [FOLDER]

One run, same model and data, answers equal within 1e-5:
- a factorial suite against the plain loop, which runs the whole graph for every condition and subset of modalities
  (budgets: 20 times faster at two modalities, 50 at three);
- a clean pass with exact contributions over one without (1.1);
- an audit's wall time over the onnxruntime and corruption time it cannot avoid (1.3);
- the memory of an audit of 1,000 and of 20,000 samples (flat), on small encoders.
Everything runs on one thread.
"""

import csv
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Thread

import numpy as np
import onnxruntime

from robustmm.auditing import prepare
from robustmm.auditing.run import CLEAN, Audit, AuditPlan
from robustmm.auditing.spec import Spec, open_spec
from robustmm.conditions.condition import Condition
from robustmm.conditions.cross import CrossTable
from robustmm.config.recipe import build_recipe
from robustmm.data.loading import collate_signals, targets
from robustmm.data.manifest import Manifest, read_manifest
from robustmm.evaluation.evaluate import Evaluation, evaluate
from robustmm.exporting import export
from robustmm.metrics.contribution import log_probability_game, shapley, subset_masks
from robustmm.runtime.session import Session
from robustmm.training.run import train
from robustmm.workers.processes import WorkerPool

SIZE = 64
RESNET18 = {"model_type": "resnet", "depths": [2] * 4, "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"}
RESNET = {"name": "transformers", "pretrained": False, "config": RESNET18}
SMALL = {"name": "conv", "channels": [8, 8]}
CROSSINGS = {
    2: CrossTable(noise=("gaussian", "contrast"), level=(0.2, 0.6, 1.0), of="all"),
    3: CrossTable(noise=("gaussian", "contrast", "brightness"), level=(0.6,), of="all"),
}
SAMPLES = {2: 24, 3: 12}


class Nobody:
    def note(self, text: str) -> None: ...

    def begin(self, title: str, epochs: int, done: int, steps: int) -> None: ...
    def step(self, count: int = 1) -> None: ...
    def epoch(self, row: object) -> None: ...


@contextmanager
def silent(title: str, total: int) -> Iterator[Callable[[int], None]]:
    yield lambda steps: None


def model(folder: Path, M: int, samples: int, encoder: dict[str, object]) -> tuple[Path, Path]:
    """A trained and exported model on random pictures of four classes, and its manifest."""
    folder.mkdir(parents=True)
    rng, names = np.random.default_rng(0), [f"camera{m}" for m in range(M)]
    target = np.arange(samples + 24) % 4
    for name in names:
        pictures = rng.integers(0, 160, (len(target), SIZE, SIZE, 3), dtype=np.uint8)
        for row, label in enumerate(target):
            pictures[row, 16 * label : 16 * label + 16] += 60
        np.save(folder / f"{name}.npy", pictures)
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "split", "label", *names])
        for row, label in enumerate(target):
            split = "train" if row < 16 else "valid" if row < 24 else "test"
            writer.writerow([f"s{row}", split, f"class {label}", *(f"{name}.npy#{row}" for name in names)])
    manifest = folder / "manifest.csv"
    tables = {
        "data": {"manifest": str(manifest)},
        "modality": {name: {"kind": "image", "size": [SIZE, SIZE, 3], "encoder": encoder} for name in names},
        "model": {"width": 128},
        "method": {"name": "joint"},
        "train": {"epochs": 1, "batch": 8},
    }
    run = train(build_recipe(tables, "bench", "bench"), manifest, folder / "runs", Nobody())
    failure = export.export(run, run.model).parity_error()
    assert failure is None, failure
    return run.model, manifest


def plain(path: Path, session: Session, rows: Manifest, conditions: list[Condition]) -> tuple[np.ndarray, np.ndarray]:
    """The loop everybody writes first: for every condition, corrupt; for every subset, run the whole graph."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    whole = onnxruntime.InferenceSession(str(path), options)
    target, found, contributions = targets(rows, session.classes), [], []
    evaluation = Evaluation(session, rows, conditions)
    index = list(range(len(rows)))
    samples = evaluation.read(index)
    for plan in evaluation.plans:
        inputs = {}
        for m in session.modalities:
            strike = plan.build_corrupter(m)
            signals = [strike(i, s, x) for i, s, x in zip(index, samples.ids, samples.signals[m.name], strict=True)]
            inputs[m.name] = collate_signals(m, signals)
        masks = subset_masks(len(session.names))
        p = np.stack(
            [whole.run(["probabilities"], {**inputs, "present": np.tile(mask, (len(rows), 1))})[0] for mask in masks], 1
        )
        found.append(p[:, -1])
        contributions.append(shapley(log_probability_game(p, target, session.prior)))
    return np.stack(found), np.stack(contributions)


def timed(function: Callable[[], object]) -> tuple[float, object]:
    began = time.perf_counter()
    answer = function()
    return time.perf_counter() - began, answer


def factorial(M: int, folder: Path) -> None:
    path, manifest = model(folder / f"model{M}", M, SAMPLES[M], RESNET)
    session, rows = Session(path, threads=1), read_manifest(manifest).split("test")
    conditions = [CLEAN, *CROSSINGS[M].conditions(session.modalities)]
    ours, found = timed(lambda: evaluate(session, rows, conditions)[0])
    theirs, (p, phi) = timed(lambda: plain(path, session, rows, conditions))  # type: ignore[misc]
    assert np.abs(np.stack([r.probabilities for r in found]) - p).max() < 1e-5  # type: ignore[attr-defined]
    assert np.abs(np.stack([r.phi_log_probability for r in found]) - phi).max() < 1e-4  # type: ignore[attr-defined]
    print(
        f"factorial, {M} modalities: {len(conditions)} conditions, {2**M} subsets, {len(rows)} samples: "
        f"plain loop {theirs:.1f} s, ours {ours:.1f} s, {theirs / ours:.0f} times faster"
    )


def contributions(folder: Path) -> None:
    """Interleaved, the median of several: encoding alone, and with everything that an audit records."""
    path, manifest = next(folder.glob("model2/runs/*/model.onnx")), folder / "model2" / "manifest.csv"
    session, rows = Session(path, threads=1), read_manifest(manifest).split("test")
    evaluation = Evaluation(session, rows, [CLEAN])
    index = list(range(len(rows)))
    samples = evaluation.read(index)
    inputs = {m.name: collate_signals(m, samples.signals[m.name]) for m in session.modalities}
    times: dict[str, list[float]] = {"plain": [], "ours": []}
    for _ in range(9):
        times["plain"].append(timed(lambda: session.predict(inputs, samples.present()))[0])
        times["ours"].append(timed(lambda: list(evaluation.records(index, samples, [0], emap=True)))[0])
    clean, ours = (float(np.median(times[name])) for name in ("plain", "ours"))
    print(f"contributions: plain clean pass {clean:.3f} s, with exact contributions {ours:.3f} s, {ours / clean:.2f}")


def overhead(folder: Path) -> None:
    """An audit by one worker against the time of its corruptions and onnxruntime calls alone."""
    path, manifest = next(folder.glob("model2/runs/*/model.onnx")), folder / "model2" / "manifest.csv"
    setting = Spec(path, manifest, limit=16)
    asked = prepare.build_plan("common", setting, (), 0.0, None)  # at a share of 0 nothing breaks: no halving to time
    wall, _ = timed(Audit(setting, asked, folder / "audit", WorkerPool(1), silent).run)
    made = open_spec(setting)
    evaluation = made.build_evaluation([CLEAN, *asked.conditions])
    parts = {(m.name, plan.key(m.name)): (m, plan) for plan in evaluation.plans for m in made.session.modalities}
    index = list(range(len(made.rows)))
    spent, samples = timed(lambda: evaluation.read(index))
    for m, plan in parts.values():
        strike = plan.build_corrupter(m)
        seconds, signals = timed(
            lambda m=m, strike=strike: [
                strike(i, s, x)
                for i, s, x in zip(index, samples.ids, samples.signals[m.name], strict=True)  # type: ignore[attr-defined]
            ]
        )
        spent += seconds + timed(partial(made.session.embed, m.name, collate_signals(m, signals)))[0]  # type: ignore[arg-type]
    print(
        f"audit of {len(evaluation.plans)} conditions on {len(made.rows)} samples: {wall:.1f} s, of which corruptions "
        f"and onnxruntime cannot avoid {spent:.1f} s, {wall / spent:.2f}"
    )


def memory(folder: Path) -> None:
    """The peak of a process that audits, by number of samples."""
    path, manifest = model(folder / "many", 2, 20_000, SMALL)
    found = []
    for limit in (1000, 20_000):
        code = (
            "import sys; from pathlib import Path; sys.path.insert(0, 'benchmarks'); import audit\n"
            f"print(audit.alone(Path({str(path)!r}), Path({str(manifest)!r}), {limit}, Path({str(folder)!r})))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        found.append(float(done.stdout.split()[-1]))
    print(f"memory: {found[0]:.0f} MiB for 1,000 samples, {found[1]:.0f} MiB for 20,000, {found[1] / found[0]:.2f}")


def alone(path: Path, manifest: Path, limit: int, folder: Path) -> float:
    """The most memory of its own, MiB, that this process had: pages of files mapped are the system's to keep."""
    most, done = 0.0, Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.02):
            held = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("RssAnon"))
            most = max(most, int(held.split()[1]) / 1024)

    watcher = Thread(target=watch)
    watcher.start()
    setting = Spec(path, manifest, limit=limit)
    asked = AuditPlan("quick", (Condition("gone", missing={"camera0": 0.5}),))
    Audit(setting, asked, folder / f"memory{limit}", WorkerPool(1), silent).run()
    done.set()
    watcher.join()
    return most


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(temporary)
        for M in CROSSINGS:
            factorial(M, folder)
        contributions(folder)
        overhead(folder)
        memory(folder)


if __name__ == "__main__":
    main()
