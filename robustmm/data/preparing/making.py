"""Makes and checks the files of all rows: in threads, and so that an interrupted work goes on where it was."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from robustmm.data.preparing.benchmark import Absent, Kept, Made, Row
from robustmm.data.preparing.raw import check_pointer
from robustmm.errors import DataError, UnwritableError
from robustmm.files import make_folder, write_whole
from robustmm.system import count_cores


@dataclass(frozen=True)
class Fault:
    """An input that cannot be used: of which row, which column, and why."""

    id: str
    split: str
    column: str
    reason: str


def find_absent(rows: Sequence[Row]) -> list[Fault]:
    """The inputs that the raw tree lacks."""
    return [
        Fault(row.id, row.split, column, cell.told)
        for row in rows
        for column, cell in row.inputs.items()
        if isinstance(cell, Absent)
    ]


@dataclass
class Job:
    """A file to make, or to check where it stands, and the inputs that it is: (row, column)."""

    cell: Kept | Made
    inputs: list[tuple[Row, str]] = field(default_factory=list)


def find_jobs(rows: Sequence[Row], out: Path) -> list[Job]:
    """What is to be made, but for what is there already, and what is to be checked; each file once."""
    jobs: dict[Path, Job] = {}
    for row in rows:
        for column, cell in row.inputs.items():
            if isinstance(cell, Kept | Made):
                path = cell.path if isinstance(cell, Kept) else out / cell.name
                jobs.setdefault(path, Job(cell)).inputs.append((row, column))
    return [job for job in jobs.values() if not (isinstance(job.cell, Made) and is_made(job.cell, out))]


def is_made(cell: Made, out: Path) -> bool:
    """Whether the file is there, which it is only when it is whole, and no younger source asks for another."""
    try:
        made = (out / cell.name).stat().st_mtime_ns
        return all(source.stat().st_mtime_ns <= made for source in cell.sources)
    except OSError:
        return False


def make_files(jobs: Sequence[Job], out: Path, advance: Callable[[int], None] = lambda files: None) -> list[Fault]:
    """Makes and checks the files; what cannot be used is returned, in the order of the jobs. Raises UnwritableError
    where OUT takes no file; an interrupt waits only for the files that are being made."""
    for folder in {(out / job.cell.name).parent for job in jobs if isinstance(job.cell, Made)}:
        make_folder(folder)
    reasons: dict[int, str] = {}
    todo = iter(enumerate(jobs))
    pool = ThreadPoolExecutor(count_cores())
    try:
        running = {pool.submit(_make_one, job.cell, out): i for i, job in islice(todo, 4 * count_cores())}
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for one in done:
                reasons[running.pop(one)] = one.result()
                advance(1)
            for i, job in islice(todo, len(done)):
                running[pool.submit(_make_one, job.cell, out)] = i
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return [
        Fault(row.id, row.split, column, reasons[i])
        for i, job in enumerate(jobs)
        for row, column in job.inputs
        if reasons[i]
    ]


def _make_one(cell: Kept | Made, out: Path) -> str:
    """Makes or checks one file; the reason where it cannot be used, else nothing."""
    try:
        if isinstance(cell, Made):
            for source in cell.sources:
                check_pointer(source)
            content = cell.build()
            write_whole(out / cell.name, lambda file: file.write(content))
        else:
            check_pointer(cell.path)
            cell.check(cell.path)
    except UnwritableError:
        raise
    except DataError as error:
        return str(error)
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    return ""
