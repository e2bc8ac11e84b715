"""What `robustmm audit` takes with --plan, --only and --merge: one audit on many machines."""

from collections.abc import Sequence
from pathlib import Path

import typer

from robustmm.errors import UsageError

TAKEN = {
    "--only": {"models", "data", "describe", "to", "workers", "only", "part"},
    "--merge": {
        "models", "data", "describe", "reference", "to", "workers", "full", "markdown", "junit", "sarif", "json",
        "allow_inconclusive", "merge",
    },
}  # fmt: skip
"""All that says where files are and what is shown; the rest is the plan's."""
NOT_PLANNED = {"to", "workers", "fresh", "full", "markdown", "junit", "sarif", "json", "allow_inconclusive"}
"""What concerns the parts or the merge alone."""


def split_models(named: Sequence[Path], merge: bool) -> tuple[Path | None, list[Path]]:
    """The model, and folders of parts. Raises UsageError for more models than one, or for no folder to merge."""
    models = [path for path in named if not merge or path.suffix == ".onnx"]
    folders = [path for path in named if path not in models]
    if len(models) > 1:
        more = "" if merge else "; --merge takes folders of parts"
        raise UsageError(f"audit takes one model, found {len(models)}: {', '.join(map(str, models))}{more}")
    if merge and not folders:
        raise UsageError("--merge takes the folders of the parts, found none")
    return (models[0] if models else None), folders


def check_mode(context: typer.Context, plan: Path | None, only: Path | None, part: str, merge: bool) -> None:
    """Raises UsageError for two of --plan, --only and --merge, for --part without --only or the other way round, and
    for an option that says nothing beside the one that is given."""
    given = [name for name, value in (("--plan", plan), ("--only", only), ("--merge", merge)) if value]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} are steps of their own; give one of them")
    if bool(only) != bool(part):
        raise UsageError("--only PLAN and --part 3/40 belong together, found one of them")
    for option in context.command.params if given else ():
        source = context.get_parameter_source(str(option.name))
        if source is None or source.name != "COMMANDLINE":
            continue
        if option.name == "on":
            raise UsageError(f"--on makes all parts at once, and cannot be given with {given[0]}")
        if option.name not in TAKEN.get(given[0], {option.name}):
            raise UsageError(f"{option.opts[0]} is part of the plan, and cannot be given with {given[0]}")
        if given == ["--plan"] and option.name in NOT_PLANNED:
            raise UsageError(f"{option.opts[0]} is no part of a plan; give it with --only or --merge")


def find_gate_files(folders: Sequence[Path]) -> list[Path]:
    """The files of a plan's gates, as far as they are on this machine."""
    from robustmm.auditing.parts.merge import read_folders
    from robustmm.config.shelf import find_file

    asked = read_folders(folders).question
    try:
        found = [find_file("attacks", asked.suite)]
    except UsageError:
        found = []
    return [path for path in (*found, Path(asked.gates or "")) if path.is_file()]
