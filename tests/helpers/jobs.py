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
