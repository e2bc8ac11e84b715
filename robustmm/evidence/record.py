"""`audit.json`: what an audit was asked, and the hashes of all that it read and wrote. It is written when the audit is
done, for results.json alone does not say which cells it rests on, nor all that is needed to compute it again.
"""

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from robustmm.auditing.cells import BAD
from robustmm.auditing.run import Audit
from robustmm.auditing.spec import Stamp, hash_media, list_media
from robustmm.auditing.store import RECORDS, RESULTS
from robustmm.errors import DataError, InterruptedRun, check_regular
from robustmm.files import hash_file, write_if_changed
from robustmm.results import Count, Result
from robustmm.system import reveal_interrupts

NAME = "audit.json"
Sha256 = str
CellName = Annotated[str, Field(pattern=r"^[0-9a-f]{2}/[0-9a-f]{64}(\.cell|\.json|\.bad\.json)$")]


class AuditRecord(Result):
    """What an audit was asked beside what results.json says, and SHA-256 of what it read and wrote. Paths are as they
    were given."""

    format: Literal[1] = 1
    limit: Count | None
    on_bad: Literal["error", "missing"]
    inside: bool
    describe: str = Field(description="the description's file; empty for a file of ours")
    describe_sha256: Sha256
    reference: str = Field(description="the reference's results.json; empty where there is none")
    reference_sha256: Sha256
    suite: str = Field(description="the suite's whole text")
    gates: str = Field(description="the whole text of the gates' file; empty where there is none")
    digest: Sha256 = Field(description="of all that every cell depends on; a part of their names")
    stamps: list[Stamp] = Field(
        description="of the files that conditions name: path, size, time of change; a part of their cells' names"
    )
    manifest_sha256: Sha256 = Field(description="of the manifest's file")
    media_sha256: Sha256 = Field(description="of the names and hashes of all files that rows and conditions name")
    media_files: Count
    results_sha256: Sha256
    records_sha256: Sha256
    cells: dict[CellName, Sha256] = Field(description="every cell that the result rests on, by its path in cells/")

    def to_bytes(self) -> bytes:
        """The content of audit.json."""
        return (json.dumps(self.model_dump(mode="json"), indent=1) + "\n").encode()


def list_cells(audit: Audit) -> list[str]:
    """The paths, in cells/, of every cell that the result of a finished audit rests on; summaries follow from them."""
    clean = audit.keys[: len(audit.work.chunks)]
    names = [f"{key}.cell" for key in audit.keys] + [f"{key}{BAD}" for key in clean]
    names += [f"{audit.work.floor_key}.json"]
    names += [f"{audit.work.search_key(table)}.json" for table in audit.plan.searches]
    return sorted({f"{name[:2]}/{name}" for name in names})


def build_record(audit: Audit, suite: Path, gates: Path | None) -> AuditRecord:
    """The record of a finished audit. Raises DataError where a file was changed or taken away since."""
    spec, plan, folder = audit.spec, audit.plan, audit.folder
    media, files = hash_media(list_media(audit.work, plan.conditions))
    return AuditRecord(
        limit=spec.limit,
        on_bad=spec.on_bad,
        inside=spec.inside is not None,
        describe=str(spec.describe or ""),
        describe_sha256=require_hash(spec.describe) if spec.describe else "",
        reference=str(plan.reference or ""),
        reference_sha256=require_hash(plan.reference) if plan.reference else "",
        suite=require_text(suite, plan.suite_sha256),
        gates=require_text(gates, require_hash(gates)) if gates else "",
        digest=audit.work.digest,
        stamps=list(dict.fromkeys(s for each in plan.conditions for s in audit.work.condition_stamps(each))),
        manifest_sha256=require_hash(audit.work.rows.path),
        media_sha256=media,
        media_files=files,
        results_sha256=require_hash(folder / RESULTS),
        records_sha256=require_hash(folder / RECORDS),
        cells={name: require_hash(folder / "cells" / name) for name in list_cells(audit)},
    )


def require_text(path: Path, digest: str) -> str:
    """A file's text, byte for byte, where it is still the one that was read."""
    if require_hash(path) != digest:
        raise DataError(f"{path} was changed while the audit ran; the same command reads it again")
    return path.read_bytes().decode()


def require_hash(path: Path) -> str:
    found = hash_file(path)
    if found is None:
        raise DataError(f"{path} was taken away while the audit ran; the same command makes it again")
    return found


def write_record(audit: Audit, suite: Path, gates: Path | None = None) -> None:
    """Writes audit.json, with the text of the suite's and the gates' files. One that says the same is left as it is, as
    results.json is."""
    path = audit.folder / NAME
    try:
        with reveal_interrupts(), audit.stage("hashes", 1) as advance:
            content = build_record(audit, suite, gates).to_bytes()
            advance(1)
    except KeyboardInterrupt as error:
        told = f"interrupted: everything was measured and is kept in {audit.folder}; the same command continues"
        raise InterruptedRun(told) from error
    write_if_changed(path, content)


def read_record(path: Path) -> AuditRecord:
    """Raises DataError for a file that is not as `write_record` writes it."""
    check_regular(path)
    try:
        content = path.read_bytes()
        record = AuditRecord.model_validate_json(content)
        if record.to_bytes() == content:
            return record
    except (OSError, ValidationError, ValueError):
        pass
    raise DataError(f"{path} is not as an audit writes it")
