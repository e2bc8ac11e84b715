"""A training run: data, model, method and loop, in a folder from which it can be resumed."""

import csv
import io
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import Any

import torch

from robustmm import distributed, runs
from robustmm.conditions import missing
from robustmm.config.recipe import Recipe
from robustmm.config.toml import to_toml
from robustmm.data.loading import OnBad, Split, loaded
from robustmm.data.manifest import Manifest, class_names, read
from robustmm.data.prior import prior
from robustmm.errors import DataError, InterruptedRun
from robustmm.evaluation.source import EMBEDDED
from robustmm.methods import method
from robustmm.modalities import Modality
from robustmm.model.fusion_model import FusionModel
from robustmm.progress import Watcher
from robustmm.runs import Run
from robustmm.training import checkpoint
from robustmm.training.build import effective_recipe, fused_model
from robustmm.training.data import TrainingSplit
from robustmm.training.loop import Progress, Tensors, fit
from robustmm.training.teachers import Teachers


def train(
    recipe: Recipe, manifest: Path, root: Path, watcher: Watcher, on_bad: OnBad = "error", answers: Path | None = None
) -> Run:
    """Trains a recipe on a manifest's train split, selecting on its valid split, in a new run folder.

    `answers`: a folder where runs on the same data share what frozen teachers said.
    """
    recipe = effective_recipe(recipe)  # refuses a wrong method or option before any data is read
    table = read(manifest)
    with distributed.group(), distributed.own_folder(root) as place:
        prepared = prepare(recipe, table, watcher, on_bad)
        model = drawn(recipe, prepared)
        run = runs.new(place, recipe.name)
        run.note(**runs.started(recipe.model_dump(), table.path.resolve()), on_bad=on_bad)
        with resumable(run):
            return _train(run, recipe, prepared, model, watcher, None, answers)


def resume(run: Run, watcher: Watcher, answers: Path | None = None) -> Run:
    """Continues an interrupted run from its last whole epoch; the weights will be those of an uninterrupted run."""
    facts = run.facts()
    recipe = Recipe.model_validate(facts["recipe"])
    with distributed.group(), distributed.own_folder(run.folder.parent) as place, resumable(run):
        if place != run.folder.parent:
            run = Run(Path(shutil.copytree(run.folder, place / run.folder.name)))
        distributed.wait()
        prepared = prepare(recipe, read(Path(facts["manifest"])), watcher, facts["on_bad"])
        resumed = None
        if run.checkpoint.exists():
            tensors, kept = checkpoint.load_tensors(run.checkpoint)
            if kept["data"] != prepared.digests:
                raise DataError(f"{facts['manifest']} has changed since {run.folder} was started; train a new run")
            resumed = tensors, Progress(**kept["progress"])
        return _train(run, recipe, prepared, drawn(recipe, prepared), watcher, resumed, answers)


@contextmanager
def resumable(run: Run) -> Iterator[None]:
    """Being stopped is an outcome: the sentence says how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        todo = f"robustmm train --resume {quote(str(run.folder))}"
        raise InterruptedRun(f"stopped; every whole epoch is kept, continue with: {todo}") from None


class Prepared:
    """The two splits training may see, read and masked."""

    def __init__(self, classes: list[str], modalities: list[Modality], training: Split, valid: Split) -> None:
        self.classes, self.modalities, self.training, self.valid = classes, modalities, training, valid

    @cached_property
    def digests(self) -> dict[str, str]:
        """Hashes of both splits: read once, for they may be large."""
        return {"train": self.training.digest(), "valid": self.valid.digest()}


def prepare(recipe: Recipe, table: Manifest, watcher: Watcher, on_bad: OnBad) -> Prepared:
    """Reads the train and valid splits. Rows that lose a modality to `data.missing` never show it to anything."""
    modalities = recipe.modalities
    training, valid = table.split("train"), table.split("valid")
    classes = class_names(training.labels)
    if len(classes) < 2:
        raise DataError(f'{table.path}: the train split should hold at least two classes, found only "{classes[0]}"')
    present = missing.table(training.ids, [m.name for m in modalities], recipe.data.missing, recipe.train.seed)
    for column, modality in enumerate(modalities):
        name = modality.heading
        cells = [cell if kept else "" for cell, kept in zip(training.column(name), present[:, column], strict=True)]
        training = Manifest(training.path, {**training.columns, name: cells}, training.lines)
    watcher.begin("reading", 1, 0, len(training) + len(valid))
    split, fitted = loaded(training, modalities, classes, on_bad, watcher.step, fit=True)
    held, _ = loaded(valid, fitted, classes, on_bad, watcher.step)
    for modality, seen in zip(fitted, split.present.T, strict=True):
        if not seen.any():
            raise DataError(f'{table.path}: no row of the train split has the modality "{modality.name}"')
    return Prepared(classes, fitted, split, held)


def drawn(recipe: Recipe, prepared: Prepared) -> FusionModel:
    """The model before its first step."""
    torch.manual_seed(recipe.train.seed)
    return fused_model(recipe, prepared.modalities, len(prepared.classes))


def _train(
    run: Run,
    recipe: Recipe,
    prepared: Prepared,
    model: FusionModel,
    watcher: Watcher,
    resumed: tuple[Tensors, Progress] | None,
    answers: Path | None,
) -> Run:
    settings, device = recipe.train, torch.device("cuda" if torch.cuda.is_available() else "cpu")
    classes = len(prepared.classes)
    chosen = method(recipe.method_name, recipe.method_options)
    valid = TrainingSplit(prepared.valid, classes, device)
    taught = Teachers(recipe, prepared.modalities, valid, watcher, prepared.digests, answers)
    weights = settings.class_weights
    data = TrainingSplit(prepared.training, classes, device, weights, None if resumed else taught)
    chosen.setup(model.to(device), data)
    run.note(
        modalities=[m.model_dump() for m in prepared.modalities],
        classes=prepared.classes,
        prior=prior(prepared.training.target, classes).tolist(),
        data=prepared.digests,
        parameters=sum(p.numel() for p in model.parameters()),
        device=str(device),
        threads=torch.get_num_threads(),
        ranks=distributed.world(),
        bad=prepared.training.bad + prepared.valid.bad,
        **({} if resumed else {"teacher_seconds": taught.seconds}),
    )
    runs.write(run.folder / "recipe.toml", to_toml(replayable(run)).encode(errors="replace"))
    runs.write(run.folder / "missing.csv", missing_table(prepared.training).encode())

    def keep(tensors: Tensors, progress: Progress, row: Mapping[str, float]) -> None:
        log(run, row)
        checkpoint.save_tensors(run.checkpoint, tensors, {"progress": vars(progress), "data": prepared.digests})

    best = fit(model.to(device), chosen.to(device), data, valid, settings, watcher, resumed=resumed, keep=keep)
    checkpoint.save_tensors(run.weights, best, {})
    _, kept = checkpoint.load_tensors(run.checkpoint)
    run.note(finished=True, progress=kept["progress"])
    run.checkpoint.unlink()
    return run


def replayable(run: Run) -> dict[str, Any]:
    """The run's recipe with its manifest named so that it is found from the run's folder."""
    facts = run.facts()
    data = facts["recipe"]["data"]
    named = data["manifest"] if data["manifest"] == EMBEDDED else facts["manifest"]
    return {**facts["recipe"], "data": {**data, "manifest": named}}


def log(run: Run, row: Mapping[str, float]) -> None:
    """Appends an epoch to log.csv, over any rows a killed run left beyond its checkpoint."""
    rows: list[Mapping[str, object]] = []
    if run.log_file.exists():
        with run.log_file.open(newline="", encoding="utf-8") as file:
            rows = [old for old in csv.DictReader(file) if old["epoch"] and int(old["epoch"]) < row["epoch"]]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(row))
    writer.writeheader()
    writer.writerows([*rows, {name: f"{value:.6g}" for name, value in row.items()}])
    runs.write(run.log_file, out.getvalue().encode())


def missing_table(split: Split) -> str:
    """The presence table training used, one row per sample: 1 present, 0 missing."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["id", *split.inputs])
    writer.writerows([sample, *row] for sample, row in zip(split.ids, split.present.astype(int), strict=True))
    return out.getvalue()
