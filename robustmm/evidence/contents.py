"""Checks of what stands in an audit's folder by itself: whether each file is as it was written."""

from pathlib import Path

from robustmm.auditing.results.reference import read_audit
from robustmm.auditing.results.schema import AuditResult
from robustmm.auditing.store import RESULTS
from robustmm.errors import DataError
from robustmm.evaluation.attack import hash_bytes
from robustmm.evidence.cells import find_wrong_cells
from robustmm.evidence.record import NAME, AuditRecord, read_record
from robustmm.evidence.result import Check
from robustmm.files import hash_file, is_file

AGAIN = "the same audit command writes it"


def ok(name: str, reason: str) -> Check:
    return Check(name=name, status="OK", reason=reason)


def wrong(name: str, reason: str) -> Check:
    return Check(name=name, status="WRONG", reason=reason)


def unchecked(name: str, reason: str) -> Check:
    return Check(name=name, status="NOT CHECKED", reason=reason)


def check_results(folder: Path) -> tuple[Check, AuditResult | None]:
    """Whether results.json has the published form of this format, to the byte. Numbers have six digits there, so one
    that is read and written again is the same."""
    path = folder / RESULTS
    if not is_file(path):
        return wrong(RESULTS, f"{path} is not there"), None
    try:
        result, content = read_audit(path), path.read_bytes()
    except (DataError, OSError) as error:
        return wrong(RESULTS, str(error)), None
    if result.to_bytes() != content:
        return wrong(RESULTS, f"{path} is not as an audit writes it"), result
    return ok(RESULTS, f"has the published form of format {result.format}"), result


def check_record(folder: Path) -> tuple[Check, AuditRecord | None]:
    path = folder / NAME
    if not is_file(path):
        return unchecked(NAME, f"there is no {NAME}; {AGAIN}"), None
    try:
        return ok(NAME, "says what was asked, and what was read and written"), read_record(path)
    except DataError as error:
        return wrong(NAME, str(error)), None


def check_written(folder: Path, name: str, expected: str, shape: Check) -> Check:
    """A file of the folder against its hash in audit.json; `shape` is what is known of it already."""
    found = hash_file(folder / name)
    if shape.status == "WRONG" or found == expected:
        return shape
    if found is None:
        return wrong(name, f"{folder / name} is not there")
    return wrong(name, f"{folder / name} is not what the audit wrote: {differing_hashes(found, expected)}")


def check_cells(folder: Path, record: AuditRecord) -> Check:
    found = find_wrong_cells(folder / "cells", record.cells)
    if found:
        more = f", and {len(found) - 1} more are wrong" if len(found) > 1 else ""
        return wrong("cells", found[0] + more)
    return ok("cells", f"the {len(record.cells)} cells that the result rests on are there and whole")


def check_suite(result: AuditResult, record: AuditRecord) -> Check:
    """The suite's text stands in audit.json, its hash in results.json."""
    found = hash_bytes(record.suite.encode(errors="surrogatepass"))
    if found == result.suite_sha256:
        return ok("suite", f"the text of suite {result.suite} has SHA-256 {found[:12]}…")
    return wrong("suite", f"its text in {NAME} is another: {differing_hashes(found, result.suite_sha256)}")


def check_gates(result: AuditResult, record: AuditRecord) -> Check:
    """The gates' text stands in audit.json too, their hash in results.json; both are empty where there is no file."""
    found = hash_bytes(record.gates.encode(errors="surrogatepass")) if record.gates else ""
    if found == result.gates_sha256:
        return ok("gates", f"the text of the gates has SHA-256 {found[:12]}…")
    return wrong("gates", f"their text in {NAME} is another: {differing_hashes(found, result.gates_sha256)}")


def differing_hashes(found: str, expected: str) -> str:
    return f"its SHA-256 is {found[:12]}…, expected {expected[:12]}…"
