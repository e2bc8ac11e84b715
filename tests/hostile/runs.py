"""What a run left: checkpoints, weights, facts and log of a stopped training, and the cells and results of an audit."""

import json
import random
import shutil
from pathlib import Path

from hostile.base import AUDIT, Base
from hostile.fork import Ended
from hostile.judge import Case
from hostile.mutations import damage, replace_leaf

DRAWN = ("report.html", "examples.json")
"""What an audit draws of its results, and draws again: no part of what is verified."""


def try_run(base: Base, folder: Path, rng: random.Random) -> Case:
    """A file of a finished run's folder damaged, then exported, attacked, shown or trained on."""
    run = folder / "runs" / "tiny-001"
    files = sorted(path for path in run.rglob("*") if path.is_file())
    _change(rng.choice(files), files, rng)
    commands = (
        ["train", "--resume", "runs/tiny-001"],
        ["export", "runs/tiny-001", "--output", "new.onnx"],
        ["attack", "runs/tiny-001", "--missing", "vector=1"],
        ["data", "missing", "data", "--rate", "0.5"],
        ["list", "runs"],
    )
    return Case(list(rng.choice(commands)), codes=(0, 2, 3, 4))


def try_checkpoint(base: Base, folder: Path, rng: random.Random) -> Case:
    """A file of a stopped run's folder damaged, then resumed: refused, or the run that it would have been."""
    run = folder / "stopped" / "tiny-001"
    files = sorted(path for path in run.rglob("*") if path.is_file())
    path = rng.choice([*files, run / "last.safetensors"])
    _change(path, files, rng)

    def differs(ended: Ended, folder: Path) -> bool:
        return any((run / name).read_bytes() != content for name, content in base.resumed.items())

    return Case(["train", "--resume", "stopped/tiny-001"], differs=differs)


def try_cells(base: Base, folder: Path, rng: random.Random) -> Case:
    """Cells of a finished audit damaged, swapped, brought from elsewhere: made again and told, the result the same."""
    files = sorted(path for path in (folder / "audit").rglob("*") if path.is_file())
    for path in rng.sample(files, rng.choice((1, 1, 3))):
        _change(path, files, rng)

    def differs(ended: Ended, folder: Path) -> bool:
        return (folder / "audit" / "results.json").read_bytes() != base.audit

    return Case(list(AUDIT), codes=(0,), differs=differs)


def try_reference(base: Base, folder: Path, rng: random.Random) -> Case:
    """A reference of an audit with something in it changed."""
    path = folder / "reference.json"
    shutil.copy(base.folder / "audit" / "results.json", path)
    _change(path, [path], rng)
    return Case(
        [*(word if word != "audit" or not i else "again" for i, word in enumerate(AUDIT)), "--reference", path.name]
    )


def try_audit(base: Base, folder: Path, rng: random.Random) -> Case:
    """A file of a finished audit damaged, then read without inference. Verified is what nobody touched."""
    files = sorted(path for path in (folder / "audit").rglob("*") if path.is_file())
    path = rng.choice([*files, *(path for path in files if path.suffix != ".cell" for _ in range(3))])
    before = path.read_bytes()
    _change(path, files, rng)
    changed = path.read_bytes() != before and path.name not in DRAWN
    commands = (
        ["verify", "audit", "--rerun", "1"],
        ["report", "audit", "--markdown", "a.md", "--junit", "a.xml", "--sarif", "a.sarif"],
        ["report", "audit", "--bom", "bom.json", "--card", "card.md"],
        ["compare", "audit", "kept"],
    )
    words = list(rng.choice(commands))
    shutil.copytree(base.folder / "audit", folder / "kept")
    return Case(words, codes=(0, 1, 2, 3), differs=lambda ended, folder: words[0] == "verify" and changed)


def _change(path: Path, files: list[Path], rng: random.Random) -> None:
    content = path.read_bytes()
    kind = rng.randrange(4)
    if content.startswith(b"{") and kind <= 2:
        content = json.dumps(replace_leaf(json.loads(content), rng)).encode()
    elif kind == 3:
        content = rng.choice(files).read_bytes()
    else:
        content = damage(content, rng)
    path.unlink()
    path.write_bytes(content)
