"""How an audit grows with samples, conditions, modalities and the model: python benchmarks/growth.py [FOLDER]

One thing at a time is changed of an audit of two small cameras (64 px, 128 samples, 32 conditions, one process, one
thread). Processor seconds, from the first cell to results.json, and the ratio to that audit; what every audit costs
whatever its size is in them, and stands as the first row. Encoders: two convolutions, a ResNet-18 at a quarter of its
width, and at its own.

`python benchmarks/growth.py --plans` announces large audits and measures none: pairs of encoders at 224 px under
`deployment`, as `audit --plan` prices them, and how many parts of an hour that makes.

`python benchmarks/growth.py --workers` takes audits by one and by two worker processes, in turns, on the clock: it
wants two idle cores.
"""

import csv
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import audit
from audit import RESNET, RESNET18, SMALL, model, silent

from robustmm.api.parts import plan_audit
from robustmm.auditing.parts.plan_file import read_plan
from robustmm.auditing.plan import AuditPlan
from robustmm.auditing.run import Audit
from robustmm.auditing.spec import Spec
from robustmm.conditions.condition import Condition, Noise
from robustmm.workers.processes import WorkerPool

QUARTER = RESNET | {"config": RESNET18 | {"hidden_sizes": [16, 32, 64, 128]}}
ENCODERS = {"two convolutions": SMALL, "ResNet-18, a quarter as wide": QUARTER, "ResNet-18": RESNET}
BASE: dict[str, Any] = {"samples": 128, "conditions": 32, "modalities": 2, "encoder": "two convolutions"}
RESNET50 = {"model_type": "resnet"}
"""ResNet-50 is what transformers' configuration holds by default."""
PLANNED = {"ResNet-18": RESNET, "ResNet-50": RESNET | {"config": RESNET50}}
HOUR = 3600.0
SCALED = [
    ("two convolutions", 512, 64), ("ResNet-18, a quarter as wide", 256, 64), ("ResNet-18", 128, 32),
]  # fmt: skip
ROWS: list[dict[str, Any]] = [
    {"samples": 8, "conditions": 1},
    {},
    *({"samples": n} for n in (256, 512, 1024)),
    *({"conditions": n} for n in (8, 64, 128)),
    *({"modalities": n} for n in (1, 3, 4, 6)),
    *({"encoder": name, "samples": 32} for name in ENCODERS),
]


def seconds(
    folder: Path, samples: int, conditions: int, modalities: int, encoder: str, workers: int = 1
) -> tuple[float, float]:
    """Seconds of one audit: the processor's in this process, and the clock's. Every condition corrupts all modalities;
    none breaks the model, so no level is searched for."""
    place = folder / f"{encoder} {modalities}"
    if not place.exists():
        model(place, modalities, 1024, ENCODERS[encoder])
    path = next(place.glob("runs/*/model.onnx"))
    setting = Spec(path, place / "manifest.csv", limit=samples)
    levels = tuple(Condition(f"{k}", (Noise("gaussian", (k + 1) / conditions),)) for k in range(conditions))
    with tempfile.TemporaryDirectory() as out:
        asked = Audit(setting, AuditPlan("growth", levels, share=0.0), Path(out), WorkerPool(workers), silent)
        began, clock = time.process_time(), time.perf_counter()
        asked.run()
        return time.process_time() - began, time.perf_counter() - clock


def announce_plans(folder: Path) -> None:
    audit.SIZE = 224
    print("| encoders | samples | conditions | one process | parts of an hour | longest |\n|---|--:|--:|--:|--:|--:|")
    for name, encoder in PLANNED.items():
        path, manifest = model(folder / name, 2, 32, encoder)
        with manifest.open() as file:
            rows = list(csv.DictReader(file))
        tested = [row for row in rows if row["split"] == "test"]
        for samples in (1_000, 50_000):
            many = folder / name / f"{samples}.csv"
            with many.open("w", newline="") as file:
                writer = csv.DictWriter(file, rows[0])
                writer.writeheader()
                writer.writerows(row for row in rows if row["split"] != "test")
                writer.writerows(tested[k % len(tested)] | {"id": f"t{k}"} for k in range(samples))
            plan = read_plan(plan_audit(folder / name / f"{samples}.json", path, data=many, suite="deployment"))
            (whole,) = plan.divide(1)
            parts = math.ceil(whole.seconds / HOUR)
            longest = max(part.seconds for part in plan.divide(parts))
            hours = f"{whole.seconds / HOUR:.1f} h | {parts} | {longest / 60:.0f} min |"
            print(f"| {name} | {samples:,} | {len(plan.conditions)} | {hours}")


def scale(folder: Path) -> None:
    """What a second worker brings, from the first cell to results.json, without imports of the command."""
    print("| encoders | samples | conditions | one worker, s | two, s | times |\n|---|--:|--:|--:|--:|--:|")
    for name, samples, conditions in SCALED:
        took = {1: math.inf, 2: math.inf}
        for workers in (1, 2, 1, 2):
            asked = {"samples": samples, "conditions": conditions, "encoder": name}
            took[workers] = min(took[workers], seconds(folder, **(BASE | asked), workers=workers)[1])
        print(f"| {name} | {samples} | {conditions} | {took[1]:.1f} | {took[2]:.1f} | {took[1] / took[2]:.2f} |")


def main(folder: Path) -> None:
    seconds(folder, **(BASE | {"samples": 8}))  # imports
    found = [(BASE | row, seconds(folder, **(BASE | row))[0]) for row in ROWS]
    base = found[1][1]
    print("| samples | conditions | modalities | encoders | seconds | ratio |\n|--:|--:|--:|---|--:|--:|")
    for asked, took in found:
        print("|", " | ".join(str(asked[key]) for key in BASE), f"| {took:.1f} | {took / base:.2f} |")


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word not in ("--plans", "--workers")]
    measure = announce_plans if "--plans" in sys.argv else scale if "--workers" in sys.argv else main
    with tempfile.TemporaryDirectory() as made:
        measure(Path(words[0]) if words else Path(made))
