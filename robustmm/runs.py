"""Run folders: `runs/<recipe>-NNN/`, what they hold, and which is the newest."""

import csv
import json
import platform
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robustmm.errors import DataError, UsageError, check_regular, explain_write
from robustmm.files import remove_partial_files, write_file
from robustmm.results import Facts, FinishedFacts, Number, Result, check_facts
from robustmm.version import __version__

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PACKAGES = ("torch", "numpy", "onnx", "onnxruntime-gpu", "onnxruntime", "opencv-python-headless", "soundfile")


@dataclass(frozen=True)
class Run:
    """A run's folder: run.json (recipe, data, versions, result), recipe.toml, log.csv, missing.csv, weights."""

    folder: Path

    @property
    def weights(self) -> Path:
        """The best epoch's weights, safetensors."""
        return self.folder / "model.safetensors"

    @property
    def checkpoint(self) -> Path:
        """Everything the next epoch needs, safetensors."""
        return self.folder / "last.safetensors"

    @property
    def model(self) -> Path:
        """The exported file."""
        return self.folder / "model.onnx"

    @property
    def log_file(self) -> Path:
        return self.folder / "log.csv"

    def log(self) -> "dict[str, NDArray[np.float64]]":
        """Every column of log.csv (epochs,): loss terms, valid scores, contributions; NaN where there is no number."""
        import numpy as np

        check_regular(self.log_file)
        try:
            with self.log_file.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            if not rows:
                raise ValueError("it has no epoch")
            if any(None in row or None in row.values() for row in rows):
                raise ValueError("a row has other columns than the first line")
            return {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0]}
        except (OSError, ValueError, csv.Error) as error:
            raise DataError(f"{self.log_file} is not the log of a run ({error})") from error

    def read_facts(self) -> dict[str, Any]:
        """What run.json says. Raises UsageError where there is none, DataError where it is damaged."""
        path = self.folder / "run.json"
        check_regular(path)
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{self.folder} is not a run: it has no readable run.json") from error
        except UnicodeDecodeError as error:
            raise DataError(f"{path} is damaged: it is not UTF-8") from error
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path} is damaged: it is not JSON") from error
        if not isinstance(found, dict):
            raise DataError(f"{path} is damaged: it should be an object, found {type(found).__name__}")
        check_facts(path, Facts, found)
        return found

    def read_finished(self) -> dict[str, Any]:
        """What run.json says of a run that has finished. Raises DataError where it does not say it all."""
        facts, path = self.read_facts(), self.folder / "run.json"
        check_facts(path, FinishedFacts, facts)
        names, progress = [m["name"] for m in facts["modalities"]], facts["progress"]
        wanted = ["valid_accuracy", *(f"valid_accuracy_{name}" for name in names)]
        if lost := [key for key in wanted if key not in progress["best"]]:
            raise DataError(f"{path} is damaged: progress.best has no {lost[0]}")
        if progress["best_epoch"] > progress["epoch"]:
            raise DataError(f"{path} is damaged: progress.best_epoch is above progress.epoch")
        return facts

    def result(self) -> "TrainResult":
        """The result of a finished run."""
        if not self.is_finished:
            raise UsageError(f"{self.folder} has not finished training, so it has no result yet")
        facts = self.read_finished()
        progress = facts["progress"]
        return TrainResult(
            run=str(self.folder),
            method=facts["recipe"]["method"]["name"],
            epochs=progress["epoch"],
            kept_epoch=progress["best_epoch"],
            parameters=facts["parameters"],
            valid=progress["best"],
            line=facts.get("line"),
            bad_inputs=facts["bad"],
        )

    def update_facts(self, **facts: Any) -> None:
        """Writes facts into run.json, beside those already there."""
        known = self.read_facts() if (self.folder / "run.json").exists() else {}
        write_file(self.folder / "run.json", json.dumps({**known, **facts}, indent=1).encode())

    @property
    def is_finished(self) -> bool:
        """Its checkpoint goes last: a run that was killed between the two is resumed, which trains nothing."""
        return bool(self.read_facts().get("finished")) and not self.checkpoint.exists()


class TrainResult(Result):
    """The result of `robustmm train --json`, format 2: the epoch that was kept, and its scores on the valid split; the
    `line` to beat is the accuracy there of linear models on simple features, null where it was not measured."""

    format: int = 2
    run: str
    method: str
    epochs: int
    kept_epoch: int
    parameters: int
    valid: dict[str, Number]
    line: dict[str, Number] | None = None
    bad_inputs: list[str]

    def rows(self) -> list[dict[str, Any]]:
        return [{"run": self.run, "method": self.method, "epochs": self.epochs, "kept_epoch": self.kept_epoch,
                 "parameters": self.parameters, **self.valid}]  # fmt: skip


def create_run(root: Path, name: str) -> Run:
    """A new folder `root/<name>-NNN`, numbered after the highest there. What killed runs left half written goes."""
    with explain_write(root, "can hold no new run"):
        root.mkdir(parents=True, exist_ok=True)
        remove_partial_files(root.glob("*/.*.part"))
        taken = [int(m[1]) for p in root.iterdir() if (m := re.fullmatch(re.escape(name) + r"-(\d+)", p.name))]
        number = max(taken, default=0) + 1
        while True:
            try:
                (root / f"{name}-{number:03d}").mkdir()
                return Run(root / f"{name}-{number:03d}")
            except FileExistsError:  # another process took the number
                number += 1


def list_runs(root: Path) -> list[Run]:
    """The runs in `root`, oldest first by when they were started."""
    runs = [Run(path.parent) for path in root.glob("*/run.json")]
    return sorted(runs, key=lambda run: (float(run.read_facts().get("started", 0)), run.folder.name))


def find_newest_run(root: Path, *, finished: bool) -> Run:
    """The newest run that has (or has not) finished training."""
    runs = [run for run in list_runs(root) if run.is_finished == finished]
    if not runs:
        what = "a finished run" if finished else "an unfinished run"
        todo = "; start with: robustmm train" if finished else ""
        raise UsageError(f"there should be {what} in {root}/, found none{todo}")
    return runs[-1]


def find_newest_model(root: Path) -> Path:
    """The most recently exported model.onnx among the runs."""
    models = [run.model for run in list_runs(root) if run.model.is_file()]
    if not models:
        raise UsageError(f"there should be an exported model in {root}/, found none; make one with: robustmm export")
    return max(models, key=lambda path: path.stat().st_mtime_ns)


def versions(names: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Installed versions of the packages that a number may depend on."""
    found = {"robustmm": __version__, "python": platform.python_version()}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def initial_facts(recipe: Mapping[str, Any], manifest: Path) -> dict[str, Any]:
    """The facts every run begins with."""
    return {
        "format": 1,
        "started": time.time(),
        "finished": False,
        "recipe": dict(recipe),
        "manifest": str(manifest),
        "versions": versions(),
        "platform": platform.platform(),
    }
