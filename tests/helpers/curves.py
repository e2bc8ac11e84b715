"""Folders of runs and benches as training leaves them, by hand."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from robustmm.metrics.paired import CellResult
from robustmm.runs import Run

MODALITIES = ("photo", "sound")


def columns(epochs: int = 4, names: Sequence[str] = MODALITIES, terms: Sequence[str] = ("fused", "extra")) -> Any:
    """A log whose third epoch is the best; no modality contributes in the first."""
    accuracy = [min(0.9, 0.3 + 0.2 * min(e, 6 - e if e < 6 else 1)) for e in range(1, epochs + 1)]
    log: dict[str, list[float]] = {
        "epoch": [float(e) for e in range(1, epochs + 1)],
        "learning_rate": [0.1 / e for e in range(1, epochs + 1)],
        **{term: [(k + 1) * 2.0 / e for e in range(1, epochs + 1)] for k, term in enumerate(terms)},
        "valid_accuracy": accuracy,
        "valid_nll": [1 / e for e in range(1, epochs + 1)],
    }
    log |= {f"valid_accuracy_{name}": [x / (k + 2) for x in accuracy] for k, name in enumerate(names)}
    share = [1 / len(names)] * (epochs - 1)
    return log | {f"contribution_{name}": [float("nan"), *share] for name in names}


def write_run(folder: Path, log: Mapping[str, Sequence[float]] | None, *, kept: int | None = 3, **recipe: Any) -> Run:
    """A run that kept an epoch, or one that is under way."""
    run = Run(folder)
    folder.mkdir(parents=True)
    facts: dict[str, Any] = {
        "format": 1, "started": 1.0, "finished": kept is not None, "manifest": "some/manifest.csv", "on_bad": "error",
        "recipe": {"name": "toy", "data": {"manifest": "m"}, "method": {"name": "joint"},
                   "train": {"seed": 7, "batch": 16}} | recipe,
        "modalities": [{"name": name} for name in MODALITIES], "classes": ["ant", "bee"], "prior": [0.5, 0.5],
        "data": {"train": "aa11", "valid": "bb22"}, "parameters": 10, "device": "cpu", "bad": ["one"],
        "versions": {"robustmm": "9.9"}, "platform": "there",
    }  # fmt: skip
    if kept is not None:
        best = {"valid_accuracy": 0.9, **{f"valid_accuracy_{name}": 0.5 for name in MODALITIES}}
        facts["progress"] = {"epoch": len(next(iter((log or {"": []}).values()))), "best_epoch": kept, "best": best}
    (folder / "run.json").write_text(json.dumps(facts))
    if log is not None:
        write_log(run.log_file, log)
    return run


def write_log(path: Path, log: Mapping[str, Sequence[float]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(log)
        writer.writerows(zip(*log.values(), strict=True))


def cell_result(method: str, seed: int, accuracy: float, names: Sequence[str] = MODALITIES) -> CellResult:
    scores = {"clean": accuracy, f"only {names[0]}": accuracy / 2}
    return CellResult(
        method=method, seed=seed, accuracy=scores, nll=scores, macro_f1=scores, subsets=[], valid_accuracy=accuracy,
        contributions={name: {c: (k + 1) * x / 10 for c, x in scores.items()} for k, name in enumerate(names)},
        kept_epoch=3, train_nll=0.01, optimiser="sgd", learning_rate=0.01, epochs=4, select="clean",
        parameters=10, seconds=4.0, teacher_seconds=0.0, seconds_per_epoch=1.0,
        peak_mb=5.0, device="cpu", threads=1, samples=100,
    )  # fmt: skip


def write_bench(folder: Path, methods: Sequence[str], seeds: int = 2, names: Sequence[str] = MODALITIES) -> Path:
    """A whole bench: seed s of method m reaches an accuracy of 0.5 + 0.1 m + 0.02 s."""
    cells = []
    for m, method in enumerate(methods):
        for seed in range(seeds):
            key = f"{m:010x}{seed:010x}"
            cells.append({"method": method, "seed": seed, "key": key})
            log = columns(names=names)
            log["valid_accuracy"] = [x + 0.01 * seed for x in log["valid_accuracy"]]
            write_run(folder / "runs" / key / "toy-001", log)
            (folder / "cells").mkdir(exist_ok=True)
            result = cell_result(method, seed, 0.5 + 0.1 * m + 0.02 * seed, names)
            (folder / "cells" / f"{key}.json").write_text(result.model_dump_json())
    asked = {"format": 1, "recipe": "toy", "manifest": "some/manifest.csv", "baseline": methods[0], "cells": cells}
    (folder / "bench.json").write_text(json.dumps(asked))
    return folder
