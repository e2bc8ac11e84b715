"""Cores, signals and locks, and what there is where the system has nothing to tell."""

import errno
import fcntl
import gc
import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from robustmm.errors import InterruptedRun
from robustmm.system import STOPPING, count_cores, defer_signals, hear_signals, lock_file, reveal_interrupts

every_signal = pytest.mark.parametrize("number", STOPPING, ids=[number.name for number in STOPPING])


@pytest.fixture(autouse=True)
def as_python_starts() -> Iterator[None]:
    """pytest may have been started by something that ignores signals."""
    before = {number: signal.getsignal(number) for number in STOPPING}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in set(STOPPING) - {signal.SIGINT}:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_cores_are_those_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 3, 7} if pid == 0 else set(), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert count_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")  # macOS, Windows
    assert count_cores() == 64
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert count_cores() == 1


def test_a_lock_goes_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("w") as one, path.open("r+") as other:
        assert lock_file(one) is True
        assert lock_file(other) is False
        one.close()
        assert lock_file(other, wait=True) is True


def test_where_there_are_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(file: object, how: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    with (tmp_path / "file").open("w") as file:
        monkeypatch.setattr(fcntl, "flock", refused)
        assert lock_file(file) is None
        monkeypatch.setitem(sys.modules, "fcntl", None)  # Windows: an import of it raises ImportError
        assert lock_file(file) is None


@every_signal
def test_every_wish_that_it_ends_is_ctrl_c(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), hear_signals():
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_what_is_ignored_stays_ignored() -> None:
    """As nohup asks."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with hear_signals():
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_a_thread_hears_nothing_and_changes_nothing() -> None:
    heard: list[object] = []

    def inside() -> None:
        with hear_signals(), defer_signals():
            heard.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert heard == [signal.SIG_DFL]


class Dying:
    """It is cleared away at the moment of a signal."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


@every_signal
def test_an_error_in_the_place_of_a_signal_is_the_signal(number: signal.Signals) -> None:
    """Some modules in C forget what was raised, and raise what they make of it."""

    def work() -> None:
        with hear_signals(), reveal_interrupts():
            try:
                signal.raise_signal(number)
            except KeyboardInterrupt:
                forgotten = True
            assert forgotten
            raise TypeError("cannot compare")

    with pytest.raises(KeyboardInterrupt):
        work()
    with pytest.raises(TypeError), hear_signals(), reveal_interrupts():
        raise TypeError("without a signal it is what it is")


def test_what_was_half_made_when_a_signal_came_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A zip file, for one, lacks what its own end asks for."""

    class HalfMade:
        def __init__(self, stop: bool) -> None:
            if stop:
                signal.raise_signal(signal.SIGTERM)

        def __del__(self) -> None:
            raise AttributeError("not there yet")

    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: told.append(lost.exc_type))

    with hear_signals():
        HalfMade(stop=False)
        assert told == [AttributeError], "without a signal it is a fault, and told"
        with pytest.raises(KeyboardInterrupt) as caught:
            HalfMade(stop=True)
        caught.value.__traceback__ = None
        del caught
        gc.collect()
        assert told == [AttributeError]


@every_signal
def test_a_signal_that_comes_in_an_import_is_heard_after_it(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Modules in C take an exception in what they import for a part that is not there."""
    name = f"swallows_{number.name.lower()}"
    (tmp_path / f"{name}.py").write_text(
        f"import signal\nwhole = False\ntry:\n    signal.raise_signal({int(number)})\n    whole = True\n"
        "except BaseException:\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    whole: list[bool] = []

    def work() -> None:
        with hear_signals():
            whole.append(importlib.import_module(name).whole)
            time.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert whole == [True], "the import itself is not disturbed"


def test_a_signal_in_a_finaliser_is_not_lost(capsys: pytest.CaptureFixture[str]) -> None:
    """Python can only drop what is raised there, with a traceback of its own."""
    before = sys.unraisablehook

    def work() -> None:
        Dying()
        time.sleep(5)

    with pytest.raises(KeyboardInterrupt), hear_signals():
        work()
    assert sys.unraisablehook is before
    assert capsys.readouterr().err == ""


def test_what_else_fails_in_a_finaliser_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: told.append(lost.exc_type))

    class Failing:
        def __del__(self) -> None:
            raise ValueError

    with hear_signals():
        Failing()
    assert told == [ValueError]


def test_an_interrupt_that_comes_out_as_another_error_is_one() -> None:
    """Python wraps what is raised while a class is made; the user asked for an end all the same."""

    class Named:
        def __set_name__(self, owner: type, name: str) -> None:
            signal.raise_signal(signal.SIGTERM)

    def make() -> type:
        return type("Made", (), {"named": Named()})

    with hear_signals(), pytest.raises(KeyboardInterrupt), reveal_interrupts():
        make()
    with pytest.raises(ZeroDivisionError), reveal_interrupts():
        1 / 0  # noqa: B018
    with pytest.raises(InterruptedRun), reveal_interrupts():
        raise InterruptedRun("stopped") from KeyboardInterrupt()


@every_signal
def test_signals_wait_until_what_was_begun_has_ended(number: signal.Signals) -> None:
    begun: list[None] = []
    with hear_signals():
        handler = signal.getsignal(number)
        with pytest.raises(KeyboardInterrupt), defer_signals():
            begun.append(os.kill(os.getpid(), number))
        assert begun == [None], "what was begun was ended"
        assert signal.getsignal(number) is handler
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
        with pytest.raises(ValueError, match="mine"), defer_signals():
            raise ValueError("mine")
        assert signal.getsignal(number) is handler
        with defer_signals():
            assert signal.pthread_sigmask(signal.SIG_BLOCK, []) >= {signal.SIGINT}
            assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, []), "workers are ended by it"


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="the system has no SIGHUP")
def test_a_terminal_that_closes_does_not_end_what_keeps_the_semaphores() -> None:
    """In a process of its own: the tracker of this one may have been started by others."""
    code = """
import os, signal, time
from multiprocessing import resource_tracker
from robustmm.system import start_resource_tracker
start_resource_tracker()
tracker = resource_tracker._resource_tracker._pid
os.kill(tracker, signal.SIGHUP)
time.sleep(0.2)
print(os.waitpid(tracker, os.WNOHANG), signal.pthread_sigmask(signal.SIG_BLOCK, []))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (found.stdout, found.stderr) == ("(0, 0) set()\n", "")
