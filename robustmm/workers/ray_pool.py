"""Runs jobs on the workers of a Ray cluster, which share no folder with this process. Ray places them, starts a killed
one again and repeats its job; this file sends jobs and keeps files."""

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from robustmm.errors import DataError, InterruptedRun, RobustmmError, UsageError
from robustmm.files import make_folder, write_if_changed
from robustmm.workers.node import Made, Node
from robustmm.workers.processes import TICK, WorkerPool, tell_warned
from robustmm.workers.ray_cluster import RayCluster, connect_ray, count_room

T = TypeVar("T")

START_SECONDS = 120
"""Within which a cluster should have started one worker; others may come later."""
INSTALL = "install this version of robustmm on every machine"
DEATHS = 3
"""Of one worker, after which the work ends: a job that needs more memory than there is would kill without end."""


class RayPool(WorkerPool):
    """`make` runs on the cluster, `map` here: it reads what is in the folder of the work, `root`."""

    def __init__(self, workers: int, cluster: RayCluster, root: Path) -> None:
        """`workers`: processes on this machine, of `map`."""
        super().__init__(workers)
        self.cluster, self.root, self.held = cluster, root, ExitStack()
        self.ray: Any = None
        self.nodes: list[Any] = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for node in self.nodes:
            self.ray.kill(node)
        self.held.close()
        super().__exit__(kind, error, trace)

    @property
    def makers(self) -> int:
        """How many workers `make` has; the first call connects."""
        if self.ray is None:
            self.ray = self.held.enter_context(connect_ray(self.cluster))
            self._start_nodes(count_room(self.ray, self.cluster))
            self.cluster.note(f"{self.cluster.name}: {len(self.nodes)} workers of {self.cluster.describe_share()} each")
        return len(self.nodes)

    def _start_nodes(self, count: int) -> None:
        """Raises UsageError where the cluster starts none in time, and whatever the check of a node raises."""
        kind = self.ray.remote(Node).options(
            num_cpus=self.cluster.cores, num_gpus=self.cluster.gpus, max_restarts=DEATHS, max_task_retries=DEATHS
        )
        try:
            self.nodes = [kind.remote(os.getcwd(), self.root, self.cluster.check) for _ in range(count)]
            opened = [node.open.remote() for node in self.nodes]
            ready, _ = self.ray.wait(opened, timeout=START_SECONDS)
        except ImportError as error:  # told at once by the client, else as the death of a worker
            raise DataError(f"{self.cluster.name} cannot import {error.name}; {INSTALL}") from error
        if not ready:
            free = ", ".join(f"{self.ray.available_resources().get(kind, 0):g} {kind}" for kind in self.cluster.share)
            raise UsageError(
                f"{self.cluster.name} started no worker in {START_SECONDS} s: {free} free; wait until others have ended"
            )
        for each in ready:
            tell_warned(self._fetch(each))

    def make(
        self, function: Callable[..., T], jobs: Sequence[tuple[Any, ...]], tick: Callable[[], None] = lambda: None
    ) -> list[T]:
        if not jobs or not self.makers:
            return []
        answers: dict[int, T] = {}
        idle, waiting = list(self.nodes), list(range(len(jobs)))
        running: dict[Any, tuple[int, Any]] = {}
        while waiting or running:
            while waiting and idle:
                node, job = idle.pop(), waiting.pop(0)
                running[node.run.remote(function, jobs[job])] = job, node
            done, _ = self.ray.wait(list(running), timeout=TICK)
            for each in done:
                job, node = running.pop(each)
                idle.append(node)
                answers[job] = self._keep(self._fetch(each))
            tick()
        return [answers[job] for job in range(len(jobs))]

    def _fetch(self, answer: Any) -> Any:
        """What a worker gives, or raises."""
        try:
            return self.ray.get(answer)
        except self.ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, RobustmmError):
                raise error.cause from None
            raise
        except self.ray.exceptions.RayError as error:
            if "ModuleNotFoundError" in str(error):
                raise DataError(f"{self.cluster.name} cannot import what the work needs; {INSTALL}") from error
            raise InterruptedRun(
                f"{self.cluster.name} lost a worker {DEATHS + 1} times, most often for want of memory: what was made "
                "is kept; the same command continues"
            ) from error

    def _keep(self, made: Made) -> Any:
        """Writes the files of a job, each whole or not at all, and gives its answer."""
        for name, content in made.files.items():
            make_folder((self.root / name).parent)
            write_if_changed(self.root / name, content)
        tell_warned(made.warned)
        return made.answer
