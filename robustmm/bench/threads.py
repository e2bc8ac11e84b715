"""The CPU threads of a bench's trainings: measured once, kept beside them, and taken again by the same command."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path

import torch
from pydantic import BaseModel, ValidationError

from robustmm import files
from robustmm.bench.bench import lock_folder
from robustmm.bench.planning import Task
from robustmm.bench.worker import BenchSpec
from robustmm.config.recipe import Recipe
from robustmm.errors import UnwritableError, check_regular
from robustmm.system import count_cores
from robustmm.training.build import build_model
from robustmm.training.threads import Threads, choose_threads

RECORD = "threads.json"


class Recorded(BaseModel):
    """What threads.json holds: the number, and of which model and batch size it was found."""

    model: str
    threads: int


def settle_threads(recipe: Recipe, setting: BenchSpec, out: Path, workers: int) -> Threads:
    """The recipe's threads; those that were settled before in `out` for this model; or what a few steps of it say, with
    plain joint training on empty inputs, at most the cores that each of the workers has."""
    if recipe.train.threads is None and (known := read_threads(out)) and known.model == hash_model(recipe):
        return Threads(known.threads, {}, f"as before in {out}")
    most = max(1, count_cores() // workers)
    if recipe.train.threads is None and most == 1:
        return Threads(1, {}, f"{workers} at once on {count_cores()} cores")
    task = Task.read(recipe, setting)
    torch.manual_seed(0)
    return choose_threads(recipe, build_model(recipe, task.modalities, len(task.classes)), task.batch, most)


def record_threads(recipe: Recipe, out: Path, threads: Threads) -> None:
    """Notes what was settled for a recipe that names none. Raises UsageError while another bench is at work there."""
    record = Recorded(model=hash_model(recipe), threads=threads.count)
    if recipe.train.threads is None and read_threads(out) != record:
        with lock_folder(out), suppress(UnwritableError):  # the first training tells it, and what is kept
            files.write_file(out / RECORD, record.model_dump_json().encode())


def read_threads(out: Path) -> Recorded | None:
    check_regular(out / RECORD)
    try:
        return Recorded.model_validate_json((out / RECORD).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None


def hash_model(recipe: Recipe) -> str:
    """Of what the time of a step depends on."""
    content = [recipe.modality, recipe.model.model_dump(), recipe.train.batch]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]
