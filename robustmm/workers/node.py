"""A worker on a machine of a cluster: runs jobs in a folder of its own, and gives back the files that they made."""

import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from robustmm.errors import DataError
from robustmm.workers.processes import run_job
from robustmm.workers.ray_cluster import import_ray


class Made(NamedTuple):
    """What a job made: its answer, files by their place in the folder of the work, and what it warned of."""

    answer: Any
    files: dict[str, bytes]
    warned: list[logging.LogRecord]


class Node:
    """Lives as long as the work: what a job has opened, such as a session, serves those after it."""

    def __init__(self, place: str, root: Path, check: Callable[[], object]) -> None:
        """`place`: the folder that the command was called in; `root`: the folder of the work, for which this worker
        has one of its own; `check` raises where this machine is not fit for the work."""
        self.place, self.root, self.check = place, root, check
        self.folder: tempfile.TemporaryDirectory[str] | None = None

    def open(self) -> list[logging.LogRecord]:
        """Checks this machine, once; what it warns of."""
        if self.folder is not None:
            return []
        try:
            os.chdir(self.place)
        except OSError as error:
            raise DataError(
                f"{self.place} is not on {os.uname().nodename}: on a cluster, model and data stand at one place on "
                "every machine, as on a shared disk"
            ) from error
        _, warned = run_job(self.check, ())
        self.folder = tempfile.TemporaryDirectory(prefix="robustmm-")
        if import_ray().get_runtime_context().was_current_actor_reconstructed:
            said = "a worker was killed, and another took its place; its work runs again"
            warned.append(logging.makeLogRecord({"name": __name__, "levelno": logging.WARNING, "msg": said}))
        return warned

    def run(self, function: Callable[..., object], job: tuple[Any, ...]) -> Made:
        """Calls a function whose results are files. `root`, and paths below it, in its arguments
        become those of this worker's own folder."""
        warned = self.open()
        assert self.folder is not None
        own = Path(self.folder.name)
        answer, more = run_job(function, tuple(self._move(value, own) for value in job))
        made = {}
        for path in sorted(path for path in own.rglob("*") if path.is_file()):
            made[str(path.relative_to(own))] = path.read_bytes()
            path.unlink()
        return Made(answer, made, warned + more)

    def _move(self, value: Any, own: Path) -> Any:
        inside = isinstance(value, Path) and value.is_relative_to(self.root)
        return own / value.relative_to(self.root) if inside else value
