"""One command in a fork of this process: what it prints, how it ends, how long it takes and in how much memory.

A new interpreter would spend two seconds on imports for every tenth of a second of work. The parent imports everything
and runs nothing, so that no thread of onnxruntime or OpenMP is lost by the fork.
"""

import gc
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.util import _run_finalizers  # type: ignore[attr-defined]
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, NoReturn

SECONDS = 60
"""No input may hold the command longer."""
MEMORY = 4 << 30
"""Bytes that no input may take."""
TICK = 0.003
OPEN = ("open", "open", "open")
"""Standard streams as they should be."""
GRACE = 2.0
"""Seconds that processes of an ended command have to end as well."""


class Ended(NamedTuple):
    code: int
    """The exit code; -N where signal N ended the command, also ours after `SECONDS`."""
    seconds: float
    peak: int
    """Bytes of the largest resident set, of the command or of a process it waited for."""
    out: str
    err: str
    left: int
    """Processes of the command that were still there after it."""


class Started:
    """A command on its way, in a session of its own."""

    def __init__(
        self,
        words: Sequence[object],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        streams: Sequence[str] = OPEN,
        work: Callable[[], object] | None = None,
    ) -> None:
        self.out, self.err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 (closed by `wait`)
        self.began = time.monotonic()
        sys.stdout.flush(), sys.stderr.flush()
        gc.freeze()  # the child's collections would copy the parent's pages
        self.pid = os.fork()
        if self.pid == 0:
            files = (None, self.out.fileno(), self.err.fileno())
            _become([str(word) for word in words], folder, files, environment or {}, streams, work or _main)
        self.status: tuple[int, Any] | None = None

    def poll(self) -> bool:
        """Whether it has ended."""
        if self.status is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self.status = status, usage
                self.seconds = time.monotonic() - self.began
        return self.status is not None

    def send(self, number: int) -> None:
        """A signal to the command alone, as `kill PID` sends it."""
        if not self.poll():
            os.kill(self.pid, number)

    def wait(self, seconds: float = SECONDS) -> Ended:
        """How it ended; killed where it did not within the time, and whatever it left behind as well."""
        while not self.poll():
            if time.monotonic() - self.began > seconds:
                os.killpg(self.pid, signal.SIGKILL)
            time.sleep(TICK)
        assert self.status is not None
        left = _end_session(self.pid)
        status, usage = self.status
        code = os.waitstatus_to_exitcode(status)
        texts = []
        for file in (self.out, self.err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "surrogateescape"))
            file.close()
        return Ended(code, self.seconds, 1024 * usage.ru_maxrss, texts[0], texts[1], left)


def run(words: Sequence[object], folder: Path, streams: Sequence[str] = OPEN) -> Ended:
    """`robustmm WORDS` in the folder, on 80 columns of no terminal; each of stdin, stdout and stderr is open, closed
    or full."""
    return Started(words, folder, streams=streams).wait()


def call(work: Callable[[], object], folder: Path) -> Ended:
    """A function in a fork, as a command would run."""
    return Started([], folder, work=work).wait()


def find_session(leader: int) -> list[int]:
    """Processes of a command, but for those that ended and wait to be read."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
            if int(session) == leader and state != "Z":
                found.append(int(stat.parent.name))
    return found


def _end_session(leader: int) -> int:
    """How many processes of an ended command outlived the grace; they are killed."""
    until = time.monotonic() + GRACE
    while left := find_session(leader):
        if time.monotonic() > until:
            for pid in left:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            break
        time.sleep(10 * TICK)
    return len(left)


def _main() -> None:
    from robustmm.cli import main

    main()


def _become(
    words: list[str],
    folder: Path,
    files: Sequence[int | None],
    environment: Mapping[str, str],
    streams: Sequence[str],
    work: Callable[[], object],
) -> NoReturn:
    """The child: a new session, standard streams, limits and signals, then the command line's own entry point."""
    code = 1
    try:
        os.setsid()
        sys.stdin, sys.stdout, sys.stderr = (_open_stream(i, files[i], streams[i]) for i in range(3))
        sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]
        resource.setrlimit(resource.RLIMIT_DATA, (2 * MEMORY, 2 * MEMORY))  # the machine has other guests
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.chdir(folder)
        os.environ.pop("FORCE_COLOR", None)
        os.environ.update({"COLUMNS": "80", "ORT_DISABLE_TELEMETRY": "1", **environment})
        sys.argv = ["robustmm", *words]
        sys.modules["__main__"] = ModuleType("__main__")  # workers would import the parent's
        work()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        with suppress(Exception):
            import traceback

            traceback.print_exc()
    finally:
        try:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
        except OSError:
            code = 120  # as the interpreter ends where it cannot flush
        _run_finalizers(0)  # as the interpreter ends: semaphores of a pool of workers are removed
        os._exit(code)


def _open_stream(number: int, file: int | None, how: str) -> Any:
    """What a new interpreter finds as one of its standard streams; None where it is closed."""
    if how == "closed":
        os.close(number)
        return None
    path = "/dev/full" if how == "full" else os.devnull
    os.dup2(os.open(path, os.O_WRONLY if number else os.O_RDONLY) if file is None or how == "full" else file, number)
    if not number:
        return os.fdopen(0, encoding="utf-8")
    errors = "backslashreplace" if number == 2 else "strict"
    return os.fdopen(number, "w", encoding="utf-8", errors=errors, buffering=1 if number == 2 else -1)


def warm() -> None:
    """Everything that commands import, here: a fork has it at once."""
    from importlib import import_module

    from robustmm.cli import register

    register()
    for name in (
        "albumentations", "cv2", "onnx", "onnxruntime", "pyarrow.parquet", "scipy.stats", "soundfile", "tokenizers",
        "torch", "torch.onnx", "onnxscript", "transformers", "robustmm.api.auditing",
        "robustmm.api.evaluation", "robustmm.api.training",
        "robustmm.api.checking", "robustmm.auditing.run", "robustmm.workers.processes", "robustmm.bench.bench",
        "robustmm.data.check", "robustmm.data.draft", "robustmm.data.folder", "robustmm.evaluation.agreement.check",
        "robustmm.exporting.export", "robustmm.report.audit", "robustmm.runtime.foreign.session",
        "robustmm.training.run",
    ):  # fmt: skip
        import_module(name)
    from robustmm.report.page.scripts import chart_library

    chart_library()
