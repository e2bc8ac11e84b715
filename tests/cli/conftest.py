"""The command line in this process: what it prints, and the code it ends on."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from robustmm.cli import main


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def robustmm(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """`robustmm("data", "check", folder, cwd=folder)`, on 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("FORCE_COLOR", raising=False)

    def run(*words: object, cwd: Path | None = None) -> Result:
        with monkeypatch.context() as context:
            context.setattr(sys, "argv", ["robustmm", *map(str, words)])
            if cwd is not None:
                context.chdir(cwd)
            capsys.readouterr()
            with pytest.raises(SystemExit) as ended:
                main()
        captured = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        if code != 70:
            assert "Traceback" not in captured.out + captured.err
        if code > 1:
            assert captured.err.splitlines()[-1].startswith("error: ")
        if "--json" not in words:
            lines = [line for line in captured.out.splitlines() if "/" not in line]  # paths are never broken
            assert all(len(line) <= 80 for line in lines), "tables fit 80 columns"
        return Result(code, captured.out, captured.err)

    return run
