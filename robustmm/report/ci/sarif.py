"""Gates that do not pass as SARIF 2.1.0, which GitHub's code scanning and editors show beside the gates' file.

A rule is a metric. FAIL is an error, INCONCLUSIVE a warning; gates that pass are no results.
"""

import json
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from robustmm.auditing.results.schema import AuditResult
from robustmm.auditing.results.verdict import GateResult
from robustmm.config.shelf import read_text
from robustmm.config.toml_lines import find_line
from robustmm.errors import RobustmmError, printable
from robustmm.report.summary.gates import rank_gates
from robustmm.version import __version__

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS = {"FAIL": "error", "INCONCLUSIVE": "warning"}


class Place(NamedTuple):
    """A file, relative to the repository, and a line of it."""

    path: str
    line: int = 1


def locate_gates(*files: Path) -> dict[str, Place]:
    """Where each gate of these TOML files stands, by its name. A file that was changed since it was read tells what it
    still can."""
    found = {}
    for file in files:
        with suppress(RobustmmError, ValueError, KeyError, TypeError, AttributeError):
            source = read_text(file)
            for k, table in enumerate(tomllib.loads(source).get("gate", [])):
                found[table["name"]] = Place(relative_name(file), find_line(source, ("gate", k)))
    return found


def relative_name(file: Path) -> str:
    """The path from the current folder, which CI sets to the repository's; of a file outside of it, the name alone."""
    try:
        return file.resolve().relative_to(Path.cwd().resolve()).as_posix()
    except ValueError:
        return file.name


def render_sarif(result: AuditResult, places: Mapping[str, Place]) -> bytes:
    """A result stands where its gate does, or beside the model where that is not known."""
    rules = sorted({gate.metric for gate in result.gates})
    beside = Place(relative_name(Path(result.model)))
    found = [
        _describe_result(gate, rules, places.get(gate.name, beside))
        for gate in rank_gates(result.gates)
        if gate.verdict in LEVELS
    ]
    return _write_run(rules, found, {"executionSuccessful": True})


def render_partial_sarif(said: str) -> bytes:
    """An interrupted audit: a run that did not succeed, with no results."""
    notice = {"level": "error", "message": {"text": printable(said)}}
    return _write_run([], [], {"executionSuccessful": False, "toolExecutionNotifications": [notice]})


def _describe_result(gate: GateResult, rules: list[str], place: Place) -> dict[str, Any]:
    said = printable(f"{gate.verdict}: {gate.name}: {gate.requirement}; {gate.reason}.")
    where = {"uri": quote(place.path, errors="replace")}
    return {
        "ruleId": _rule_id(gate.metric),
        "ruleIndex": rules.index(gate.metric),
        "level": LEVELS[gate.verdict],
        "message": {"text": said},
        "locations": [{"physicalLocation": {"artifactLocation": where, "region": {"startLine": place.line}}}],
        "partialFingerprints": {"gate/v1": printable(gate.name)},
    }


def _describe_rule(metric: str) -> dict[str, Any]:
    """With all the texts that GitHub asks for."""
    short = f"A gate on {metric} does not pass."
    full = f"What an audit found of {metric} is worse than the gate allows, or the samples are too few to tell."
    texts = {"shortDescription": short, "fullDescription": full, "help": f"{full} The report of the audit says where."}
    return {"id": _rule_id(metric), **{key: {"text": text} for key, text in texts.items()}}


def _rule_id(metric: str) -> str:
    return f"gate/{metric}"


def _write_run(rules: list[str], results: list[dict[str, Any]], invocation: dict[str, Any]) -> bytes:
    driver = {
        "name": "robustmm",
        "semanticVersion": __version__,
        "rules": [_describe_rule(metric) for metric in rules],
    }
    run = {"tool": {"driver": driver}, "invocations": [invocation], "results": results}
    return (json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1) + "\n").encode()
