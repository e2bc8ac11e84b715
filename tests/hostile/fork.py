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
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, NoReturn

SECONDS = 60
"""No input may hold the command longer."""
MEMORY = 4 << 30
"""Bytes that no input may take."""
TICK = 0.003
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

    def __init__(self, words: Sequence[object], folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.out, self.err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 (closed by `wait`)
        self.began = time.monotonic()
        sys.stdout.flush(), sys.stderr.flush()
        gc.freeze()  # the child's collections would copy the parent's pages
        self.pid = os.fork()
        if self.pid == 0:
            _become([str(word) for word in words], folder, self.out.fileno(), self.err.fileno(), environment or {})
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


def run(words: Sequence[object], folder: Path, environment: Mapping[str, str] | None = None) -> Ended:
    """`robustmm WORDS` in the folder, on 80 columns of no terminal."""
    return Started(words, folder, environment).wait()


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


def _become(words: list[str], folder: Path, out: int, err: int, environment: Mapping[str, str]) -> NoReturn:
    """The child: a new session, standard streams, limits and signals, then the command line's own entry point."""
    code = 1
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0), os.dup2(out, 1), os.dup2(err, 2)
        sys.stdin, sys.stdout = os.fdopen(0, encoding="utf-8"), os.fdopen(1, "w", encoding="utf-8")
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1)
        resource.setrlimit(resource.RLIMIT_DATA, (2 * MEMORY, 2 * MEMORY))  # the machine has other guests
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.chdir(folder)
        os.environ.pop("FORCE_COLOR", None)
        os.environ.update({"COLUMNS": "80", "ORT_DISABLE_TELEMETRY": "1", **environment})
        sys.argv = ["robustmm", *words]
        sys.modules["__main__"] = ModuleType("__main__")  # workers would import the parent's
        from robustmm.cli import main

        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        sys.stdout.flush(), sys.stderr.flush()
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def warm() -> None:
    """Everything that commands import, here: a fork has it at once."""
    from importlib import import_module

    from robustmm.cli import register

    register()
    for name in (
        "albumentations", "cv2", "onnx", "onnxruntime", "pyarrow.parquet", "scipy.stats", "soundfile", "tokenizers",
        "torch", "torch.onnx", "onnxscript", "transformers", "robustmm.api.evaluation", "robustmm.api.training",
        "robustmm.api.checking", "robustmm.auditing.run", "robustmm.auditing.workers", "robustmm.bench.bench",
        "robustmm.data.check", "robustmm.data.draft", "robustmm.data.folder", "robustmm.evaluation.agreement.check",
        "robustmm.exporting.export", "robustmm.report.audit", "robustmm.runtime.foreign.session",
        "robustmm.training.run",
    ):  # fmt: skip
        import_module(name)
