"""Every block of docs/python.md runs, in order, and prints what is shown below it."""

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

import robustmm

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```\n(?:\n```text\n(?P<shown>.*?)^```)?", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[str, list[str]]]:
    """(code, lines shown below it) of every python block."""
    return [(m["code"], (m["shown"] or "").splitlines()) for m in BLOCK.finditer(PAGE.read_text(encoding="utf-8"))]


def squeeze(text: str) -> str:
    return " ".join(text.split())


def test_every_function_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in set(robustmm.__all__) - {"__version__"}:
        assert f"`rm.{name}(" in text
    code = "".join(block for block, _ in blocks())
    assert {"train", "export", "attack", "audit", "predict", "corrupt"} <= set(re.findall(r"rm\.(\w+)\(", code))
    assert all(shown for block, shown in blocks() if "print(" in block), "what prints is shown"


@pytest.mark.slow
def test_the_page_runs_and_prints_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines with digits in them are another machine's numbers; there must be as many lines all the same."""
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {"__name__": "page"}
    for code, shown in blocks():
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(code, str(PAGE), "exec"), space)
        printed = [squeeze(line) for line in out.getvalue().splitlines()]
        assert len(printed) == len(shown), f"{code}\n{out.getvalue()}"
        for line in shown:
            if not re.search(r"\d", line):
                assert squeeze(line) in printed, f"{code} does not print: {line}"
    assert (tmp_path / "audits").is_dir()
