"""What a notebook hands over, brought to what the rooms take: paths, tables, models, options, progress."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral
from os import PathLike, fsencode, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robustmm.config.toml import to_toml
from robustmm.data.manifest import FOLDER_KEY
from robustmm.errors import UsageError
from robustmm.files import make_folder, write_file
from robustmm.progress import Reporter, Silence, Watcher
from robustmm.runs import find_newest_model
from robustmm.system import MOST_PROCESSES

if TYPE_CHECKING:
    from robustmm.data.manifest import Manifest
    from robustmm.runtime.session import Session

AnyPath = str | Path
Data = Any
"""A manifest: a path, or a table (pandas, pyarrow, polars) with a row per sample; paths in a table are relative to the
current folder."""
Model = Any
"""An exported file: a path, a session on it, what `export` gave, or None for the newest in the runs."""
Settings = Mapping[str, Any] | Sequence[str]
"""`{"train.epochs": 3}`, or `["train.epochs=3"]` as on the command line."""
Rates = Mapping[str, float] | float | Sequence[str]
"""Missing rates by modality, one rate for all, or `["audio=0.3"]` as on the command line."""


def open_model(
    model: Model, describe: AnyPath | None, provider: str, threads: int, batch: int, runs: AnyPath, tell: Reporter
) -> "Session":
    """A session on a model; one that is open already is taken as it is."""
    from robustmm.runtime.foreign.session import open_session
    from robustmm.runtime.session import Session

    if isinstance(model, Session):
        return model
    if not isinstance(model, (str, PathLike, type(None))):
        raise UsageError(f"the model should be a path, a session or what export gave, found {type(model).__name__}")
    path = find_newest_model(Path(runs)) if model is None else Path(model)
    tell.note(f"model: {path}" + (" (the newest exported)" if model is None else ""))
    session = open_session(path, Path(describe) if describe else None, provider, threads, batch)
    for said in session.notes:
        tell.note(said)
    return session


def find_manifest(session: "Session", data: Data, split: str, runs: AnyPath, tell: Reporter) -> Path:
    """The manifest to read: the one given, or what the model was trained on."""
    from robustmm.evaluation.source import find_model_manifest

    manifest = find_model_manifest(session, data_path(data, runs))
    tell.note(f"data: split {split} of {manifest}" + (" (what the model was trained on)" if data is None else ""))
    return manifest


def inside_folder(inside: bool, data: Data, manifest: Path) -> Path | None:
    """The folder that no cell may lead out of: the manifest's own, for a table the current one; None where any may."""
    from robustmm.data.inside import manifest_folder

    if not inside:
        return None
    return manifest_folder(manifest) if data is None or isinstance(data, (str, PathLike)) else Path.cwd()


def open_manifest(
    session: "Session", data: Data, inside: bool, split: str, runs: AnyPath, tell: Reporter
) -> "Manifest":
    """`find_manifest`, read."""
    from robustmm.data.manifest import read_manifest

    path = find_manifest(session, data, split, runs, tell)
    return read_manifest(path, inside_folder(inside, data, path))


def input_cell(session: "Session", name: str, given: object, file: Path) -> str:
    """What a manifest's cell would hold for one input; an array is kept in `file`."""
    import numpy as np

    if isinstance(given, str):
        return str(given)
    if name in session.names and session.modality(name).kind == "text":
        raise UsageError(f"{name} should be the text itself, found {type(given).__name__}")
    if isinstance(given, PathLike):
        return str(fspath(given))
    try:
        np.save(file, given, allow_pickle=False)  # type: ignore[arg-type]
    except ValueError as error:
        found = type(given).__name__
        raise UsageError(f"{name} should be a file or an array of numbers, found {found} ({error})") from error
    return str(file)


def data_path(data: Data, runs: AnyPath) -> Path | None:
    """The path of a manifest; a table is kept as a Parquet file under `runs`, so that other processes and a later
    resume find it."""
    if data is None or isinstance(data, (str, PathLike)):
        return None if data is None else Path(data)
    if hasattr(data, "__arrow_c_stream__") or hasattr(data, "to_dict"):
        return keep_table(data, Path(runs))
    raise UsageError(f"data should be a path or a table (pandas, pyarrow), found {type(data).__name__}")


def keep_table(table: Any, runs: Path) -> Path:
    """Writes a table as `runs/tables/<hash>.parquet`, with the folder that its paths are relative to."""
    import pyarrow
    import pyarrow.parquet

    try:
        found = pyarrow.table(table) if hasattr(table, "__arrow_c_stream__") else pyarrow.Table.from_pandas(table)
        unnamed = [name for name in found.column_names if re.fullmatch(r"__index_level_\d+__", name)]
        found = found.drop_columns(unnamed)  # the row numbers of a pandas selection
        if len(set(found.column_names)) < len(found.column_names):
            raise ValueError(f"a column twice in {', '.join(found.column_names)}")
        found = found.replace_schema_metadata({FOLDER_KEY: fsencode(Path.cwd())})
        sink = pyarrow.BufferOutputStream()
        pyarrow.parquet.write_table(found, sink)
    except (pyarrow.ArrowException, TypeError, ValueError) as error:
        raise UsageError(f"data should be a table with a row per sample; Arrow refuses this one: {error}") from error
    content = sink.getvalue().to_pybytes()
    path = runs / "tables" / f"{hashlib.sha256(content).hexdigest()[:16]}.parquet"
    if not path.is_file():
        make_folder(path.parent)
        write_file(path, content)
    return path


def setting_lines(settings: Settings | None, *, quoted: bool = True) -> list[str]:
    """`KEY=VALUE` lines, each value as TOML writes it, a text without its quotes where they are not `quoted`."""
    if not isinstance(settings, Mapping):
        return [settings] if isinstance(settings, str) else list(settings or ())
    lines = []
    for key, value in settings.items():
        value = value.item() if hasattr(value, "item") else fspath(value) if isinstance(value, PathLike) else value
        if isinstance(value, Mapping):
            lines += setting_lines({f"{key}.{inner}": found for inner, found in value.items()}, quoted=quoted)
            continue
        try:
            text = to_toml({"x": value}).strip().removeprefix("x = ")
        except TypeError:
            text = ""
        if not text:
            raise UsageError(f"set: {key} should be text, a number, true or false, or a list, found {value!r}")
        lines.append(f"{key}={value if isinstance(value, str) and not quoted else text}")
    return lines


def rate_options(missing: Rates | AnyPath | None) -> list[str]:
    """`MODALITY=RATE` options; a bare rate is for every modality."""
    if isinstance(missing, Mapping):
        return [f"{name}={rate}" for name, rate in missing.items()]
    return [str(option) for option in as_list(missing)]


def as_list(values: Any) -> list[Any]:
    """One value or several, as a list."""
    if isinstance(values, (str, PathLike)) or not hasattr(values, "__len__"):
        return [] if values is None else [values]
    return list(values)


def as_number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} should be a number, found {value!r}") from error


def as_count(name: str, value: Any, least: int, most: int | None = None) -> Any:
    """A whole number as Python's own, of whatever library it comes; None as it is."""
    if value is None:
        return None
    if not isinstance(value, Integral) or value < least:
        raise UsageError(f"{name} should be a whole number, {least} or more, found {value!r}")
    if most is not None and int(value) > most:
        raise UsageError(f"{name} should be at most {most}, found {value}")
    return int(value)


def as_processes(name: str, value: Any) -> Any:
    """A number of workers or threads, which no machine bears by the thousand."""
    return as_count(name, value, 1, MOST_PROCESSES)


def check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    if value not in choices:
        raise UsageError(f'{name} should be one of {", ".join(choices)}, found "{value}"')


def reporter(progress: "bool | Reporter") -> Reporter:
    """Where an evaluation tells how far it is: nowhere, on stderr, or to hooks of the caller."""
    if progress is True:
        from robustmm.report.live.console import ConsoleReporter

        return ConsoleReporter()
    return progress or Silence()


@contextmanager
def watch(progress: "bool | Watcher", title: str) -> Iterator[Watcher]:
    """Where a training tells how far it is."""
    if progress is True:
        from robustmm.report.live.training import Live

        with Live(title) as live:
            yield live
    else:
        yield progress or Silence()
