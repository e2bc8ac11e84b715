"""What an audit's numbers depend on, and the chunks of samples that are worked on at a time."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from robustmm.conditions.condition import Condition
from robustmm.data.loading import OnBad
from robustmm.data.manifest import Manifest, read
from robustmm.evaluation.evaluate import Evaluation
from robustmm.evaluation.subsets import Baseline
from robustmm.modalities import Modality
from robustmm.runtime.foreign.session import opened
from robustmm.runtime.session import Session

FORMAT = 1
SMALL, LARGE = 32, 256
"""Least and most samples of a chunk; there are 16 or more where the samples suffice."""
HELD = 64 * 2**20
"""Bytes of signals that a chunk may hold."""
CROSSED = 128
"""Samples, in whole chunks, that the additive projection is measured on."""


@dataclass(frozen=True)
class Setting:
    """A model, the samples it is audited on, and how it is run. Small: it travels to worker processes."""

    model: Path
    manifest: Path
    describe: Path | None = None
    split: str = "test"
    limit: int | None = None
    seed: int = 0
    on_bad: OnBad = "error"
    baseline: Baseline = "masked"
    provider: str = "cpu"
    threads: int = 1
    batch: int = 64


@dataclass(frozen=True)
class Work:
    """An opened setting: a session, the rows, their chunks, and the hashes that its cells are known by."""

    setting: Setting
    session: Session
    rows: Manifest
    chunks: list[list[int]]
    model_sha256: str
    data_sha256: str
    digest: str

    def evaluation(self, conditions: Sequence[Condition]) -> Evaluation:
        s = self.setting
        return Evaluation(self.session, self.rows, conditions, seed=s.seed, on_bad=s.on_bad, baseline=s.baseline)

    def keys(self, evaluation: Evaluation, crossed: bool) -> list[list[str]]:
        """The name of every cell (condition, chunk). What a condition is called is no part of it."""
        found = []
        for plan in evaluation.plans:
            content = asdict(plan.condition) | {"name": ""}
            told = [content, self.digest, _files(plan.condition), crossed]
            found.append([hashed([told, chunk, plan.kept[chunk].tolist()]) for chunk in self.chunks])
        return found

    def crossed(self, number: int) -> bool:
        """Whether the additive projection is measured on this chunk."""
        return number * len(self.chunks[0]) < CROSSED


@lru_cache(maxsize=1)
def work(setting: Setting) -> Work:
    """Opens a setting. Raises DataError and UsageError for files that cannot be read."""
    from robustmm import __version__

    session = opened(setting.model, setting.describe, setting.provider, setting.threads, setting.batch)
    rows = read(setting.manifest).split(setting.split, setting.limit)
    files = [setting.model, *([setting.describe] if setting.describe else [])]
    model = hashlib.sha256(b"".join(hashlib.sha256(f.read_bytes()).digest() for f in files)).hexdigest()
    cells = {m.name: rows.column(m.heading) for m in session.modalities}
    data = hashed([rows.ids, rows.labels, cells])
    ran: dict[str, object] = {"seed": setting.seed, "on_bad": setting.on_bad, "baseline": setting.baseline}
    ran |= {"provider": setting.provider, "threads": setting.threads}
    digest = hashed([FORMAT, __version__, model, data, _stamps(rows, session.modalities), ran])
    return Work(setting, session, rows, chunked(rows.ids, session.modalities), model, data, digest)


def chunked(ids: Sequence[str], modalities: Sequence[Modality]) -> list[list[int]]:
    """Rows in chunks, in the order of their ids' hashes, so that every chunk is a random sample whatever the order of
    the manifest. Their size depends on the data alone: never on the machine, the batch or the number of workers."""
    order = sorted(range(len(ids)), key=lambda row: hashlib.blake2b(ids[row].encode(errors="surrogatepass")).digest())
    sample = sum(int(np.prod(m.shape)) * np.dtype(m.dtype).itemsize for m in modalities)
    size = min(max(SMALL, -(-len(ids) // 16)), LARGE, max(2, HELD // max(1, sample)))
    return [order[start : start + size] for start in range(0, len(ids), size)]


def _stamps(rows: Manifest, modalities: Sequence[Modality]) -> list[Any]:
    """Size and time of change of every file that the rows name: a changed file makes new cells."""
    cells = {c.partition("#")[0] for m in modalities if m.kind != "text" for c in rows.column(m.heading) if c}
    return [_stamp(rows.folder / cell, cell) for cell in sorted(cells)]


def _stamp(path: Path, name: str) -> list[Any]:
    try:
        found = path.stat()
    except (OSError, ValueError):  # not there, or no path at all: reading it says so
        return [name, None]
    return [name, found.st_size, found.st_mtime_ns]


def _files(condition: Condition) -> list[Any]:
    """Stamps of the files that a condition's options name: a folder of noise, a table of missing inputs."""
    named = [str(value) for noise in condition.noises for value in noise.options.values()]
    paths = [Path(value) for value in [*named, condition.table] if value and os.path.exists(value)]
    inside = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    return [_stamp(file, str(file)) for file in inside]


def hashed(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
