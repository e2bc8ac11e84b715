"""Cells and trials trained on a Ray cluster. A worker trains in a folder of its own; the run and its result come back
when they are whole."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from robustmm.bench.cell import environment, run_cell
from robustmm.bench.worker import BenchSpec, Cell
from robustmm.errors import DataError
from robustmm.files import hash_file
from robustmm.workers.ray_cluster import RayCluster
from robustmm.workers.ray_pool import RayPool

Message = tuple[str, Any]


class Told(list[Message]):
    """What a cell says of how far it is, kept on its machine."""

    send = list.append


def check_machine(expected: Sequence[str], manifest: Path, digest: str | None) -> None:
    """Raises DataError on a machine whose versions, device or manifest would give other numbers."""
    if (found := environment()) != list(expected):
        raise DataError(
            f"the bench was asked for with {describe_environment(expected)}, and a machine of the cluster has "
            f"{describe_environment(found)}; all take the same"
        )
    if hash_file(manifest) != digest:
        raise DataError(f"{manifest} on a machine of the cluster is not the one that the bench was asked for with")


def describe_environment(found: Sequence[str]) -> str:
    version, torch, device = found
    return f"robustmm {version}, torch {torch} and device {device}"


def train_away(cell: Cell, setting: BenchSpec, out: Path) -> list[Message]:
    """On a machine of the cluster: trains and scores a cell, and gives why it failed, where it did."""
    told = Told()
    with TemporaryDirectory() as answers:
        run_cell(cell, setting, out, Path(answers), told)
    return [(what, value) for what, value in told if what in ("failed", "broken")]


def run_on_ray(
    cells: Sequence[Cell], setting: BenchSpec, out: Path, cluster: RayCluster, tick: Callable[[], None]
) -> list[list[Message]]:
    """What went wrong with each cell; `tick` is called as results come."""
    with RayPool(1, cluster, out) as pool:
        return pool.make(train_away, [(cell, setting, out) for cell in cells], tick)
