"""A training run: data, model, method and loop, in a folder from which it can be resumed."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from shlex import quote

import torch

from robustmm import distributed, files, runs
from robustmm.conditions import missing
from robustmm.config.recipe import Recipe
from robustmm.config.toml import to_toml
from robustmm.data.loading import OnBad
from robustmm.data.manifest import Manifest, class_names, read_manifest
from robustmm.data.prior import prior
from robustmm.data.storage.choice import DEFAULT, StorageOptions, choose_storage
from robustmm.data.storage.split import Split, read_split
from robustmm.errors import DataError, InterruptedRun, UnwritableError, UsageError
from robustmm.methods import build_method
from robustmm.modalities import Modality
from robustmm.model.fusion_model import FusionModel
from robustmm.progress import Watcher
from robustmm.runs import Run
from robustmm.system import count_cores, reveal_interrupts
from robustmm.training import checkpoint
from robustmm.training.build import build_model, effective_recipe, list_found_tokenizers, refuse_too_large
from robustmm.training.changes.epoch import Changes, build_changes, find_changed
from robustmm.training.data import TrainingSplit
from robustmm.training.linear.line import describe_line, measure_line
from robustmm.training.linear.recipe import widen_model
from robustmm.training.linear.solving import solve
from robustmm.training.loop import Progress, Tensors, fit
from robustmm.training.resuming import (
    Started,
    append_log,
    explain_damage,
    keep_facts,
    read_kept,
    read_start,
    replayable_recipe,
)
from robustmm.training.steps.features import replace_inputs
from robustmm.training.teachers import Teachers
from robustmm.training.threads import choose_threads, use_threads
from robustmm.training.validation import training_nll


def train(
    recipe: Recipe,
    manifest: Path,
    root: Path,
    watcher: Watcher,
    on_bad: OnBad = "error",
    answers: Path | None = None,
    check: Callable[[Recipe, list[Modality], list[str], Watcher], None] = lambda *_: None,
    inside: Path | None = None,
    storage: StorageOptions = DEFAULT,
    line: bool = False,
) -> Run:
    """Trains a recipe on a manifest's train split, selecting on its valid split, in a new run folder.

    `answers`: a folder where runs on the same data share the answers of frozen teachers. `check` is called with the
    recipe, the fitted modalities and the classes before anything is trained, and may refuse them. `inside`: the folder
    that no cell may lead out of. `storage` moves no number of the result. With `line`, what linear models on simple
    features reach is measured, told and kept.
    """
    given, recipe = recipe, effective_recipe(recipe)  # refuses a wrong method or option before any data is read
    for sentence in list_found_tokenizers(given, recipe):
        watcher.note(sentence)
    table = read_manifest(manifest, inside)
    with use_threads(recipe.train.threads or 1), distributed.join_group(), distributed.rank_folder(root) as place:
        prepared = prepare_data(recipe, table, watcher, on_bad, storage)
        check(recipe, prepared.modalities, prepared.classes, watcher)
        linear = build_method(recipe.method_name, recipe.method_options).linear
        recipe = widen_model(recipe, len(prepared.classes)) if linear else recipe
        found = prepared.measure_line(watcher) if line and not linear else None
        model = draw_model(recipe, prepared)
        data = TrainingSplit(prepared.training, len(prepared.classes), torch.device("cpu"))
        threads = choose_threads(recipe, model, lambda rows: data.batch(rows % len(data)), count_cores())
        watcher.note(str(threads))
        recipe = recipe.with_train(threads=threads.count)
        run = runs.create_run(place, recipe.name)
        facts = runs.initial_facts(recipe.model_dump(), table.path.resolve())
        del table  # of 100,000 rows it takes 30 MB
        facts |= {"on_bad": on_bad, "inside": None if inside is None else str(inside.resolve()), "line": found}
        run.update_facts(**facts, storage=storage.model_dump(), threads=vars(threads))
        with convert_interrupts(run), use_threads(threads.count):
            return _train(run, recipe, prepared, model, watcher, None, answers)


def resume(run: Run, watcher: Watcher, answers: Path | None = None) -> Run:
    """Continues an interrupted run from its last whole epoch; the weights will be those of an uninterrupted run.

    Raises UsageError for a run that has finished, DataError where what the run left is not what it wrote.
    """
    with explain_damage(run):
        started = read_start(run)
        if run.is_finished:
            raise UsageError(f"{run.folder} has finished; train anew with: robustmm train")
        return _resume(run, started, watcher, answers)


def _resume(run: Run, started: Started, watcher: Watcher, answers: Path | None) -> Run:
    recipe = started.recipe
    with (
        use_threads(recipe.train.threads or 1),
        distributed.join_group(),
        distributed.rank_folder(run.folder.parent) as place,
        convert_interrupts(run),
    ):
        if place != run.folder.parent:
            run = Run(Path(shutil.copytree(run.folder, place / run.folder.name)))
        distributed.wait()
        files.remove_partial_files(run.folder.glob(".*.part"))
        table = read_manifest(started.manifest, started.inside)
        prepared = prepare_data(recipe, table, watcher, started.on_bad, started.storage)
        resumed = read_kept(run, started, prepared.digests) if run.checkpoint.exists() else None
        return _train(run, recipe, prepared, draw_model(recipe, prepared), watcher, resumed, answers)


@contextmanager
def convert_interrupts(run: Run) -> Iterator[None]:
    """Turns Ctrl-C into InterruptedRun, whose message gives the command that continues the run; so does the error of a
    disk that is full."""
    try:
        with reveal_interrupts():
            yield
    except KeyboardInterrupt:
        if run.is_finished:
            raise InterruptedRun(f"stopped, but {run.folder} has finished; there is nothing to continue") from None
        raise InterruptedRun(f"stopped; {describe_kept(run)}") from None
    except UnwritableError as error:
        raise UnwritableError(error.told, error.reason, describe_kept(run)) from error


def describe_kept(run: Run) -> str:
    return f"every whole epoch is kept, continue with: robustmm train --resume {quote(str(run.folder))}"


@dataclass
class PreparedData:
    """The train and valid splits with their presence masks, and what training changes in the one."""

    classes: list[str]
    modalities: list[Modality]
    training: Split
    valid: Split
    changes: Changes | None = None

    @cached_property
    def digests(self) -> dict[str, str]:
        """Hashes of both splits: computed once, since the splits may be large."""
        return {"train": self.training.digest(), "valid": self.valid.digest()}

    def measure_line(self, watcher: Watcher) -> dict[str, float] | None:
        """See `training.linear.line`. None, with a word, where the data are not in memory."""
        if self.training.workers:
            watcher.note("linear models on simple features: not measured, since the data are not held in memory")
            return None
        data, valid = (TrainingSplit(s, len(self.classes), torch.device("cpu")) for s in (self.training, self.valid))
        found = measure_line(self.modalities, data, valid)
        watcher.note(describe_line(found))
        return found


def prepare_data(
    recipe: Recipe, table: Manifest, watcher: Watcher, on_bad: OnBad, options: StorageOptions = DEFAULT
) -> PreparedData:
    """Opens the train and valid splits. A modality that `data.missing` removes from a row is never used."""
    modalities = recipe.modalities
    training, valid = table.split("train"), table.split("valid")
    classes = class_names(training.labels)
    if len(classes) < 2:
        raise DataError(f'{table.path}: the train split should hold at least two classes, found only "{classes[0]}"')
    present = missing.draw_presence_table(
        training.ids, [m.name for m in modalities], recipe.data.missing, recipe.train.seed
    )
    storage = choose_storage(options, [training, valid], modalities, watcher.note)
    watcher.begin("reading", 1, 0, len(training) + len(valid))
    split, fitted = read_split(
        training, modalities, classes, on_bad, watcher.step, fit=True, keep=find_changed(recipe), storage=storage,
        kept=present,
    )  # fmt: skip
    valid_split, _ = read_split(valid, fitted, classes, on_bad, watcher.step, storage=storage)
    for modality, seen in zip(fitted, split.present.T, strict=True):
        if not seen.any():
            raise DataError(f'{table.path}: no row of the train split has the modality "{modality.name}"')
    return PreparedData(classes, fitted, split, valid_split, build_changes(recipe, fitted, split))


def draw_model(recipe: Recipe, prepared: PreparedData) -> FusionModel:
    """The model before its first step."""
    torch.manual_seed(recipe.train.seed)
    return build_model(recipe, prepared.modalities, len(prepared.classes))


def _train(
    run: Run,
    recipe: Recipe,
    prepared: PreparedData,
    model: FusionModel,
    watcher: Watcher,
    resumed: tuple[Tensors, Progress] | None,
    answers: Path | None,
) -> Run:
    settings, device = recipe.train, torch.device("cuda" if torch.cuda.is_available() else "cpu")
    classes = len(prepared.classes)
    chosen = build_method(recipe.method_name, recipe.method_options)
    splits = [prepared.training, prepared.valid]
    training, validation = replace_inputs(model.to(device), recipe, prepared.modalities, splits, watcher)
    valid = TrainingSplit(validation, classes, device)
    teachers = Teachers(recipe, prepared.modalities, valid, watcher, prepared.digests, answers, model.precomputed)
    taught, weights = None if resumed else teachers, settings.class_weights
    data = TrainingSplit(training, classes, device, weights, taught, prepared.changes, settings.epochs)
    with refuse_too_large(recipe):
        chosen.setup(model, data)
    run.update_facts(
        modalities=[m.model_dump() for m in prepared.modalities],
        classes=prepared.classes,
        prior=prior(prepared.training.target, classes).tolist(),
        data=prepared.digests,
        parameters=sum(p.numel() for p in model.parameters()),
        device=str(device),
        ranks=distributed.world_size(),
        bad=prepared.training.bad + prepared.valid.bad,
        **({} if resumed else {"teacher_seconds": teachers.seconds}),
    )
    files.write_file(run.folder / "recipe.toml", to_toml(replayable_recipe(run)).encode(errors="replace"))
    split = prepared.training
    table = missing.format_presence_table(split.ids, list(split.inputs), split.present)
    files.write_file(run.folder / "missing.csv", table.encode())

    def write_checkpoint(tensors: Tensors, progress: Progress, row: Mapping[str, float]) -> None:
        append_log(run, row)
        checkpoint.save_tensors(run.checkpoint, tensors, keep_facts(run, recipe, prepared.digests, progress))

    best = (solve if chosen.linear else fit)(
        model.to(device), chosen.to(device), data, valid, settings, watcher,
        tuning=recipe.tuning, resumed=resumed, keep=write_checkpoint,
    )  # fmt: skip
    checkpoint.save_tensors(run.weights, best, {})
    _, kept = checkpoint.load_tensors(run.checkpoint)
    fitted = training_nll(model, data)  # of the last epoch: has the training come to an end?
    run.update_facts(finished=True, progress=kept["progress"], train_nll=fitted)
    run.checkpoint.unlink()
    return run
