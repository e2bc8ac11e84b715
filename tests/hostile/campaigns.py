"""The campaigns by name, and one input of one of them from seed to verdict."""

import random
import shutil
from pathlib import Path

from hostile import declarations, media, models, options, runs, tables
from hostile.base import Base
from hostile.fork import run
from hostile.judge import find_faults

CAMPAIGNS = {
    "manifests": tables.try_manifest,
    "media": media.try_media,
    "arrays": media.try_array,
    "recipes": declarations.try_recipe,
    "suites": declarations.try_suite,
    "gates": declarations.try_gates,
    "descriptions": declarations.try_description,
    "onnx bytes": models.try_model_bytes,
    "onnx metadata": models.try_metadata,
    "onnx structure": models.try_graph,
    "run folders": runs.try_run,
    "checkpoints": runs.try_checkpoint,
    "audit cells": runs.try_cells,
    "references": runs.try_reference,
    "finished audits": runs.try_audit,
    "options": options.try_options,
    "streams": options.try_streams,
}


def try_input(base: Base, folder: Path, campaign: str, seed: int, number: int) -> list[str]:
    """Makes input `number` of a campaign in a new `folder`, runs its command, and says what was wrong; the folder goes
    where nothing was. The same seed and number make the same input, whatever else is tried."""
    shutil.copytree(base.folder, folder)
    case = CAMPAIGNS[campaign](base, folder, random.Random(f"{seed} {campaign} {number}"))
    ended = run(case.words, folder, case.streams)
    faults = find_faults(case, ended, folder)
    if faults:
        told = [f"{campaign}, seed {seed}, input {number}: {', '.join(faults)}", f"robustmm {case.words!r}"]
        told += [f"exit code {ended.code} after {ended.seconds:.1f} s", ended.out[-3000:], ended.err[-6000:]]
        (folder / "FAULT.txt").write_text("\n".join(told), encoding="utf-8", errors="backslashreplace")
    else:
        shutil.rmtree(folder)
    return faults
