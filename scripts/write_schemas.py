"""Writes docs/schemas/*.schema.json from the code: python scripts/write_schemas.py."""

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from robustmm.auditing.results.schema import AuditResult
from robustmm.catalogue.result import Details, DoctorResult, ListResult
from robustmm.comparing.result import CompareResult
from robustmm.data.check import ManifestFacts
from robustmm.data.storage.cache import CacheResult
from robustmm.evaluation.agreement.result import CheckResult
from robustmm.evaluation.attack_result import AttackResult
from robustmm.evaluation.predict import Prediction
from robustmm.evidence.result import VerifyResult
from robustmm.exporting.parity import Proof
from robustmm.guard.result import HardenResult
from robustmm.metrics.paired import BenchResult
from robustmm.runs import TrainResult

SCHEMAS: dict[str, Any] = {
    "attack": AttackResult,
    "audit": AuditResult,
    "bench": BenchResult,
    "cache": CacheResult,
    "check": CheckResult,
    "compare": CompareResult,
    "data-check": ManifestFacts,
    "doctor": DoctorResult,
    "export": Proof,
    "harden": HardenResult,
    "list": ListResult,
    "predict": Prediction,
    "show": Details,
    "train": TrainResult,
    "verify": VerifyResult,
}
FOLDER = Path(__file__).resolve().parents[1] / "docs" / "schemas"


def text(name: str) -> str:
    """A result's schema as JSON."""
    return json.dumps(TypeAdapter(SCHEMAS[name]).json_schema(mode="serialization"), indent=1) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in SCHEMAS:
        (FOLDER / f"{name}.schema.json").write_text(text(name), encoding="utf-8")
