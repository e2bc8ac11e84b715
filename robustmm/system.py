"""What operating systems do differently: cores of a process, locks of files, moves of open files."""

import os
from typing import IO, Any

MOVES_OPEN_FILES = os.name != "nt"


def count_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
