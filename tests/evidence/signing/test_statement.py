"""The in-toto statement: the published form, and what each verdict makes of it."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from audits import estimate, outcome, result

from robustmm.auditing.results.schema import AuditResult
from robustmm.auditing.results.verdict import GateResult, Verdict
from robustmm.evidence.record import AuditRecord
from robustmm.evidence.signing.statement import UNGATED, build_statement, hash_evaluator
from robustmm.files import hash_file

RECORD = AuditRecord(
    limit=None, on_bad="error", inside=False, describe="", describe_sha256="", reference="", reference_sha256="",
    stamps=[], suite="", gates="", digest="d", manifest_sha256="m", media_sha256="f", media_files=2, results_sha256="r",
    records_sha256="p", cells={},
)  # fmt: skip


def gate(name: str, verdict: Verdict) -> GateResult:
    return GateResult(
        name=name, metric="accuracy", requirement="accuracy is at least 0.8", verdict=verdict, judged_on="interval",
        condition="clean", part="", value=estimate(0.9), bound=0.8, samples=100, samples_to_decide=float("nan"),
        reason="it is", required="min", baseline_sha256="",
    )  # fmt: skip


def state(found: AuditResult) -> dict[str, Any]:
    return build_statement(found, RECORD, "a", "2026-01-01T00:00:00Z", "e")


@pytest.mark.parametrize(
    ("verdict", "said"), [("PASS", "PASSED"), ("FAIL", "FAILED"), ("INCONCLUSIVE", "WARNED"), (None, "WARNED")]
)
def test_a_verdict_is_the_predicates_result(verdict: Verdict | None, said: str) -> None:
    gates = [gate("a", "PASS"), gate("b", "INCONCLUSIVE"), gate("c", "FAIL")] if verdict else []
    found = state(result(outcome(), verdict=verdict, gates=gates))["predicate"]
    assert found["result"] == said
    assert found["passedTests"] == (["a"] if verdict else [])
    assert found["warnedTests"] == (["b"] if verdict else [UNGATED])
    assert found["failedTests"] == (["c"] if verdict else [])


def test_what_was_tested_is_the_subject_and_the_rest_is_bound_by_digest() -> None:
    found = state(result(outcome(), model="m.onnx", model_sha256="w", suite_sha256="s", gates_sha256="g"))
    assert found["_type"] == "https://in-toto.io/Statement/v1"
    assert found["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert found["subject"] == [{"name": "m.onnx", "digest": {"sha256": "w"}}]
    bound = {c["name"]: c["digest"]["sha256"] for c in found["predicate"]["configuration"] if "digest" in c}
    assert bound | {"cells": "c"} == {
        "suite s": "s", "gates": "g", "manifest data.csv": "m", "rows of split test": "d", "media": "f",
        "results.json": "r", "records.parquet": "p", "cells": "c", "audit.json": "a", "evaluator": "e",
    }  # fmt: skip
    assert all({"uri", "digest", "content"} & c.keys() for c in found["predicate"]["configuration"]), "in-toto asks it"


def test_the_description_of_a_foreign_model_is_a_subject(here: Path) -> None:
    """And the file's digests are those of the files, as another tool computes them."""
    payload = json.loads((here / "a/statement.dsse.json").read_text())["payload"]
    found = json.loads(base64.b64decode(payload))
    assert {s["name"]: s["digest"]["sha256"] for s in found["subject"]} == {
        name: hash_file(here / name) for name in ("model.onnx", "theirs.toml")
    }
    bound = {c["name"]: c.get("digest") for c in found["predicate"]["configuration"]}
    for name in ("results.json", "records.parquet", "audit.json"):
        assert bound[name] == {"sha256": hash_file(here / "a" / name)}
    assert bound["evaluator"] == {"sha256": hash_evaluator()}
