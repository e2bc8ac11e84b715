"""What a run keeps for those who replay or resume it; what an interrupted one left is held against what it should have
left before anything is trained on it."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from robustmm.config.recipe import SELECTED, Recipe, build_recipe
from robustmm.data.loading import OnBad
from robustmm.data.storage.choice import DEFAULT, StorageOptions
from robustmm.errors import DataError, UsageError, check_regular
from robustmm.evaluation.source import EMBEDDED
from robustmm.files import write_file
from robustmm.runs import Run
from robustmm.training.checkpoint import Damage, load_tensors
from robustmm.training.loop import Progress, Tensors


class Started(NamedTuple):
    """What run.json says of how the run was started."""

    recipe: Recipe
    manifest: Path
    on_bad: OnBad
    inside: Path | None = None
    storage: StorageOptions = DEFAULT


class Kept(BaseModel):
    """What a checkpoint says beside its tensors: hashes of the splits and of the recipe, the length and the hash of the
    log, and the progress. It is of these that the next epoch will be the one of an uninterrupted run."""

    data: dict[str, str]
    recipe: str
    log: tuple[int, str]
    progress: Progress


def keep_facts(run: Run, recipe: Recipe, data: Mapping[str, str], progress: Progress) -> dict[str, Any]:
    """The facts of a checkpoint, see `Kept`; the epoch's row is in the log already."""
    log = run.log_file.read_bytes()
    return {"data": data, "recipe": hash_recipe(recipe), "log": [len(log), hash_bytes(log)], "progress": vars(progress)}


def append_log(run: Run, row: Mapping[str, float]) -> None:
    """Appends an epoch to log.csv, whole or not at all; the first one begins it anew."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(row))
    before = b""
    check_regular(run.log_file)
    if row["epoch"] > 1:
        before = run.log_file.read_bytes()
    else:
        writer.writeheader()
    writer.writerow({name: f"{value:.6g}" for name, value in row.items()})
    write_file(run.log_file, before + out.getvalue().encode())


def hash_recipe(recipe: Recipe) -> str:
    return hash_bytes(json.dumps(recipe.model_dump(), sort_keys=True).encode())


def hash_bytes(content: bytes) -> str:
    return blake2b(content, digest_size=20).hexdigest()


def read_start(run: Run) -> Started:
    """How the run was started. Raises Damage where run.json does not say it."""
    path = run.folder / "run.json"
    try:
        facts = run.read_facts()
    except DataError as error:
        raise Damage(str(error)) from error
    recipe, manifest, on_bad = facts.get("recipe"), facts.get("manifest"), facts.get("on_bad")
    inside = Path(facts["inside"]) if facts.get("inside") else None
    if not isinstance(recipe, dict) or not isinstance(manifest, str) or on_bad not in ("error", "missing"):
        raise Damage(f"{path} should hold recipe, manifest and on_bad")
    try:
        storage = StorageOptions.model_validate(facts.get("storage", {}))
        return Started(build_recipe(recipe, str(path), run.folder.name), Path(manifest), on_bad, inside, storage)
    except ValidationError as error:
        raise Damage(f"{path}: storage: {error.errors()[0]['msg'].lower()}") from error
    except UsageError as error:
        raise Damage(str(error).replace("\n", "; ")) from error


def read_kept(run: Run, started: Started, data: Mapping[str, str]) -> tuple[Tensors, Progress]:
    """The tensors and the progress of a checkpoint; the log is cut back to its epoch.

    Raises Damage where checkpoint, log or run.json is not what was written, DataError where the data has changed.
    """
    tensors, facts = load_tensors(run.checkpoint)
    try:
        kept = Kept.model_validate(facts)
    except ValidationError as error:
        first = error.errors()[0]
        named = ".".join(map(str, first["loc"])) or "facts"
        raise Damage(f"{run.checkpoint}: {named}: {first['msg'].lower()}") from error
    if kept.recipe != hash_recipe(started.recipe):
        raise Damage(f"{run.folder / 'run.json'} holds another recipe than the one that was trained")
    length, digest = kept.log
    try:
        with run.log_file.open("rb") as file:
            log = file.read(max(0, length))
    except OSError as error:
        raise Damage(f"{run.log_file}: {error.strerror}") from error
    if hash_bytes(log) != digest:
        raise Damage(f"{run.log_file} is not as it was written")
    check_progress(run, kept.progress, started.recipe)
    if kept.data != data:
        raise DataError(f"{started.manifest} has changed since {run.folder} was started; train a new run")
    write_file(run.log_file, log)  # a run that was killed may have left a row beyond its checkpoint
    return tensors, kept.progress


def check_progress(run: Run, found: Progress, recipe: Recipe) -> None:
    """Raises Damage for a progress that no run makes."""
    epochs = recipe.train.epochs
    if not 1 <= found.best_epoch <= found.epoch <= epochs or not found.best:
        raise Damage(f"{run.checkpoint}: epoch {found.epoch} of {epochs}, the best of them {found.best_epoch}")
    if lacking := {"valid_accuracy", "valid_nll", SELECTED[recipe.train.select]} - found.best.keys():
        raise Damage(f"{run.checkpoint}: the best epoch has no {sorted(lacking)[0]}")


@contextmanager
def explain_damage(run: Run) -> Iterator[None]:
    """Turns Damage into one sentence that says how to start again."""
    try:
        yield
    except Damage as error:
        todo = f"robustmm train {quote(str(run.folder / 'recipe.toml'))}"
        raise DataError(f"the checkpoint is damaged: {error}; start again with: {todo}") from error


def replayable_recipe(run: Run) -> dict[str, Any]:
    """The run's recipe with its manifest named so that it is found from the run's folder."""
    facts = run.read_facts()
    data = facts["recipe"]["data"]
    named = data["manifest"] if data["manifest"] == EMBEDDED else facts["manifest"]
    return {**facts["recipe"], "data": {**data, "manifest": named}}
