"""Cores and locks, and what there is where the system has neither to tell."""

import errno
import fcntl
import os
import sys
from pathlib import Path

import pytest

from robustmm.system import count_cores, lock_file


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
