"""The folder that a benchmark is prepared in: whose it is, and what of it may be written again."""

import hashlib
import json
from pathlib import Path

from robustmm.errors import DataError, UsageError
from robustmm.files import make_folder, remove_partial_files, write_file
from robustmm.version import __version__

FACTS = "prepare.json"


def open_place(out: Path, raw: Path, name: str) -> None:
    """Makes OUT this benchmark's, or finds it so; what a killed process left half written is removed. Raises UsageError
    where OUT holds something else, or RAW and OUT are one or OUT lies in RAW."""
    if raw.exists() and out.resolve().is_relative_to(raw.resolve()):
        told = "is RAW itself" if out.resolve() == raw.resolve() else f"lies in {raw}"
        raise UsageError(f"OUT {told}: the manifest and what is extracted go to a folder of their own outside it")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} should be a new or empty folder, found a file")
    make_folder(out)
    facts = read_facts(out)
    if facts and facts.get("benchmark") != name:
        raise UsageError(f'{out} holds the benchmark "{facts.get("benchmark")}", expected a new or empty folder')
    if not facts and any(not path.name.startswith(".") for path in out.iterdir()):
        raise UsageError(f"{out} should be a new or empty folder, or one that {name} is prepared in; it holds files")
    remove_partial_files(path for path in out.rglob(".*.part"))
    if not facts:
        write_facts(out, {"benchmark": name})


def read_facts(out: Path) -> dict[str, object]:
    path = out / FACTS
    if not path.is_file():
        return {}
    try:
        facts = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged ({error}); remove it and choose a new folder") from error
    if not isinstance(facts, dict) or "benchmark" not in facts:
        raise DataError(f"{path} should name a benchmark; remove it and choose a new folder")
    return facts


def write_facts(out: Path, facts: dict[str, object]) -> None:
    write_file(out / FACTS, (json.dumps({"robustmm": __version__, **facts}, indent=1) + "\n").encode())


def write_manifest(out: Path, table: str, facts: dict[str, object]) -> Path:
    """Writes the manifest, in place of one that was written here before and that nobody changed since. Raises
    UsageError for one that somebody did change."""
    path = out / "manifest.csv"
    content = table.encode(errors="surrogateescape")
    digest = hashlib.sha256(content).hexdigest()
    if path.exists():
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found not in (digest, read_facts(out).get("manifest")):
            raise UsageError(f"{path} was changed since it was prepared; move it elsewhere and prepare again")
    write_facts(out, {**facts, "manifest": digest})
    write_file(path, content)
    return path
