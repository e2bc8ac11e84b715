"""CycloneDX 1.6 machine-learning bill of materials (https://cyclonedx.org/docs/1.6/json/)."""

import json
import uuid
from pathlib import PurePath
from typing import Any

from robustmm.auditing.results.schema import AuditResult
from robustmm.errors import printable
from robustmm.evaluation.attack import hash_bytes
from robustmm.evidence.documents.metrics import Metric, list_metrics

MODEL, DATA = "model", "audited-data"


def write_bom(result: AuditResult) -> dict[str, Any]:
    """The model with its hash and every score by slice, and the data that it was audited on. The same result gives the
    same document: its serial number follows from the result, and no time stands in it."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.UUID(hash_bytes(result.to_bytes())[:32], version=4).urn,
        "version": 1,
        "metadata": {
            "tools": {
                "components": [
                    {"type": "application", "name": "robustmm", "version": result.runtime.robustmm},
                    {"type": "library", "name": "onnxruntime", "version": result.runtime.onnxruntime},
                ]
            }
        },
        "components": [describe_model(result), describe_data(result)],
        "dependencies": [{"ref": DATA}, {"ref": MODEL}],
    }


def describe_model(result: AuditResult) -> dict[str, Any]:
    considerations = {"technicalLimitations": [printable(note) for note in result.notes]} if result.notes else {}
    return {
        "type": "machine-learning-model",
        "bom-ref": MODEL,
        "name": printable(PurePath(result.model).name),
        "hashes": [{"alg": "SHA-256", "content": result.model_sha256}],
        "modelCard": {
            "modelParameters": {"task": "classification", "datasets": [{"ref": DATA}]},
            "quantitativeAnalysis": {"performanceMetrics": [describe_metric(m) for m in list_metrics(result)]},
            "considerations": considerations,
        },
        "properties": describe_verdict(result),
    }


def describe_data(result: AuditResult) -> dict[str, Any]:
    """The audited rows. Their hash is of ids, labels and cells, and not of a file: so it is a property."""
    said = {"split": result.split, "samples": str(result.samples), "rows-sha256": result.data_sha256}
    return {
        "type": "data",
        "bom-ref": DATA,
        "name": printable(result.manifest),
        "properties": [name_property(key, value) for key, value in said.items()],
    }


def describe_metric(metric: Metric) -> dict[str, Any]:
    """CycloneDX's values and bounds are text."""
    found: dict[str, Any] = {
        "type": metric.kind, "value": f"{metric.value:.6g}", "slice": printable(metric.slice),
    }  # fmt: skip
    if metric.low == metric.low and metric.high == metric.high:
        found["confidenceInterval"] = {"lowerBound": f"{metric.low:.6g}", "upperBound": f"{metric.high:.6g}"}
    return found


def describe_verdict(result: AuditResult) -> list[dict[str, str]]:
    """What the gates say, and what was asked."""
    said = {"verdict": result.verdict or "no gates", "suite": result.suite, "suite-sha256": result.suite_sha256}
    said |= {"description-sha256": result.description_sha256} if result.description else {}
    gates = [name_property("gate", f"{gate.verdict}: {gate.name}: {gate.requirement}") for gate in result.gates]
    return [*(name_property(key, value) for key, value in said.items()), *gates]


def name_property(key: str, value: str) -> dict[str, str]:
    return {"name": f"robustmm:{key}", "value": printable(value)}


def format_bom(result: AuditResult) -> str:
    """The document as its file holds it."""
    return json.dumps(write_bom(result), indent=1) + "\n"
