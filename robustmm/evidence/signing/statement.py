"""What is signed: an in-toto Statement v1 with the predicate test-result v0.1.

The subjects are what was tested, model and description. All that the result rests on (suite, gates, data, the audit's
files, the evaluator) stands in the configuration, each with its digest.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from robustmm.auditing.results.schema import AuditResult
from robustmm.auditing.spec import hash_content
from robustmm.evidence.record import NAME, AuditRecord
from robustmm.files import hash_file

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
RESULTS = {"PASS": "PASSED", "FAIL": "FAILED", "INCONCLUSIVE": "WARNED", None: "WARNED"}
UNGATED = "no gates: the audit measured, and nothing was required of its numbers"


def build_statement(
    result: AuditResult, record: AuditRecord, record_sha256: str, issued: str, evaluator: str
) -> dict[str, Any]:
    """The statement of an audit; `issued` is a time in UTC (ISO 8601), `evaluator` SHA-256 of robustmm's own code."""
    tests: dict[str, list[str]] = {"PASS": [], "INCONCLUSIVE": [] if result.gates else [UNGATED], "FAIL": []}
    for gate in result.gates:
        tests[gate.verdict].append(gate.name)
    subjects = [describe_file(result.model, result.model_sha256)]
    if result.description:
        subjects.append(describe_file(record.describe, record.describe_sha256))
    return {
        "_type": STATEMENT_TYPE,
        "subject": subjects,
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "result": RESULTS[result.verdict],
            "configuration": describe_configuration(result, record, record_sha256, evaluator),
            "passedTests": tests["PASS"],
            "warnedTests": tests["INCONCLUSIVE"],
            "failedTests": tests["FAIL"],
            "issued": issued,
        },
    }


def describe_configuration(
    result: AuditResult, record: AuditRecord, record_sha256: str, evaluator: str
) -> list[dict[str, Any]]:
    """Resource descriptors of all that the result rests on."""
    runtime = result.runtime
    found = [describe_file(f"suite {result.suite}", result.suite_sha256)]
    if result.gates_sha256:
        found.append(describe_file("gates", result.gates_sha256))
    found += [
        describe_file(f"manifest {result.manifest}", record.manifest_sha256),
        describe_file(f"rows of split {result.split}", result.data_sha256),
        describe_file("media", record.media_sha256),
        describe_file("results.json", record.results_sha256),
        describe_file("records.parquet", record.records_sha256),
        describe_file("cells", hash_content(record.cells)),
        describe_file(NAME, record_sha256),
    ]
    said = {"provider": runtime.provider, "threads": runtime.threads, "graphOptimisation": runtime.graph_optimisation}
    return [
        *found,
        describe_file("evaluator", evaluator) | {"uri": f"pkg:pypi/robustmm@{runtime.robustmm}"},
        {"name": "runtime", "uri": f"pkg:pypi/onnxruntime@{runtime.onnxruntime}", "annotations": said},
    ]


def describe_file(name: str, digest: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": digest}}


def hash_evaluator() -> str:
    """SHA-256 of the names and content of robustmm's own Python files, as they are installed here."""
    root = Path(__file__).parents[2]
    return hash_content({path.relative_to(root).as_posix(): hash_file(path) for path in sorted(root.rglob("*.py"))})


def format_statement(statement: dict[str, Any]) -> bytes:
    return json.dumps(statement, ensure_ascii=True, sort_keys=True).encode()


def hash_record(record: AuditRecord) -> str:
    """SHA-256 of audit.json, which is written in one way only."""
    return hashlib.sha256(record.to_bytes()).hexdigest()
