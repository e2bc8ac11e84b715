"""SARIF 2.1.0: gates that do not pass, beside the lines where they are declared."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from gated import HOSTILE, audit, gate

from robustmm.report.ci.sarif import Place, locate_gates, relative_name, render_partial_sarif, render_sarif

MESSAGE = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}}
RESULT = {
    "type": "object",
    "required": ["ruleId", "ruleIndex", "level", "message", "locations", "partialFingerprints"],
    "additionalProperties": False,
    "properties": {
        "ruleId": {"type": "string"},
        "ruleIndex": {"type": "integer", "minimum": 0},
        "level": {"enum": ["error", "warning"]},
        "message": MESSAGE,
        "partialFingerprints": {"type": "object", "additionalProperties": {"type": "string"}},
        "locations": {
            "type": "array", "minItems": 1, "maxItems": 1,
            "items": {
                "type": "object", "required": ["physicalLocation"],
                "properties": {"physicalLocation": {
                    "type": "object", "required": ["artifactLocation", "region"],
                    "properties": {
                        "artifactLocation": {
                            "required": ["uri"],
                            "properties": {"uri": {"type": "string", "pattern": r"^[A-Za-z0-9%_.~/-]+$"}},
                        },
                        "region": {
                            "required": ["startLine"],
                            "properties": {"startLine": {"type": "integer", "minimum": 1}},
                        },
                    },
                }},
            },
        },
    },
}  # fmt: skip
FORM = {
    "type": "object",
    "required": ["$schema", "version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {"type": "array", "minItems": 1, "maxItems": 1, "items": {
            "type": "object", "required": ["tool", "results", "invocations"], "additionalProperties": False,
            "properties": {
                "tool": {"required": ["driver"], "properties": {"driver": {
                    "required": ["name", "semanticVersion", "rules"],
                    "properties": {"rules": {"type": "array", "uniqueItems": True, "items": {
                        "required": ["id", "shortDescription", "fullDescription", "help"],
                        "properties": {"shortDescription": MESSAGE, "fullDescription": MESSAGE, "help": MESSAGE},
                    }}},
                }}},
                "invocations": {"type": "array", "items": {"required": ["executionSuccessful"]}},
                "results": {"type": "array", "items": RESULT},
            },
        }},
    },
}  # fmt: skip
"""What the published schema of SARIF 2.1.0 and GitHub's code scanning ask of the parts that are used."""


def parsed(content: bytes) -> dict[str, Any]:
    found = json.loads(content)
    jsonschema.validate(found, FORM)
    (run,) = found["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert all(rules[r["ruleIndex"]] == r["ruleId"] for r in run["results"])
    return run


GATES = """[[gate]]
name = "first"
metric = "accuracy"
min = 0.9

# a remark
[[gate]]
name = "second"
metric = "ece"
max = 0.1
"""


def test_gates_that_do_not_pass_are_results() -> None:
    some = (gate("PASS", "p", metric="nll"), gate("FAIL", "f"), gate("INCONCLUSIVE", "i", metric="drop"))
    run = parsed(render_sarif(audit(gates=some), {"f": Place("ci/gates.toml", 12), "i": Place("a b.toml")}))
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["gate/accuracy", "gate/drop", "gate/nll"]
    failed, unsure = run["results"]
    assert (failed["ruleId"], failed["level"]) == ("gate/accuracy", "error")
    assert (unsure["ruleId"], unsure["level"]) == ("gate/drop", "warning")
    assert failed["message"]["text"] == "FAIL: f: accuracy at least 90 % under rain; so it is."
    where = [r["locations"][0]["physicalLocation"] for r in run["results"]]
    assert where[0] == {"artifactLocation": {"uri": "ci/gates.toml"}, "region": {"startLine": 12}}
    assert where[1]["artifactLocation"]["uri"] == "a%20b.toml"
    assert run["invocations"] == [{"executionSuccessful": True}]
    assert parsed(render_sarif(audit(), {}))["results"] == []


def test_gates_are_found_in_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ci").mkdir()
    (tmp_path / "ci/gates.toml").write_text(GATES)
    (tmp_path / "suite.toml").write_text(GATES.replace("first", "third").replace("second", "fourth"))
    found = locate_gates(Path("suite.toml"), tmp_path / "ci/gates.toml")
    assert found == {
        "first": ("ci/gates.toml", 1), "second": ("ci/gates.toml", 7), "third": ("suite.toml", 1),
        "fourth": ("suite.toml", 7),
    }  # fmt: skip
    monkeypatch.chdir(tmp_path / "ci")
    assert relative_name(tmp_path / "suite.toml") == "suite.toml", "outside of the repository: the name alone"
    (tmp_path / "broken.toml").write_text("[[gate]\n")
    assert locate_gates(tmp_path / "broken.toml", tmp_path / "none.toml") == {}


def test_a_gate_that_is_in_no_file_stands_beside_the_model() -> None:
    run = parsed(render_sarif(audit(gates=(gate("FAIL"),), model="runs/m.onnx"), {}))
    assert run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": "runs/m.onnx"}


def test_an_interrupted_audit_is_a_run_that_did_not_succeed() -> None:
    run = parsed(render_partial_sarif("PARTIAL: 1 of 2"))
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    assert invocation["toolExecutionNotifications"][0]["message"]["text"] == "PARTIAL: 1 of 2"


def test_hostile_words_are_text() -> None:
    some = (gate("FAIL", HOSTILE, requirement=HOSTILE, reason=HOSTILE),)
    content = render_sarif(audit(name=HOSTILE, gates=some), {HOSTILE: Place("\ud800 \x1b#?.toml", 3)})
    parsed(content)
    content.decode("ascii")
    assert b"\\u001b" not in content
