"""Runs jobs in this process, or in several workers that share nothing but the folder of cells."""

import logging
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from logging.handlers import BufferingHandler
from types import TracebackType
from typing import Any, TypeVar

from robustmm.errors import InterruptedRun
from robustmm.system import defer_signals, end_with_parent, start_resource_tracker

T = TypeVar("T")
TICK = 0.2
"""Seconds between two looks at the workers' progress."""


class WorkerPool:
    """Runs a function on many arguments, in their order; results come in the same order."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.pool:
            if error:  # nobody will read the results; cells are complete or absent
                for process in list(self.pool._processes.values()):
                    process.terminate()
            self.pool.shutdown(cancel_futures=True)

    def make(
        self, function: Callable[..., T], jobs: Sequence[tuple[Any, ...]], tick: Callable[[], None] = lambda: None
    ) -> list[T]:
        """As `map`, for jobs whose results are files, and which read nothing that others have made."""
        return list(self.map(function, jobs, tick))

    def map(
        self, function: Callable[..., T], jobs: Sequence[tuple[Any, ...]], tick: Callable[[], None] = lambda: None
    ) -> Iterator[T]:
        """`function(*job)` of every job. `tick` is called while results are awaited."""
        if self.workers == 1 or len(jobs) == 1:
            for job in jobs:
                yield function(*job)
                tick()
            return
        start_resource_tracker()
        with defer_signals():
            if self.pool is None:
                context = multiprocessing.get_context("spawn")  # a fork would copy onnxruntime's threads in mid-air
                self.pool = ProcessPoolExecutor(self.workers, context, initializer=_begin_worker)
            futures = [self.pool.submit(run_job, function, job) for job in jobs]
        waiting: set[Future[tuple[T, list[logging.LogRecord]]]] = set(futures)
        while waiting:
            done, waiting = wait(waiting, timeout=TICK, return_when=FIRST_COMPLETED)
            for future in done:
                try:
                    _, warned = future.result()  # an error stops all at once
                except BrokenProcessPool as error:
                    raise InterruptedRun(
                        "a worker was killed, most often for want of memory: what was made is kept; the same command "
                        "continues, with fewer --workers in less memory"
                    ) from error
                tell_warned(warned)
            tick()
        for future in futures:
            yield future.result()[0]


def run_job(function: Callable[..., T], job: tuple[Any, ...]) -> tuple[T, list[logging.LogRecord]]:
    """What the job returns, and what it warned of: only the parent tells, as it draws the screen."""
    warned, logger = BufferingHandler(capacity=2**31), logging.getLogger("robustmm")
    logger.addHandler(warned)
    try:
        return function(*job), warned.buffer
    finally:
        logger.removeHandler(warned)


def tell_warned(warned: Sequence[logging.LogRecord]) -> None:
    """Tells here what a worker warned of."""
    for record in warned:
        logging.getLogger(record.name).handle(record)


def _begin_worker() -> None:
    """Ctrl-C reaches every process of a terminal; the parent handles it for all."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
