"""What a training costs, measured in its own process: seconds by epoch, and the most memory above that of imports."""

import json
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from pydantic import BaseModel

from robustmm import files
from robustmm.bench.worker import Parent


class KnownCosts(BaseModel):
    """What costs.json holds: seconds by epoch, and the most bytes above those of the imports."""

    epochs: dict[str, float]
    peak: int


class CostWatcher:
    """Training's watcher in a worker: reports to the parent, and keeps the training's cost so far in a file."""

    def __init__(self, path: Path, parent: Parent) -> None:
        self.path, self.parent, self.title, self.since = path, parent, "", time.perf_counter()
        self.imports = resident_memory("VmRSS")
        self.epochs: dict[str, float] = {}
        self.peak = 0
        if path.is_file():
            with suppress(ValueError):  # a damaged one knows no costs
                known = KnownCosts.model_validate_json(path.read_bytes())
                self.epochs, self.peak = known.epochs, known.peak

    def note(self, text: str) -> None: ...

    def begin(self, title: str, epochs: int, done: int, steps: int) -> None:
        self.title, self.since = title, time.perf_counter()
        self.parent.send(("begin", (title, epochs, done)))

    def step(self, count: int = 1) -> None: ...

    def epoch(self, row: Mapping[str, float]) -> None:
        if not self.title.startswith("teacher"):
            now = time.perf_counter()
            self.epochs[f"{row['epoch']:.0f}"] = now - self.since
            self.since = now
            self.write_costs()
        self.parent.send(("epoch", (int(row["epoch"]), row["valid_accuracy"])))

    def write_costs(self) -> None:
        """Peak memory beyond that of the imports; on a GPU, torch's peak allocation there."""
        cuda = torch.cuda.is_available()
        memory = torch.cuda.max_memory_allocated() if cuda else resident_memory("VmHWM") - self.imports
        self.peak = max(self.peak, memory)
        content = {"epochs": self.epochs, "peak": self.peak}
        files.make_folder(self.path.parent)
        files.write_file(self.path, json.dumps(content).encode())


def resident_memory(what: str) -> int:
    """This process's memory in bytes, now (VmRSS) or at its highest (VmHWM); elsewhere than on Linux the highest.

    Not getrusage on Linux: there a process starts from its parent's peak.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        found = next(line for line in status.read_text().splitlines() if line.startswith(what))
        return 1024 * int(found.split()[1])
    try:
        import resource
    except ImportError:  # Windows keeps no such count
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
