"""A suite's searches on the samples of an audit; each outcome is written when its search is done."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from robustmm.auditing.results.schema import Searches, SearchResult
from robustmm.auditing.spec import Spec, open_spec
from robustmm.auditing.store import Store, read_cell, read_made, write_cell
from robustmm.conditions.tables import MixTable, SearchTable
from robustmm.corruptions import pairs
from robustmm.data.sample import sample_rows
from robustmm.progress import Stage
from robustmm.runtime.session import Session
from robustmm.search.choices import select_corruptions
from robustmm.search.mix import find_worst_mix
from robustmm.search.square import run_square_attack
from robustmm.search.targets import build_targets
from robustmm.workers.processes import WorkerPool


def check_search(session: Session, table: SearchTable) -> None:
    """Raises UsageError, before anything is measured, for a search that does not fit the model."""
    if isinstance(table, MixTable):
        select_corruptions(session.modalities, serving_corruptions(session, table))
    else:
        build_targets(session, table.on, table.eps, table.scale, table.queries)


def serving_corruptions(session: Session, table: MixTable) -> list[str]:
    """The corruptions of a mix that serve a modality of the model."""
    kinds = {m.kind for m in session.modalities}
    return [name for name in table.noise if kinds.intersection(pairs.supported_kinds(name))]


def keep_searches(
    pool: WorkerPool, spec: Spec, tables: Sequence[SearchTable], store: Store, stage: Stage
) -> list[SearchResult]:
    """The outcomes of some searches, which run where the store has none."""
    paths = [store.path(open_spec(spec).search_key(table), ".json") for table in tables]
    found = [read_cell(path, parse_search) for path in paths]
    jobs = [(spec, t, p) for t, p, f in zip(tables, paths, found, strict=True) if f is None]
    if jobs:
        with stage("searches", len(jobs)) as advance:
            pool.make(run_search, jobs, count_files([path for _, _, path in jobs], advance))
    return [f or read_made(path, parse_search) for f, path in zip(found, paths, strict=True)]


def count_files(paths: Sequence[Path], advance: Callable[[int], None]) -> Callable[[], None]:
    """A function that tells `advance` how many of the files have come since its last call."""
    left = set(paths)

    def count() -> None:
        come = {path for path in left if path.is_file()}
        left.difference_update(come)
        advance(len(come))

    return count


def run_search(spec: Spec, table: SearchTable, path: Path) -> None:
    """Runs one search and writes its outcome."""
    opened = open_spec(spec)
    rows = opened.rows
    rows = rows.take(sample_rows(rows.ids, rows.labels, table.samples))
    found: SearchResult
    if isinstance(table, MixTable):
        noises = serving_corruptions(opened.session, table)
        found = find_worst_mix(
            opened.session, rows, noises, budgets=table.budget, levels=table.level, seed=spec.seed,
            batch=len(opened.chunks[0]), on_bad=spec.on_bad,
        )  # fmt: skip
    else:
        found = run_square_attack(
            opened.session, rows, on=table.on, eps=table.eps, scales=table.scale, queries=table.queries,
            seed=spec.seed, batch=len(opened.chunks[0]), on_bad=spec.on_bad,
        )  # fmt: skip
    text = json.dumps(found.model_dump(mode="json"))
    write_cell(path, text.encode(errors="surrogatepass"))


def parse_search(content: bytes) -> SearchResult:
    """What `run_search` wrote. Raises ValueError for anything else."""
    return Searches.validate_python([json.loads(content.decode(errors="surrogatepass"))])[0]
