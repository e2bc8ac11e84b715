"""Work for other processes, which must be able to import it."""

import logging
import os
import signal
import time
from pathlib import Path

from robustmm.errors import DataError


def square(x: int, folder: str = "") -> tuple[int, int]:
    if folder:
        (Path(folder) / str(x)).touch()
    return x * x, os.getpid()


def refused(x: int) -> None:
    raise DataError(f"the cell {x} cannot be made")


def killed(x: int) -> int:
    if x == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def slow(folder: str, x: int) -> None:
    (Path(folder) / f"{x} {os.getpid()}").touch()
    time.sleep(60)


def ignores(x: int) -> bool:
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def deaf(x: int) -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def warned(x: int) -> int:
    """Warns of an odd number."""
    if x % 2:
        logging.getLogger("robustmm.auditing.store").warning("%d is odd", x)
    return x


def write_square(x: int, path: Path) -> None:
    """Writes the square of a number, the process and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{x * x} {os.getpid()} {path}")


def die_once(mark: str, path: Path) -> None:
    """Kills its process, but for the second time."""
    if not os.path.exists(mark):
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    write_square(3, path)


def die(path: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def warn_and_write(path: Path) -> None:
    warned(1)
    write_square(1, path)


def refuse() -> None:
    raise DataError("this machine has another model")


def accept() -> None:
    """As the check of a machine that is fit for the work."""
