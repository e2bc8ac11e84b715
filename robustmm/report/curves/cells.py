"""What a bench has kept of its trainings, finished or not: results and logs by method and seed."""

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from robustmm.errors import DataError, check_regular
from robustmm.metrics.paired import CellResult
from robustmm.report.curves.log import Log, read_log
from robustmm.results import BenchFacts, Search, check_facts
from robustmm.runs import list_runs

NAME, SEARCH = "bench.json", "search.json"


@dataclass(frozen=True)
class Kept:
    """The cells of the last question that a bench's folder was asked. A cell without a result is not done."""

    facts: BenchFacts
    results: dict[tuple[str, int], CellResult]
    logs: dict[tuple[str, int], Log]
    search: Search | None = None

    @property
    def methods(self) -> list[str]:
        return list(dict.fromkeys(cell.method for cell in self.facts.cells))

    @property
    def whole_seeds(self) -> list[int]:
        """Seeds that are done for every method: methods are compared over these."""
        seeds = sorted({cell.seed for cell in self.facts.cells})
        return [seed for seed in seeds if all((method, seed) in self.results for method in self.methods)]


def read_kept(folder: Path) -> Kept:
    """Reads a bench's folder. Raises DataError for a damaged file, and where no epoch of any training has ended."""
    facts = _read_facts(folder / NAME)
    results: dict[tuple[str, int], CellResult] = {}
    logs: dict[tuple[str, int], Log] = {}
    for cell in facts.cells:
        path = folder / "cells" / f"{cell.key}.json"
        check_regular(path)
        try:
            results[cell.method, cell.seed] = CellResult.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            pass
        except (OSError, ValidationError) as error:
            raise DataError(f"{path} is damaged or older; robustmm bench makes it again, without training") from error
        runs = [run for run in list_runs(folder / "runs" / cell.key) if run.log_file.exists()]
        if runs:
            log = logs[cell.method, cell.seed] = read_log(runs[-1])
            first = next(iter(logs.values()))
            if (log.alone.keys(), log.contributions.keys()) != (first.alone.keys(), first.contributions.keys()):
                raise DataError(
                    f"{runs[-1].log_file} has other columns than the first: they are of different modalities"
                )
    if not logs:
        raise DataError(f"the bench in {folder} has nothing to draw yet: no epoch of any training has ended")
    return Kept(facts, results, logs, _read_search(folder / SEARCH) if facts.tuned else None)


def _read_search(path: Path) -> Search:
    check_regular(path)
    try:
        return Search.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise DataError(f"{path} is damaged or older; robustmm bench makes it again, without training") from error


def _read_facts(path: Path) -> BenchFacts:
    check_regular(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged: it is not JSON") from error
    check_facts(path, BenchFacts, found)
    return BenchFacts.model_validate(found)
