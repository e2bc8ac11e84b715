"""What an audit's numbers depend on, and the chunks of samples that a job measures."""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from robustmm.conditions.condition import Condition
from robustmm.conditions.tables import SearchTable
from robustmm.data.loading import OnBad
from robustmm.data.manifest import Manifest, read_manifest
from robustmm.data.sample import hash_order
from robustmm.evaluation.evaluate import Evaluation
from robustmm.evaluation.fit import PriorSource, description_text, fit_session
from robustmm.evaluation.subsets import Baseline
from robustmm.files import hash_file, is_file, stamp_file
from robustmm.modalities import Modality
from robustmm.modalities.base import named_file
from robustmm.runtime.foreign.session import open_session
from robustmm.runtime.session import Session

FORMAT = 6
"""Raised when cells hold other fields, so that those of an older robustmm are not read."""
MIN_CHUNK, MAX_CHUNK = 32, 256
"""Fewest and most samples of a chunk; there are 16 or more chunks where the samples suffice."""
CHUNK_BYTES = 64 * 2**20
"""Bytes of signals that a chunk may hold."""
EMAP_SAMPLES = 128
"""Samples, in whole chunks, that the additive projection is measured on."""

Stamp = tuple[str, int, int]
"""A file, its size in bytes, and its time of change in nanoseconds."""


@dataclass(frozen=True)
class Spec:
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
    batch: int = field(default=64, compare=False)  # no number depends on it
    inside: Path | None = None
    digest: str = ""  # whose cells are read where it is not this machine's: files carried elsewhere have other times
    stamps: tuple[Stamp, ...] | None = None  # likewise, of the files that conditions name


@dataclass(frozen=True)
class OpenedSpec:
    """An opened spec: a session and what it was completed with, the rows, their chunks, and the hashes that identify
    its cells. `description` is the text of a foreign model's; `own_digest` is what the files of this machine give."""

    spec: Spec
    session: Session
    rows: Manifest
    chunks: list[list[int]]
    prior: PriorSource
    notes: list[str]
    model_sha256: str
    description: str
    data_sha256: str
    digest: str
    own_digest: str
    fitted_sha256: str  # of the class prior, means and standard deviations, which may be fitted to the train split
    seconds: float  # that opening took

    def build_evaluation(self, conditions: Sequence[Condition]) -> Evaluation:
        s = self.spec
        return Evaluation(self.session, self.rows, conditions, seed=s.seed, on_bad=s.on_bad, baseline=s.baseline)

    def cell_keys(self, evaluation: Evaluation) -> list[list[str]]:
        """The name of every cell (condition, chunk). A condition's name is not part of it."""
        found = []
        for plan in evaluation.plans:
            content = asdict(plan.condition) | {"name": ""}
            inputs = [content, self.digest, self.condition_stamps(plan.condition)]
            found.append([hash_content([inputs, chunk, plan.present[chunk].tolist()]) for chunk in self.chunks])
        return found

    def condition_stamps(self, condition: Condition) -> list[Stamp]:
        """Of the files that a condition's options name: a folder of noise, a table of missing inputs."""
        if self.spec.stamps is None:
            return stamp_condition(condition)
        named = [Path(name) for name in _named_by(condition) if name]
        return [stamp for path in named for stamp in self.spec.stamps if Path(stamp[0]).is_relative_to(path)]

    @property
    def floor_key(self) -> str:
        return hash_content(["floor", self.digest])

    def search_key(self, table: SearchTable) -> str:
        return hash_content([table.model_dump(), self.digest])

    def measures_emap(self, number: int) -> bool:
        """Whether the clean condition's additive projection is measured on this chunk."""
        return number * len(self.chunks[0]) < EMAP_SAMPLES


def open_spec(spec: Spec) -> OpenedSpec:
    """Opens a spec; the last one is kept. Raises DataError and UsageError for files that cannot be read."""
    opened = open_files(spec)
    opened.session.batch = spec.batch
    return opened


@lru_cache(maxsize=1)
def open_files(spec: Spec) -> OpenedSpec:
    from robustmm.version import __version__

    began, manifest = time.perf_counter(), read_manifest(spec.manifest, spec.inside)
    rows = manifest.split(spec.split, spec.limit)
    bare = open_session(spec.model, spec.describe, spec.provider, spec.threads, spec.batch)
    session, prior, notes = fit_session(bare, manifest)
    model = hashlib.sha256(spec.model.read_bytes()).hexdigest()
    description = description_text(session)
    cells = {m.name: rows.cells(m) for m in session.modalities}
    data = hash_content([rows.ids, rows.labels, cells])
    ran: dict[str, object] = {"seed": spec.seed, "on_bad": spec.on_bad, "baseline": spec.baseline}
    ran |= {"provider": spec.provider, "threads": spec.threads}
    fitted = [session.prior.tolist(), [[getattr(m, key, ()) for key in ("mean", "std")] for m in session.modalities]]
    stamps = _manifest_stamps(rows, session.modalities)
    own = hash_content([FORMAT, __version__, model, description, fitted, data, stamps, ran])
    chunks = split_chunks(rows.ids, session.modalities)
    return OpenedSpec(
        spec, session, rows, chunks, prior, [*rows.notes, *notes], model, description, data, spec.digest or own, own,
        hash_content(fitted), time.perf_counter() - began,
    )  # fmt: skip


def split_chunks(ids: Sequence[str], modalities: Sequence[Modality]) -> list[list[int]]:
    """Rows in chunks, in the order of their ids' hashes, so that every chunk is a random sample whatever the order of
    the manifest. Their size depends on the data alone: never on the machine, the batch or the number of workers."""
    order = hash_order(ids)
    sample = sum(m.input_bytes for m in modalities)
    size = min(max(MIN_CHUNK, -(-len(ids) // 16)), MAX_CHUNK, max(2, CHUNK_BYTES // max(1, sample)))
    return [order[start : start + size] for start in range(0, len(ids), size)]


def _manifest_stamps(rows: Manifest, modalities: Sequence[Modality]) -> list[Any]:
    """Size and time of change of every file that the rows name: a changed file makes new cells."""
    return [(cell, *(stamp_file(rows.folder / cell) or (None,))) for cell in named_files(rows, modalities)]


def named_files(rows: Manifest, modalities: Sequence[Modality]) -> list[str]:
    """What the rows' cells name, relative to the manifest's folder; a cell of numbers is among them, and no file."""
    return sorted({named_file(c) for m in modalities if m.kind != "text" for c in rows.cells(m) if c})


def stamp_condition(condition: Condition) -> list[Stamp]:
    """The stamps of the files that a condition's options name, on this machine."""
    return [(str(file), *stamp) for file in condition_files(condition) if (stamp := stamp_file(file))]


def _named_by(condition: Condition) -> list[str]:
    """What may be a file among a condition's options."""
    return [str(value) for noise in condition.noises for value in noise.options.values()] + [condition.table]


def condition_files(condition: Condition) -> list[Path]:
    """The files that a condition's options name, with those in its folders."""
    paths = [Path(value) for value in _named_by(condition) if value and os.path.exists(value)]
    return [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]


def list_media(work: OpenedSpec, conditions: Iterable[Condition]) -> dict[str, Path]:
    """The files that the audited rows name, and those that the conditions do, each by the name it is called."""
    found = {name: work.rows.folder / name for name in named_files(work.rows, work.session.modalities)}
    own = {os.fspath(path): path for condition in conditions for path in condition_files(condition)}
    return found | {name: path for name, path in own.items() if is_file(path)}


def hash_media(media: dict[str, Path]) -> tuple[str, int]:
    """One SHA-256 over the names and the content of files, and how many of them are there."""
    found = {name: hash_file(path) for name, path in media.items()}
    return hash_content(found), sum(digest is not None for digest in found.values())


def hash_content(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
