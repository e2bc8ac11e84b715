"""The folder that a benchmark is prepared in: whose it is, and what of it may be written again."""

import hashlib
import json
from pathlib import Path

from robustmm.errors import DataError, UsageError
from robustmm.files import make_folder, remove_partial_files, write_file
from robustmm.version import __version__

FACTS, MANIFEST = "prepare.json", "manifest.csv"


def check_place(out: Path, raw: Path, name: str) -> None:
    """Raises UsageError where OUT holds something else, or a manifest that was changed since it was written, or where
    RAW and OUT are one or OUT lies in RAW. Writes nothing."""
    if raw.exists() and out.resolve().is_relative_to(raw.resolve()):
        told = "is RAW itself" if out.resolve() == raw.resolve() else f"lies in {raw}"
        raise UsageError(f"OUT {told}: the manifest and what is extracted go to a folder of their own outside it")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} should be a new or empty folder, found a file")
    facts = read_facts(out)
    if facts and facts["benchmark"] != name:
        raise UsageError(f'{out} holds the benchmark "{facts["benchmark"]}", expected a new or empty folder')
    if not facts and out.exists() and any(not path.name.startswith(".") for path in out.iterdir()):
        raise UsageError(f"{out} should be a new or empty folder, or one that {name} is prepared in; it holds files")
    path = out / MANIFEST
    if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() not in _known(facts):
        raise UsageError(f"{path} was changed since it was prepared; move it elsewhere and prepare again")


def open_place(out: Path, name: str) -> None:
    """Makes OUT this benchmark's; what a killed process left half written there is removed."""
    make_folder(out)
    remove_partial_files(out.rglob(".*.part"))
    if not read_facts(out):
        _write_facts(out, {"benchmark": name})


def write_manifest(out: Path, table: str, facts: dict[str, object]) -> Path:
    """Writes the manifest, in place of the one that was written here before, and what it was made from."""
    path = out / MANIFEST
    try:
        content = table.encode()
    except UnicodeError as error:
        raise DataError(f"{path} cannot be written: {error}") from error
    digest = hashlib.sha256(content).hexdigest()
    _write_facts(out, {**facts, "manifest": [*_known(read_facts(out)), digest]})  # either is ours if we die here
    write_file(path, content)
    _write_facts(out, {**facts, "manifest": [digest]})
    return path


def read_facts(out: Path) -> dict[str, object]:
    """What prepare.json says; nothing where it is not there."""
    path = out / FACTS
    if not path.is_file():
        return {}
    try:
        facts = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged ({error}); prepare into a new folder") from error
    if not isinstance(facts, dict) or "benchmark" not in facts:
        raise DataError(f"{path} should name a benchmark; prepare into a new folder")
    return facts


def _known(facts: dict[str, object]) -> list[object]:
    found = facts.get("manifest", [])
    return found if isinstance(found, list) else []


def _write_facts(out: Path, facts: dict[str, object]) -> None:
    write_file(out / FACTS, (json.dumps({"robustmm": __version__, **facts}, indent=1) + "\n").encode())
