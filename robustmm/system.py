"""What operating systems do differently: cores of a process, signals, locks of files, moves of open files."""

import _thread
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import IO, Any

from robustmm.errors import InterruptedRun

MOVES_OPEN_FILES = os.name != "nt"
MOST_PROCESSES = 256
"""Workers, and threads of each, that are asked for at most: thousands of either bring a machine to a halt."""


def count_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""What asks a process to end: Ctrl-C, a scheduler or a container, a terminal that was closed."""

AGAIN = 0.01
"""Seconds after which a signal that could not be heard, or was lost, is raised again."""

_raised: list[int] = []
"""Signals that were raised as KeyboardInterrupt since signals are heard."""


@contextmanager
def hear_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP raise KeyboardInterrupt, as Ctrl-C does, so that work ends in the same way: what is whole is
    kept. A signal that is ignored (nohup) or has a handler already is left alone.

    A signal that comes while Python clears something away raises where nothing can catch it; it is raised again. One
    that comes while a module is imported waits until that is over: modules in C take it for a part that they lack."""
    handlers = {s: signal.getsignal(s) for s in STOPPING} if _is_main_thread() else {}
    heard = [s for s, handler in handlers.items() if handler in (signal.SIG_DFL, signal.default_int_handler)]
    before = sys.unraisablehook

    def interrupt(number: int, frame: FrameType | None) -> None:
        while frame is not None:
            if frame.f_code.co_filename.startswith("<frozen importlib"):
                _interrupt_later(number)
                return
            frame = frame.f_back
        _raised.append(number)
        raise KeyboardInterrupt

    def raise_again(lost: "sys.UnraisableHookArgs") -> None:
        if heard and isinstance(lost.exc_value, KeyboardInterrupt):
            _interrupt_later(heard[0])  # this hook cannot raise either
        elif not _raised:  # what was half made when a signal came cannot always clear itself away
            before(lost)

    for number in heard:
        signal.signal(number, interrupt)
    sys.unraisablehook = raise_again
    try:
        yield
    finally:
        sys.unraisablehook = before
        _raised.clear()
        for number in heard:
            signal.signal(number, handlers[number])


def _interrupt_later(number: int) -> None:
    timer = threading.Timer(AGAIN, _thread.interrupt_main, [number])
    timer.daemon = True
    timer.start()


@contextmanager
def reveal_interrupts() -> Iterator[None]:
    """Raises KeyboardInterrupt for one that came out as another error: Python itself, in the making of a class, and
    libraries that call back wrap whatever is raised, and modules in C put an error of their own in its place. An
    InterruptedRun has its sentence already."""
    try:
        yield
    except InterruptedRun:
        raise
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, KeyboardInterrupt):
            cause = cause.__cause__ or cause.__context__
        if cause is None and not _raised:
            raise
        raise KeyboardInterrupt from error


@contextmanager
def defer_signals() -> Iterator[None]:
    """What asks this process to end waits until this is over. A process started meanwhile never receives Ctrl-C, which
    a terminal sends to all; the parent handles it for them."""
    if not _is_main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    waiting: list[int] = []
    handlers = {s: handler for s in STOPPING if callable(handler := signal.getsignal(s))}
    for number in handlers:
        signal.signal(number, lambda number, frame: waiting.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # only this one: a mask is inherited
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if waiting:
        raise KeyboardInterrupt


def start_resource_tracker() -> None:
    """Starts the process in which Python keeps what workers share, before `defer_signals`, whose mask it would lift. It
    ignores Ctrl-C and SIGTERM by itself; a terminal that closes must not end it before those whose semaphores it has,
    or it is started again and complains of every one."""
    from multiprocessing import resource_tracker

    if not hasattr(signal, "pthread_sigmask"):
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])  # inherited; one that comes now waits
    try:
        resource_tracker.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _is_main_thread() -> bool:
    """Python hears signals there only."""
    return threading.current_thread() is threading.main_thread()


def end_with_parent() -> None:
    """From now on this worker ends when its parent does, whatever ended that: none may write where the next call of
    the same command does."""
    import multiprocessing

    def wait_and_end() -> None:
        if parent := multiprocessing.parent_process():
            parent.join()
            os._exit(1)

    threading.Thread(target=wait_and_end, daemon=True).start()


def lock_file(file: IO[Any], wait: bool = False) -> bool | None:
    """Takes the lock of an open file; closing the file or ending the process releases it. False where another process
    holds it and `wait` is false, None where the system or the disk has no locks."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return None
    return True
