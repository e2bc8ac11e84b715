"""Writes docs/foreign.md from models that are made, described and attacked here: python scripts/write_foreign.py."""

import json
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

from makers.models import MAKERS, Maker, make_world  # noqa: E402

HEAD = """\
# Models of other tools

Three commands lead from a file of another tool to a first verdict:

    robustmm describe model.onnx --data manifest.csv -o model.toml
    robustmm check model.onnx --describe model.toml --data manifest.csv --expect predictions.csv
    robustmm audit model.onnx --describe model.toml --data manifest.csv

`describe` drafts what the graph does not say from the manifest and from the files beside the model: classes, prior,
columns, means and deviations (of the train split alone), rates, lengths, what a `preprocessor_config.json` holds. What
it cannot know is a line with CHECK. `check` holds the answers against those of your own pipeline (`id` and class, or
`id` and a probability for each class), or against its accuracy (`--expect-accuracy`), and tries the usual causes where
they disagree: order of classes, BGR, scaling, padding, resizing, layout. `attack` and `audit` take the same options,
and refuse to go on with a model that does not answer as expected.

A graph is cut where its modalities meet. The encoders that could be told apart are listed below; where there are none
the graph runs whole for every condition and subset of modalities.

## What was tried

`python scripts/write_foreign.py` makes each model, runs the commands and writes this page; a test does the same.
"Direct" is the accuracy of a plain onnxruntime loop with the owner's own preprocessing on 150 test samples, "ours" the
clean accuracy of `attack`. Pictures have 16 x 16 pixels, there are three classes, and the models are small and trained
for seconds: what counts is that both loops agree.

| model | CHECKs | lines changed | direct | ours | encoders apart |
|---|--:|--:|--:|--:|---|
"""


class Found(NamedTuple):
    """What a maker's model came to."""

    maker: Maker
    checks: int
    direct: float
    ours: float
    encoded: list[str]


def format_row(found: Found) -> str:
    """A row of the table."""
    apart = ", ".join(found.encoded) or "none: it runs whole"
    numbers = f"{found.checks} | {len(found.maker.edits)} | {100 * found.direct:.1f} % | {100 * found.ours:.1f} %"
    return f"| {found.maker.title} | {numbers} | {apart} |"


def format_edits(maker: Maker) -> str:
    """What a person changes in the draft."""
    lines = "\n".join(f"-{old}\n+{new}" for old, new in maker.edits)
    return f"## {maker.title}\n\n```diff\n{lines}\n```\n"


def apply_edits(text: str, maker: Maker) -> str:
    """A draft with the maker's edits. Raises ValueError where a line is not there once."""
    for old, new in maker.edits:
        if text.count(old) != 1:
            raise ValueError(f'the draft should hold "{old}" once:\n{text}')
        text = text.replace(old, new)
    return text


def run(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "robustmm", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def try_maker(name: str, folder: Path) -> Found:
    """Makes a model in a folder and runs the commands."""
    from robustmm.runtime.foreign.session import open_session

    maker, direct = make_world(name, folder)
    run(folder, "describe", "model.onnx", "--data", "manifest.csv", "-o", "model.toml")
    draft = (folder / "model.toml").read_text(encoding="utf-8")
    (folder / "model.toml").write_text(apply_edits(draft, maker), encoding="utf-8")
    told = ("--describe", "model.toml", "--data", "manifest.csv")
    run(folder, "check", "model.onnx", *told, "--expect-accuracy", f"{direct:.4f}")
    ours = json.loads(run(folder, "attack", "model.onnx", *told, "--json"))["clean"]["accuracy"]["value"]
    encoded = open_session(folder / "model.onnx", folder / "model.toml").encoded
    return Found(maker, len(re.findall("CHECK:", draft)), direct, ours, encoded)


if __name__ == "__main__":
    rows, notes = [], []
    for name, maker in MAKERS.items():
        if missing := [package for package in maker.needs if find_spec(package) is None]:
            sys.exit(f"{name} needs {', '.join(missing)}, found none")
        with tempfile.TemporaryDirectory() as made:
            rows.append(format_row(try_maker(name, Path(made))))
        notes += [format_edits(maker)] if maker.edits else []
        print(rows[-1])
    tail = "\n## Lines that were changed\n\nOnly where nothing beside the model says how its pictures are scaled.\n\n"
    page = HEAD + "\n".join(rows) + "\n" + tail + "\n".join(note.replace("## ", "### ", 1) for note in notes)
    (ROOT / "docs" / "foreign.md").write_text(page, encoding="utf-8")
