"""Signs an audit's folder, and checks a signature there."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from robustmm.auditing.results.schema import AuditResult
from robustmm.errors import DataError
from robustmm.evidence.contents import ok, unchecked, wrong
from robustmm.evidence.recompute import find_difference
from robustmm.evidence.record import AuditRecord
from robustmm.evidence.result import Check
from robustmm.evidence.signing.dsse import open_envelope, seal_payload
from robustmm.evidence.signing.keys import name_key
from robustmm.evidence.signing.statement import build_statement, format_statement, hash_evaluator, hash_record
from robustmm.files import is_file, write_file

FILE = "statement.dsse.json"
SIGNATURE = "signature"


class Signed(NamedTuple):
    """A check of a signature, and of one that holds the key's name and the time of issue."""

    check: Check
    key: str = ""
    issued: str = ""


def sign_audit(folder: Path, result: AuditResult, record: AuditRecord, key: Ed25519PrivateKey) -> Path:
    """Writes the statement of an audit that was verified."""
    issued = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    statement = build_statement(result, record, hash_record(record), issued, hash_evaluator())
    write_file(folder / FILE, seal_payload(format_statement(statement), key))
    return folder / FILE


def check_signature(
    folder: Path, key: Ed25519PublicKey | None, result: AuditResult | None, record: AuditRecord | None
) -> Signed | None:
    """Whether a key signed what the folder holds now; None where there is neither a key nor a signature."""
    path = folder / FILE
    if not is_file(path):
        said = f"there is no {FILE}: the audit is not signed"
        return Signed(wrong(SIGNATURE, said)) if key else None
    if key is None:
        return Signed(unchecked(SIGNATURE, f"there is a {FILE}; say whose with --key PUBLIC.pem"))
    try:
        statement = json.loads(open_envelope(path.read_bytes(), key))
        issued, evaluator = read_issue(statement)
    except DataError as error:
        return Signed(wrong(SIGNATURE, f"{path} {error}"))
    except (ValueError, RecursionError):
        return Signed(wrong(SIGNATURE, f"{path} holds no statement"))
    if result is None or record is None:
        return Signed(wrong(SIGNATURE, "the key signed an audit whose files can no longer be read"))
    now = json.loads(format_statement(build_statement(result, record, hash_record(record), issued, evaluator)))
    if difference := find_difference(statement, now):
        said = difference.replace("and the cells give", "and the folder holds")
        return Signed(wrong(SIGNATURE, f"the key signed another audit than this: {said}"))
    said = f"{now['predicate']['result']}, signed {issued} by key {name_key(key)[:12]}…"
    return Signed(ok(SIGNATURE, said), name_key(key), issued)


def read_issue(statement: Any) -> tuple[str, str]:
    """When a statement was issued, and the evaluator's digest. Raises DataError where it does not say so."""
    try:
        predicate = statement["predicate"]
        (evaluator,) = [one["digest"]["sha256"] for one in predicate["configuration"] if one["name"] == "evaluator"]
        return str(predicate["issued"]), str(evaluator)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError("holds another statement than robustmm's on an audit") from error
