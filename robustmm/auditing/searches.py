"""A suite's searches on the samples of an audit; each outcome is written when its search is done."""

import json
from collections.abc import Sequence
from pathlib import Path

from robustmm.auditing.results.schema import Searches, SearchResult
from robustmm.auditing.spec import Spec, open_spec
from robustmm.auditing.store import write_whole
from robustmm.conditions.tables import MixTable, SearchTable
from robustmm.corruptions import pairs
from robustmm.search.mix import find_worst_mix
from robustmm.search.square import run_square_attack


def run_search(spec: Spec, table: SearchTable, path: Path) -> None:
    """Runs one search and writes its outcome."""
    opened = open_spec(spec)
    rows = opened.rows
    if table.samples is not None and table.samples < len(rows):
        rows = rows.take([i * len(rows) // table.samples for i in range(table.samples)])
    found: SearchResult
    if isinstance(table, MixTable):
        kinds = {m.kind for m in opened.session.modalities}
        able = [name for name in table.noise if kinds.intersection(pairs.supported_kinds(name))]
        found = find_worst_mix(
            opened.session, rows, able, budgets=table.budget, levels=table.level, seed=spec.seed,
            batch=len(opened.chunks[0]), on_bad=spec.on_bad,
        )  # fmt: skip
    else:
        found = run_square_attack(
            opened.session, rows, on=table.on, eps=table.eps, scales=table.scale, queries=table.queries,
            seed=spec.seed, batch=len(opened.chunks[0]), on_bad=spec.on_bad,
        )  # fmt: skip
    text = json.dumps(found.model_dump(mode="json"))
    write_whole(path, lambda file: file.write(text.encode(errors="surrogatepass")))


def read_searches(paths: Sequence[Path]) -> list[SearchResult]:
    return Searches.validate_python([json.loads(path.read_bytes().decode(errors="surrogatepass")) for path in paths])
