import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from jobs import deaf, ignores, killed, refused, slow, square, warned

from robustmm.errors import DataError, InterruptedRun
from robustmm.workers import processes
from robustmm.workers.processes import WorkerPool


@pytest.mark.parametrize("workers", [1, 2])
def test_answers_come_in_the_order_of_the_questions(workers: int) -> None:
    ticks: list[int] = []
    with WorkerPool(workers) as some:
        found = list(some.map(square, [(x,) for x in range(7)], lambda: ticks.append(1)))
        again = list(some.map(square, [(x,) for x in range(3)]))
        assert list(some.map(square, [])) == []
    assert [x for x, _ in found] == [x * x for x in range(7)]
    here = {process for _, process in (*found, *again)}
    assert (os.getpid() in here) == (workers == 1)
    assert len(here) <= workers, "the second batch met the same workers"
    assert ticks
    if workers == 1:
        assert len(ticks) == 7


def test_what_a_worker_warns_of_its_parent_tells(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with WorkerPool(2) as some:
        assert list(some.map(warned, [(x,) for x in range(4)])) == [0, 1, 2, 3]
    assert sorted(caplog.messages) == ["1 is odd", "3 is odd"]
    assert "odd" not in capfd.readouterr().err, "a worker prints nothing itself"


def test_a_single_job_starts_no_process() -> None:
    with WorkerPool(4) as some:
        assert list(some.map(square, [(3,)])) == [(9, os.getpid())]
        assert some.pool is None


def test_one_worker_answers_as_it_goes(tmp_path: Path) -> None:
    with WorkerPool(1) as some:
        answers = some.map(square, [(x, str(tmp_path)) for x in range(3)])
        next(answers)
        assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_is_told_as_it_was_raised(workers: int) -> None:
    with pytest.raises(DataError, match=r"the cell \d cannot be made"), WorkerPool(workers) as some:
        list(some.map(refused, [(1,), (2,)]))


def test_a_worker_that_is_killed_is_a_sentence() -> None:
    with pytest.raises(InterruptedRun, match=r"a worker was killed.*the same command continues"), WorkerPool(2) as some:
        list(some.map(killed, [(x,) for x in range(4)]))


def test_nobody_waits_for_what_nobody_will_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while two jobs of a minute each are at work, and more are waiting."""

    def stop() -> None:
        if len(list(tmp_path.iterdir())) == 2:
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), WorkerPool(2) as some:
        list(some.map(slow, [(str(tmp_path), x) for x in range(5)], stop))
    assert time.monotonic() - began < 50
    assert len(list(tmp_path.iterdir())) == 2
    for path in tmp_path.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.name.split()[1]), 0)


def test_ctrl_c_is_for_the_one_that_was_asked() -> None:
    with WorkerPool(2) as some:
        assert list(some.map(ignores, [(1,), (2,)])) == [True, True]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_others_progress_is_looked_at_while_they_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "TICK", 0.01)
    ticks: list[float] = []
    with WorkerPool(2) as some:
        list(some.map(time.sleep, [(0.3,), (0.3,)], lambda: ticks.append(time.monotonic())))
    assert len(ticks) > 5


def test_workers_are_born_deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before they can say so themselves."""
    monkeypatch.setattr(processes, "_begin_worker", None)
    with WorkerPool(2) as some:
        assert list(some.map(deaf, [(1,), (2,)])) == [True, True]


def test_a_crew_in_a_thread_works_too() -> None:
    with ThreadPoolExecutor(1) as pool, WorkerPool(2) as some:
        assert [x for x, _ in pool.submit(lambda: list(some.map(square, [(2,), (3,)]))).result()] == [4, 9]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows ends processes otherwise")
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_their_parent(tmp_path: Path, sent: signal.Signals) -> None:
    """However it was ended: it may not even hear of it."""
    code = """
import sys
from jobs import slow
from robustmm.workers.processes import WorkerPool
with WorkerPool(2) as some:
    list(some.map(slow, [(sys.argv[1], x) for x in range(3)]))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=environment) as parent:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.iterdir())) < 2:
            assert parent.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        parent.send_signal(sent)
    deadline = time.monotonic() + 20
    for path in tmp_path.iterdir():
        while is_running(int(path.name.split()[1])):
            assert time.monotonic() < deadline, "a worker outlives its parent"
            time.sleep(0.02)


def is_running(process: int) -> bool:
    """Whether it is there, and no zombie that nobody has asked for."""
    try:
        os.kill(process, 0)
        return " Z " not in Path(f"/proc/{process}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
