"""Where a training keeps its data: as it was asked for, or by how much there is."""

import re
from collections.abc import Callable, Sequence
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from robustmm.data.manifest import Manifest
from robustmm.data.storage.cache import DEFAULT_LIMIT, cache_folder, find_shard, free_bytes, split_shards
from robustmm.data.storage.split import Mode, Storage
from robustmm.errors import UsageError
from robustmm.modalities import Modality

Asked = Literal["auto"] | Mode
ASKED = ("auto", *get_args(Mode))
IN_MEMORY = 10**9
"""Bytes up to which data are held in memory where nobody says otherwise."""


class StorageOptions(BaseModel):
    """What the user asked for: where data are kept, how many bytes the cache may take, how many threads read."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    mode: Asked = "auto"
    limit: int = Field(default=DEFAULT_LIMIT, ge=0)
    workers: int = Field(default=4, ge=1)


DEFAULT = StorageOptions()


def choose_storage(
    options: StorageOptions,
    splits: Sequence[Manifest],
    modalities: Sequence[Modality],
    note: Callable[[str], None] = lambda told: None,
) -> Storage:
    """The storage of these splits; says what takes room. Raises UsageError where the cache is asked for, and full."""
    asked, workers = options.mode, options.workers
    whole = sum(estimate_bytes(modalities, len(split)) for split in splits)
    if asked == "memory" or (asked == "auto" and whole <= IN_MEMORY):
        return Storage("memory", workers)
    if asked == "decode":
        return Storage("decode", workers)
    needed = sum(
        estimate_bytes([m], len(part))
        for split in splits
        for part in split_shards(split)
        for m in modalities
        if not find_shard(part, m).is_file()
    )
    room = free_bytes(options.limit)
    folder = cache_folder()
    if needed <= room:
        new = f"{format_bytes(needed)} of it new" if needed else "all of it there"
        note(f"data: {format_bytes(whole)} decoded, from the cache in {folder}, {new}")
        return Storage("cache", workers, options.limit)
    full = f"the cache in {folder} has room for {format_bytes(room)}, the decoded data need {format_bytes(needed)} more"
    if asked == "cache":
        raise UsageError(f"{full}; give it more with --cache-size, or make room with: robustmm cache --clear")
    note(f"{full}: they are decoded anew for every batch")
    return Storage("decode", workers)


def estimate_bytes(modalities: Sequence[Modality], rows: int) -> int:
    """What so many rows take when they are decoded."""
    return rows * sum(m.input_bytes for m in modalities)


def format_bytes(count: float) -> str:
    """As 14.2 GB, 310 MB or 0.2 MB."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.{0 if count >= 1e7 else 1}f} MB"


UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def parse_bytes(name: str, given: str | int) -> int:
    """A size in bytes, from 50GB or a number of bytes. Raises UsageError for anything else."""
    found = re.fullmatch(r"\s*([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([KMGT]?B|)\s*", str(given), re.IGNORECASE | re.ASCII)
    if not found:
        raise UsageError(f'{name} should be a size such as 50GB or 800MB, found "{given}"')
    return int(float(found[1]) * UNITS[found[2].upper()])
