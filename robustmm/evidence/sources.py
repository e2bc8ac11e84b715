"""Checks of what an audit read, where it is on this machine: model, description, manifest and media."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from robustmm.auditing.results.schema import AuditResult
from robustmm.auditing.spec import OpenedSpec, Spec, hash_media, list_media
from robustmm.conditions.condition import Condition
from robustmm.data.inside import manifest_folder
from robustmm.data.manifest import find_table
from robustmm.errors import DataError
from robustmm.evaluation.attack import hash_bytes
from robustmm.evaluation.subsets import Baseline
from robustmm.evidence.contents import differing_hashes, ok, unchecked, wrong
from robustmm.evidence.record import AuditRecord
from robustmm.evidence.result import Check
from robustmm.files import hash_file
from robustmm.system import MOST_PROCESSES


@dataclass(frozen=True)
class Sources:
    """Where the files are that an audit read: as it was told them, relative to the current folder, unless the user says
    otherwise."""

    model: Path
    manifest: Path
    describe: Path | None
    reference: Path | None
    provider: str


def check_file(name: str, path: Path, expected: str, option: str) -> Check:
    found = hash_file(path)
    if found is None:
        return unchecked(name, f"{path} is not here; say where it is with {option}")
    if found != expected:
        return wrong(name, f"{path} is not the file that was audited: {differing_hashes(found, expected)}")
    return ok(name, f"{path} is the file that was audited, SHA-256 {found[:12]}…")


def check_manifest(path: Path, expected: str) -> Check:
    """A manifest's file, which may be named by its folder."""
    try:
        return check_file("manifest", find_table(path), expected, "--data")
    except DataError as error:
        return unchecked("manifest", f"{error}; say where it is with --data")


def check_description(path: Path, result: AuditResult, record: AuditRecord) -> Check:
    """Both the text in results.json and the file."""
    found = hash_bytes(result.description.encode(errors="surrogatepass"))
    if found != result.description_sha256:
        said = differing_hashes(found, result.description_sha256)
        return wrong("description", f"its text in results.json is another than its hash there: {said}")
    return check_file("description", path, record.describe_sha256, "--describe")


def check_rows(opened: OpenedSpec, result: AuditResult) -> Check:
    """The audited rows: ids, labels and cells, as an audit hashes them."""
    path, found = opened.rows.path, opened.data_sha256
    if found != result.data_sha256:
        said = differing_hashes(found, result.data_sha256)
        return wrong("manifest", f"{path} is the file that audit.json names, and its rows are not: {said}")
    return ok("manifest", f"{path} and its {len(opened.rows)} rows of split {result.split} are those audited")


def check_media(opened: OpenedSpec, conditions: list[Condition], record: AuditRecord) -> Check:
    named = list_media(opened, conditions)
    found, here = hash_media(named)
    if found == record.media_sha256:
        return ok("media", f"the {here} files that the rows name are those audited")
    if lost := find_lost(record):
        return unchecked("media", f"{lost} is not here, which a condition names relative to the current folder")
    if not here and record.media_files:
        return unchecked("media", f"none of the {record.media_files} files that the rows name is here")
    if here < record.media_files:
        return wrong("media", f"{record.media_files - here} of the {record.media_files} files are not there")
    return wrong("media", f"some of the {record.media_files} files are not what they were: {_told(found, record)}")


def find_lost(record: AuditRecord) -> str | None:
    """The first file that conditions name and that is not here."""
    return next((name for name, _, _ in record.stamps if not os.path.exists(name)), None)


def _told(found: str, record: AuditRecord) -> str:
    return differing_hashes(found, record.media_sha256).replace("its", "their common")


def rebuild_spec(result: AuditResult, record: AuditRecord, sources: Sources) -> Spec:
    """The spec that an audit says it followed. Raises DataError where it says what no audit takes."""
    threads = result.runtime.threads
    if not 1 <= threads <= MOST_PROCESSES or result.seed < 0:
        raise DataError(f"results.json says {threads} threads and seed {result.seed}, which no audit takes")
    for baseline in get_args(Baseline):
        if baseline == result.baseline:
            return Spec(
                sources.model, sources.manifest, sources.describe if result.description else None, result.split,
                record.limit, result.seed, record.on_bad, baseline, sources.provider, threads,
                inside=manifest_folder(sources.manifest) if record.inside else None, digest=record.digest,
                stamps=tuple(record.stamps),
            )  # fmt: skip
    raise DataError(f'results.json says the baseline "{result.baseline}", which no audit has')
