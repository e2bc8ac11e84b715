"""`train` and `export`: from a recipe to one ONNX file with its proof."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Literal, get_args

from robustmm.api.inputs import (
    AnyPath,
    Data,
    Rates,
    Settings,
    as_processes,
    check_choice,
    data_path,
    inside_folder,
    rate_options,
    reporter,
    setting_lines,
    watch,
)
from robustmm.errors import UsageError
from robustmm.files import check_place
from robustmm.progress import Reporter, Watcher
from robustmm.runs import Run, find_newest_run

if TYPE_CHECKING:
    from robustmm.config.recipe import Select
    from robustmm.data.storage.choice import StorageOptions
    from robustmm.exporting.parity import Proof

Precision = Literal["fp32", "fp16", "int8"]


def train(
    recipe: AnyPath = "digits",
    *,
    data: Data = None,
    inside: bool = False,
    method: str | None = None,
    missing: Rates | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    select: "Select | None" = None,
    threads: int | None = None,
    set: Settings | None = None,
    on_bad_input: Literal["error", "missing"] = "error",
    storage: Literal["auto", "memory", "cache", "decode"] = "auto",
    cache_size: str | int | None = None,
    readers: int | None = None,
    runs: AnyPath = "runs",
    progress: bool | Watcher = False,
) -> Run:
    """Trains a recipe and keeps the best epoch on the valid split; the test split is not read.

    `recipe` is a shipped name or a .toml file, `set` overrides any of its keys (`{"train.batch": 32}`), `missing` draws
    a fixed table of training samples that lack a modality, `inside` refuses cells that lead out of the manifest's
    folder. `select` is the accuracy that the epoch is chosen by: "clean", "mean-over-subsets" of the modalities, or
    "worst-subset". `threads` of the CPU are measured unless they are given. `storage` is where the data are held:
    "memory", the "cache" of decoded data, which takes at most `cache_size` ("50GB", or bytes), or "decode", anew for
    every batch, with `readers` threads; "auto" is memory for up to 1 GB. It moves no number. Gives the run: its
    folder, `log()` as arrays, `weights`.
    Raises UsageError for a recipe or option that is wrong, DataError for data that cannot be used, InterruptedRun on
    Ctrl-C: `resume` continues.
    """
    check_torch()
    check_choice("on_bad_input", on_bad_input, ("error", "missing"))
    from robustmm.config.recipe import SELECTED

    if select is not None:
        check_choice("select", select, tuple(SELECTED))
    from robustmm.exporting.export import check_exportable
    from robustmm.training.overrides import apply_overrides
    from robustmm.training.run import train as work

    options = storage_options(storage, cache_size, readers)
    over = setting_lines(set)
    over += [f"method.name={method}"] if method is not None else []
    over += [f"train.epochs={epochs}"] if epochs is not None else []
    over += [f"train.seed={seed}"] if seed is not None else []
    over += [f"train.select={select}"] if select is not None else []
    over += [f"train.threads={as_processes('threads', threads)}"] if threads is not None else []
    loaded, path, manifest = apply_overrides(str(recipe), over, data_path(data, runs), rate_options(missing))
    title = f"training {loaded.name} ({path}) with {loaded.method_name} on {manifest}"
    with watch(progress, title) as watcher:
        folder = inside_folder(inside, data, manifest)
        return work(
            loaded, manifest, Path(runs), watcher, on_bad_input, check=check_exportable, inside=folder, storage=options,
            line=True,
        )  # fmt: skip


def storage_options(mode: str, cache_size: str | int | None, readers: int | None) -> "StorageOptions":
    """What was asked for, checked."""
    from robustmm.data.storage.choice import ASKED, DEFAULT, parse_bytes

    check_choice("storage", mode, ASKED)
    given = {} if cache_size is None else {"limit": parse_bytes("cache_size", cache_size)}
    given |= {} if readers is None else {"workers": as_processes("readers", readers)}
    return DEFAULT.model_copy(update={"mode": mode, **given})


def resume(run: Run | AnyPath | None = None, *, runs: AnyPath = "runs", progress: bool | Watcher = False) -> Run:
    """Continues an interrupted run (the newest by default); its weights will be those of an uninterrupted one."""
    check_torch()
    from robustmm.training.run import resume as work

    chosen = find_newest_run(Path(runs), finished=False) if run is None else as_run(run)
    with watch(progress, f"resuming {chosen.folder}") as watcher:
        return work(chosen, watcher)


@dataclass(frozen=True)
class ExportedModel:
    """An exported file and the proof that it answers as the trained model does; it stands for its path."""

    path: Path
    proof: "Proof"
    run: Run

    def __fspath__(self) -> str:
        return str(self.path)


def export(
    run: Run | AnyPath | None = None,
    path: AnyPath | None = None,
    *,
    precision: Precision = "fp32",
    calibrate: bool = False,
    runs: AnyPath = "runs",
    progress: bool | Reporter = False,
) -> ExportedModel:
    """Writes a finished run (the newest by default) as one ONNX file, by default in its folder, and proves it. With
    `calibrate` logits are divided by temperatures that are fitted on the valid split; no answer changes.

    Raises ParityError, with the proof as `error.proof`, where the file does not answer as the trained model does; no
    file is left then.
    """
    check_torch()
    from robustmm.exporting.export import export as work

    check_choice("precision", precision, get_args(Precision))
    chosen, target = plan_export(run, path, precision, calibrate, runs)
    reporter(progress).note(f"exporting {chosen.folder}" + ("" if run else " (the newest finished run)"))
    proof = work(chosen, target, precision, calibrate)
    failure = proof.parity_error()
    if failure is not None:
        failure.proof = proof
        raise failure
    return ExportedModel(target, proof, chosen)


def plan_export(
    run: Run | AnyPath | None, path: AnyPath | None, precision: Precision, calibrate: bool, runs: AnyPath
) -> tuple[Run, Path]:
    """The run to export and the file to write. Raises UsageError or DataError where that cannot be."""
    chosen = find_newest_run(Path(runs), finished=True) if run is None else as_run(run)
    if not chosen.is_finished:
        todo = f"robustmm train --resume {quote(str(chosen.folder))}"
        raise UsageError(f"{chosen.folder} has not finished training; continue it with: {todo}")
    target = Path(path) if path else chosen.model
    if not path:
        sort = [precision] * (precision != "fp32") + ["calibrated"] * calibrate
        target = target.with_suffix("".join(f".{each}" for each in [*sort, "onnx"]))
    if target.suffix != ".onnx":
        raise UsageError(f"the exported file should end in .onnx, found {target}")
    check_place(target)
    return chosen, target


def as_run(run: Run | AnyPath) -> Run:
    return run if isinstance(run, Run) else Run(Path(run))


def check_torch() -> None:
    """Raises UsageError on a machine that only audits: it says what training and exporting need."""
    if find_spec("torch") is None:
        raise UsageError("this command needs torch, found none; get it with: pip install 'robustmm[train]'")
