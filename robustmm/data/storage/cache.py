"""The cache of decoded signals: a folder of shards, each named by all that its content depends on.

A name covers how the modality is read, the cells and the size and time of change of every file that they name, and the
versions of what decodes: a changed file has another shard, and a stale one is never read. Shards are whole or absent;
what a killed process has made is used by the next.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import Field

from robustmm.data.loading import read_cells
from robustmm.data.manifest import Manifest
from robustmm.data.storage.shards import Shard, read_header, write_shard
from robustmm.errors import DataError, UnwritableError, UsageError, explain_write
from robustmm.files import make_folder, remove_partial_files, stamp_file
from robustmm.modalities import Modality, Signal
from robustmm.modalities.base import named_file
from robustmm.results import Result
from robustmm.version import __version__

SHARD_ROWS = 256
SUFFIX = ".signals"
LEARNED = {"mean", "std", "tokenizer_json"}
"""What a modality learns from training signals: it changes what is fed, not what is read."""
DECODERS = ("opencv", "soundfile", "soxr", "simplejpeg", "numpy")
DEFAULT_LIMIT = 100 * 10**9
"""Bytes that the cache may take where nobody says otherwise."""


def cache_folder() -> Path:
    return platformdirs.user_cache_path("robustmm") / "signals"


def find_shard(manifest: Manifest, modality: Modality) -> Path:
    """Where the shard of these rows stands, whether it is there or not."""
    cells = manifest.cells(modality)
    read_as = modality.model_dump(mode="json", exclude=LEARNED)
    facts = [__version__, decoder_versions(), read_as, str(manifest.folder.resolve()), cells]
    return name_shard([facts, [stamp_cell(modality, cell, manifest.folder) for cell in cells if cell]])


def stamp_cell(modality: Modality, cell: str, folder: Path) -> tuple[int, int] | None:
    """Size and time of change of the file that a cell names; None where it names none."""
    return None if modality.kind == "text" else stamp_file(folder / named_file(cell))


def find_derived(shard: Shard, key: str) -> Path:
    """Where the shard stands that is made of this one by what the key says."""
    return name_shard([shard.path.name, key])


def name_shard(facts: Sequence[Any]) -> Path:
    digest = hashlib.sha256(json.dumps(facts).encode("utf-8", "surrogatepass")).hexdigest()
    return cache_folder() / digest[:2] / f"{digest[:32]}{SUFFIX}"


@cache
def decoder_versions() -> list[str]:
    installed = {each.metadata["Name"]: each.version for each in distributions()}
    return [f"{name} {installed[name]}" for name in sorted(installed) if name and name.startswith(DECODERS)]


def open_shard(manifest: Manifest, modality: Modality, workers: int) -> Shard:
    """The shard of these rows: found whole, or made. Rows that cannot be read are missing in it, and told in `bad`."""

    def make() -> Content:
        signals, bad = list[Signal | None](), {}
        for row, signal in enumerate(read_cells(manifest, modality, workers)):
            if isinstance(signal, DataError):
                bad[row] = str(signal)
            signals.append(None if isinstance(signal, DataError) else signal)
        return signals, bad

    about = {"manifest": str(manifest.path.resolve()), "modality": modality.name, "kind": modality.kind}
    return hold_shard(find_shard(manifest, modality), about, make)


Content = tuple[Sequence[Signal | None], Mapping[int, str]]
"""The signals of a shard's rows, and what was wrong with those that could not be read."""


def hold_shard(path: Path, about: Mapping[str, str], make: Callable[[], Content]) -> Shard:
    """The shard at this place: found whole, or made."""
    try:
        found = Shard(path)
        found.check()
        os.utime(path)
        return found
    except (OSError, ValueError):  # none, or what a full disk or a crash has left of one
        pass
    signals, bad = make()
    try:
        make_folder(path.parent)
        write_shard(path, signals, bad, about)
    except UnwritableError as error:
        todo = "what is there is used again; make room with: robustmm cache --clear, or do without: --storage decode"
        raise UnwritableError(f"the cache in {cache_folder()} cannot be written", error.reason, todo) from error
    return Shard(path)


def free_bytes(limit: int) -> int:
    """What may be added: within the limit, and within nine tenths of what the disk has left."""
    folder = cache_folder()
    make_folder(folder)
    used = sum(each.stat().st_size for each in folder.glob(f"*/*{SUFFIX}"))
    return max(0, min(limit - used, int(0.9 * shutil.disk_usage(folder).free)))


class CachedSet(Result):
    """What the cache holds of one modality of a manifest."""

    manifest: str = Field(description="empty for files that are no shards")
    modality: str
    kind: str
    samples: int
    bytes: int
    used: str = Field(description="when a training last opened it, UTC")


class CacheResult(Result):
    """The result of `robustmm cache --json`, format 1."""

    format: int = 1
    folder: str
    sets: list[CachedSet]


def list_cache(manifest: Path | None = None) -> CacheResult:
    """What is cached, of one manifest or of all."""
    groups = group_shards(manifest)
    sets = [
        CachedSet(
            manifest=key[0], modality=key[1], kind=key[2],
            samples=sum(found.values()), bytes=sum(path.stat().st_size for path in found),
            used=f"{datetime.fromtimestamp(max(p.stat().st_mtime for p in found), UTC):%Y-%m-%d %H:%M}",
        )
        for key, found in sorted(groups.items())
    ]  # fmt: skip
    return CacheResult(folder=str(cache_folder()), sets=sets)


def clear_cache(manifest: Path | None = None) -> int:
    """Removes what is cached, of one manifest or of all, and what killed processes left; the bytes that are free now.
    Raises UsageError where nothing of the manifest is cached."""
    groups = group_shards(manifest)
    if manifest is not None and not groups:
        known = [key[0] for key in group_shards(None)]
        raise UsageError(f"nothing of {manifest} is cached" + (f"; there is {known[0]}" if known else ""))
    freed = 0
    for found in groups.values():
        for path in found:
            freed += path.stat().st_size
            with explain_write(path):
                path.unlink(missing_ok=True)
    remove_partial_files(cache_folder().glob("*/.*.part"))
    return freed


def group_shards(manifest: Path | None) -> dict[tuple[str, str, str], dict[Path, int]]:
    """The files of the cache, with their rows, by (manifest, modality, kind); with empty names where one is no
    shard."""
    groups: dict[tuple[str, str, str], dict[Path, int]] = {}
    for path in sorted(cache_folder().glob(f"*/*{SUFFIX}")):
        try:
            header, _ = read_header(path)
            about, rows = header["about"], len(header["rows"])
            key = (str(about["manifest"]), str(about["modality"]), str(about["kind"]))
        except (OSError, ValueError, LookupError, TypeError):
            key, rows = ("", "", ""), 0
        if manifest is None or key[0] == str(manifest.resolve()):
            groups.setdefault(key, {})[path] = rows
    return groups


def split_shards(manifest: Manifest) -> list[Manifest]:
    """The rows of a manifest as its shards hold them."""
    starts = range(0, len(manifest), SHARD_ROWS)
    return [manifest.take(list(range(start, min(start + SHARD_ROWS, len(manifest))))) for start in starts]
