"""A folder to work in with a finished run, its data as a table, and the command line to be held against."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas
import pytest
import worlds

from robustmm.auditing import cells, spec
from robustmm.cli import main
from robustmm.config.toml import to_toml
from robustmm.runs import Run

SUITE = '[[grid]]\nkind = ["series"]\nlevel = [0.5, 1.0]\nnoise = ["gaussian"]\n'
Command = Callable[..., Any]


@pytest.fixture
def here(tmp_path: Path, world: Run, world_manifest: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: runs/world-001, exported, a small suite, and a recipe over the world's data."""
    spec.open_files.cache_clear()
    cells._CURRENT.clear()
    shutil.copytree(world.folder, tmp_path / "runs" / "world-001")
    (tmp_path / "short.toml").write_text(SUITE)
    content = worlds.tables(world_manifest) | {"train": {"epochs": 2, "batch": 16, "threads": 1}}
    (tmp_path / "tiny.toml").write_text(to_toml(content), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def model(here: Path) -> Path:
    return here / "runs" / "world-001" / "model.onnx"


@pytest.fixture
def data(here: Path, world_manifest: Path) -> Path:
    """A copy of the world's data, whose cells are relative to it."""
    return Path(shutil.copytree(world_manifest.parent, here / "data"))


@pytest.fixture
def frame(data: Path) -> pandas.DataFrame:
    """Its manifest in memory; what is missing is NaN."""
    return pandas.read_csv(data / "manifest.csv")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`command("attack", ...)`: what `robustmm attack ... --json` prints, parsed."""

    def run(*words: object) -> Any:
        with monkeypatch.context() as context:
            context.setattr(sys, "argv", ["robustmm", *map(str, words), "--json"])
            capsys.readouterr()
            with pytest.raises(SystemExit) as ended:
                main()
        shown = capsys.readouterr()
        assert ended.value.code == 0, shown.err
        return json.loads(shown.out)

    return run


class Listener:
    """A reporter and a watcher that remembers."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.stages: list[tuple[str, int]] = []
        self.epochs: list[dict[str, float]] = []
        self.steps, self.advanced = 0, 0

    def note(self, text: str) -> None:
        self.notes.append(text)

    def stage(self, title: str, total: int) -> "Listener":
        self.stages.append((title, total))
        return self

    def __enter__(self) -> Callable[[int], None]:
        return self.advance

    def __exit__(self, *_: object) -> None: ...

    def advance(self, steps: int) -> None:
        self.advanced += steps

    def begin(self, title: str, epochs: int, done: int, steps: int) -> None:
        self.stages.append((title, epochs))

    def step(self, count: int = 1) -> None:
        self.steps += count

    def epoch(self, row: Any) -> None:
        self.epochs.append(dict(row))


@pytest.fixture
def listener() -> Listener:
    return Listener()
