"""How an audit grows with samples, conditions, modalities and the model: python benchmarks/growth.py [FOLDER]

One thing at a time is changed of an audit of two small cameras (64 px, 128 samples, 32 conditions, one process, one
thread). Processor seconds, from the first cell to results.json, and the ratio to that audit; what every audit costs
whatever its size is in them, and stands as the first row. Encoders: two convolutions, a ResNet-18 at a quarter of its
width, and at its own.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from audit import RESNET, RESNET18, SMALL, model, silent

from robustmm.auditing.plan import AuditPlan
from robustmm.auditing.run import Audit
from robustmm.auditing.spec import Spec
from robustmm.conditions.condition import Condition, Noise
from robustmm.workers.processes import WorkerPool

QUARTER = RESNET | {"config": RESNET18 | {"hidden_sizes": [16, 32, 64, 128]}}
ENCODERS = {"two convolutions": SMALL, "ResNet-18, a quarter as wide": QUARTER, "ResNet-18": RESNET}
BASE: dict[str, Any] = {"samples": 128, "conditions": 32, "modalities": 2, "encoder": "two convolutions"}
ROWS: list[dict[str, Any]] = [
    {"samples": 8, "conditions": 1},
    {},
    *({"samples": n} for n in (256, 512, 1024)),
    *({"conditions": n} for n in (8, 64, 128)),
    *({"modalities": n} for n in (1, 3, 4, 6)),
    *({"encoder": name, "samples": 32} for name in ENCODERS),
]


def seconds(folder: Path, samples: int, conditions: int, modalities: int, encoder: str) -> float:
    """Processor seconds of one audit. Every condition corrupts all modalities; none breaks the model, so no level is
    searched for."""
    place = folder / f"{encoder} {modalities}"
    if not place.exists():
        model(place, modalities, 1024 if encoder == BASE["encoder"] else 32, ENCODERS[encoder])
    path = next(place.glob("runs/*/model.onnx"))
    setting = Spec(path, place / "manifest.csv", limit=samples)
    levels = tuple(Condition(f"{k}", (Noise("gaussian", (k + 1) / conditions),)) for k in range(conditions))
    with tempfile.TemporaryDirectory() as out:
        audit = Audit(setting, AuditPlan("growth", levels, share=0.0), Path(out), WorkerPool(1), silent)
        began = time.process_time()
        audit.run()
        return time.process_time() - began


def main(folder: Path) -> None:
    seconds(folder, **(BASE | {"samples": 8}))  # imports
    found = [(BASE | row, seconds(folder, **(BASE | row))) for row in ROWS]
    base = found[1][1]
    print("| samples | conditions | modalities | encoders | seconds | ratio |\n|--:|--:|--:|---|--:|--:|")
    for asked, took in found:
        print("|", " | ".join(str(asked[key]) for key in BASE), f"| {took:.1f} | {took / base:.2f} |")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(made))
