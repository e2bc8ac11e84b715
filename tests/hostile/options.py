"""Command lines: values that options do not expect, and commands that do not go together."""

import random
from pathlib import Path

from hostile.base import ATTACK, AUDIT, DESCRIBED, Base
from hostile.fork import Ended
from hostile.judge import Case
from hostile.mutations import NASTY, NUMBERS

COMMANDS = (
    ATTACK,
    [*ATTACK, "--json"],
    AUDIT,
    DESCRIBED,
    ["train", "tiny.toml", "--epochs", "1"],
    ["data", "check", "data"],
    ["describe", "foreign.onnx", "--data", "data"],
    ["export", "runs", "--output", "new.onnx"],
    ["list", "corruptions"],
    ["show", "gaussian"],
    ["check", "model.onnx", "--data", "data"],
    ["predict", "model.onnx", "--vector", "1,2,3,4,5"],
    ["data", "recipe", "data"],
    ["data", "manifest", "data"],
    ["data", "missing", "data"],
    ["doctor"],
    ["copy", "quick.toml"],
    ["bench", "tiny.toml", "--methods", "joint", "--seeds", "1", "--epochs", "1"],
    ["gates", "model.onnx", "--data", "data", "--suite", "small.toml"],
    [*AUDIT, "--gates", "gates.toml"],
    ["report", "audit", "--markdown", "summary.md"],
    ["report", "runs/tiny-001"],
    ["compare", "audit", "audit"],
    ["verify", "audit", "--rerun", "1"],
)
OPTIONS = (
    "--noise",
    "--level",
    "--on",
    "--missing",
    "--fill",
    "--set",
    "--split",
    "--limit",
    "--seed",
    "--provider",
    "--data",
    "--describe",
    "--suite",
    "--out",
    "--workers",
    "--threads",
    "--by",
    "--reference",
    "--expect",
    "--on-bad-input",
    "--method",
    "--epochs",
    "--resume",
    "--json",
    "--help",
    "--runs",
    "--output",
    "--expect-accuracy",
    "--preview",
    "--gates",
    "--cluster",
    "--margin",
    "--full",
    "--allow-inconclusive",
    "--markdown",
    "--junit",
    "--sarif",
    "--bom",
    "--card",
    "--rerun",
    "--model",
    "--key",
    "--sign",
    "--nonsense",
)
FILES = (
    "data",
    "model.onnx",
    "foreign.toml",
    "tiny.toml",
    "small.toml",
    "gates.toml",
    "missing.onnx",
    "media",
    "runs",
    "audit",
    ".",
    "/",
)


def try_options(base: Base, folder: Path, rng: random.Random) -> Case:
    """A command that works, with one to three words changed, added or removed."""
    words = list(rng.choice(COMMANDS))
    for _ in range(rng.choice((1, 1, 2, 3))):
        value = rng.choice(
            (rng.choice(NASTY), str(rng.choice(NUMBERS)), rng.choice(FILES), f"{rng.choice(FILES)}={rng.random()}")
        )
        value = value.replace("\x00", "\x01")[:50_000]  # no command line holds a NUL
        if value.startswith("/dev/stdin"):
            value = "-"
        kind = rng.randrange(4)
        place = rng.randrange(1, len(words)) if len(words) > 1 else 0
        if kind == 0 and place:
            words[place] = value
        elif kind == 1:
            words += [rng.choice(OPTIONS), value]
        elif kind == 2:
            words.insert(place, value)
        elif place:
            del words[place]
    return Case(words, codes=(0, 1, 2, 3, 4))


def try_streams(base: Base, folder: Path, rng: random.Random) -> Case:
    """A command that works, whose stdin, stdout and stderr are open, closed or on a full disk: what it writes into
    files is what it would have been."""
    streams = ("open", "open", "open")
    while streams == ("open", "open", "open"):
        streams = (rng.choice(("open", "closed")), *(rng.choice(("open", "closed", "full")) for _ in range(2)))
    words = list(rng.choice((*COMMANDS, ["--help"], ["--nonsense"], ["attack", "nothing.onnx"], [])))

    def differs(ended: Ended, folder: Path) -> bool:
        told = words == [*ATTACK, "--json"] and streams[1] == "open" and ended.out != base.attack.out
        return told or (folder / "audit" / "results.json").read_bytes() != base.audit

    return Case(words, streams=streams, differs=differs)
