"""What a command costs beside its work: python benchmarks/startup.py [--small]

- `import robustmm` and `robustmm --help` beside a bare `python -c pass`, in turns, medians (budgets: 0.05 s on top
  of it; 0.3 s);
- three encoders of features, 897 samples, the suite `deployment`: an audit, the same again and `predict` (budget of
  both: 1 s beyond what importing takes), and on the clock one worker over two. With --small, this alone.
All but the last in processor time, so that another load of the machine counts less.
"""

import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import audit
import numpy as np

from robustmm.config.recipe import build_recipe
from robustmm.exporting import export
from robustmm.training.run import train

REPEATS = 9
IMPORT_BUDGET, HELP_BUDGET = 0.05, 0.3
"""Seconds that `import robustmm` may take over bare Python, and `robustmm --help` in all."""
COMMANDS = {
    "bare": ("-c", "pass"),
    "import": ("-c", "import robustmm"),
    "help": ("-m", "robustmm", "--help"),
}
FEATURES = {"cough": 24, "vitals": 16, "blood": 32}
"""Three tables of measurements, and how many numbers each has."""
IMPORTS = {
    "audit": (
        "robustmm.cli.audits.audit", "robustmm.auditing.parts.build", "robustmm.auditing.prepare", "scipy.optimize",
        "robustmm.auditing.run", "robustmm.evidence.record", "robustmm.report.page.page", "robustmm.report.summary",
        "robustmm.report.sheets.failures",
    ),
    "predict": (
        "robustmm.cli.predict", "robustmm.api.evaluation", "robustmm.api.inputs", "robustmm.report.tables",
    ),
}  # fmt: skip
"""What the commands import before they begin."""


def features(folder: Path) -> tuple[Path, Path]:
    """A trained and exported model on features of eight classes, and its manifest."""
    folder.mkdir(parents=True)
    rng, splits = np.random.default_rng(0), ["train"] * 600 + ["valid"] * 200 + ["test"] * 897
    target = rng.integers(0, 8, len(splits))
    for name, length in FEATURES.items():
        centres = rng.normal(size=(8, length)) / 2
        np.save(folder / f"{name}.npy", (centres[target] + rng.normal(size=(len(target), length))).astype(np.float32))
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "split", "label", *FEATURES])
        for row, (split, label) in enumerate(zip(splits, target, strict=True)):
            writer.writerow([f"s{row}", split, f"class {label}", *(f"{name}.npy#{row}" for name in FEATURES)])
    manifest = folder / "manifest.csv"
    tables = {
        "data": {"manifest": str(manifest)},
        "modality": {name: {"kind": "features", "length": length} for name, length in FEATURES.items()},
        "method": {"name": "joint"},
        "train": {"epochs": 5, "threads": 1},
    }
    run = train(build_recipe(tables, "bench", "bench"), manifest, folder / "runs", audit.Nobody())
    failure = export.export(run, run.model).parity_error()
    assert failure is None, failure
    return run.model, manifest


def small(folder: Path) -> None:
    """An audit, the same again, and one answer."""
    path, manifest = features(folder / "features")

    def run_audit(workers: int) -> tuple[float, float]:
        out = folder / f"workers{workers}"
        words = ("audit", str(path), "--data", str(manifest), "--workers", str(workers), "--out", str(out))
        return spend("-m", "robustmm", *words)

    (spent, wall), (_, shared) = run_audit(1), run_audit(2)
    inputs = [word for name in FEATURES for word in (f"--{name}", str(manifest.parent / f"{name}.npy#900"))]
    again = [run_audit(1)[0] for _ in range(3)]
    one = [spend("-m", "robustmm", "predict", str(path), *inputs)[0] for _ in range(3)]
    imports = {name: f"import {', '.join(modules)}" for name, modules in IMPORTS.items()}
    idle = {name: min(spend("-c", line)[0] for _ in range(3)) for name, line in imports.items()}
    print(
        f"small: an audit of three encoders of features {spent:.1f} s of processor time, asked again "
        f"{min(again):.1f} s, {min(again) - idle['audit']:.1f} s beyond imports; predict {min(one):.1f} s, "
        f"{min(one) - idle['predict']:.1f} s beyond imports; 2 workers {shared:.1f} s for {wall:.1f} s, "
        f"{wall / shared:.2f} times faster"
    )


def spend(*words: str) -> tuple[float, float]:
    """Seconds of a Python process, its workers included: of processor time, and on the clock."""
    before, began = os.times(), time.perf_counter()
    subprocess.run([sys.executable, *words], capture_output=True, check=True)
    after, took = os.times(), time.perf_counter() - began
    return sum(after[2:4]) - sum(before[2:4]), took


def start() -> None:
    """Importing and --help, beside bare Python."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(REPEATS):
        for name, words in COMMANDS.items():
            times[name].append(spend(*words)[0])
    bare, import_, help_ = (median(times[name]) for name in ("bare", "import", "help"))
    kept = "within" if help_ <= HELP_BUDGET else "over"
    print(f"python -c pass {bare:.2f} s, robustmm --help {help_:.2f} s, {kept} its budget of {HELP_BUDGET} s")
    over = import_ - bare
    kept = "within" if over <= IMPORT_BUDGET else "over"
    print(f"import robustmm {over:.3f} s over bare Python, {kept} its budget of {IMPORT_BUDGET} s")


if __name__ == "__main__":
    if "--small" not in sys.argv:
        start()
    with tempfile.TemporaryDirectory() as temporary:
        small(Path(temporary))
