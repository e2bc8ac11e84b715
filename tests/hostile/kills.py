"""Commands that are killed at random moments and continued as they say: what is left must be the undisturbed result."""

import json
import os
import random
import shlex
import signal
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from worlds import manifest, tables

from hostile.fork import TICK, Ended, Started, run
from robustmm.config.toml import to_toml
from robustmm.runs import Run

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
NOTHING = "error: interrupted before there was anything to keep"
IN_A_ROW = 3
"""Kills of one run at most, before it is let finish."""
ENDING = 0.1
"""Seconds before its end in which a command that gave its result need not hear any more."""
SUITE = """
[[grid]]
kind = ["series", "features"]
level = [0.4, 1.0]
noise = ["gaussian", "blank"]
[[missing]]
rate = [0.3, 0.6]
"""
TIMES = {"started", "teacher_seconds", "seconds", "seconds_per_epoch", "peak_mb"}
"""Facts that two runs do not share."""
TEMPORARY = ".part"
SHARES = {"train": 55, "audit, workers 1": 41, "audit, workers 2": 2, "bench, workers 1": 1, "bench, workers 2": 1}
"""Of 100 kills. A worker imports everything again, which takes seconds, so commands with workers get few of them."""


class Command(NamedTuple):
    """What is killed: its words, and the files of a result that may not depend on how often it was."""

    words: tuple[str, ...]
    read: Callable[[Path], dict[str, object]]
    go_on: Callable[[tuple[str, ...], Path, Ended], tuple[str, ...]]
    """The words that continue it, of those that were interrupted."""


class Kill(NamedTuple):
    """One signal, and what was wrong afterwards."""

    command: str
    signal: str
    in_time: bool
    """Whether it came before the command had ended."""
    faults: list[str]


class World:
    """A tiny data set, its recipe, a model trained on it and a suite; the commands, and their undisturbed results."""

    def __init__(self, folder: Path, names: Collection[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        data, content = manifest(folder / "data", samples=48), tables(folder / "data" / "manifest.csv")
        content["train"] = {"epochs": 6, "batch": 8}
        (folder / "world.toml").write_text(to_toml(content))
        (folder / "suite.toml").write_text(SUITE)
        self.commands = {name: one for name, one in build_commands(folder, data).items() if name in names}
        expect(run(("train", folder / "world.toml"), folder))
        expect(run(("export",), folder))
        self.wholes: dict[str, dict[str, object]] = {}
        self.seconds: dict[str, float] = {}
        for name, command in self.commands.items():
            place = folder / name.replace(" ", "-")
            place.mkdir()
            self.seconds[name] = expect(run(command.words, place)).seconds
            self.wholes[name] = command.read(place)


def expect(ended: Ended) -> Ended:
    if ended.code:
        raise RuntimeError(ended.err)
    return ended


def build_commands(folder: Path, data: Path) -> dict[str, Command]:
    recipe, model = str(folder / "world.toml"), str(folder / "runs" / "world-001" / "model.onnx")
    audit = ("audit", model, "--data", str(data), "--suite", str(folder / "suite.toml"), "--out", "a", "--batch", "64")
    bench = ("bench", recipe, "--methods", "joint", "--seeds", "2", "--set", "train.epochs=4", "--out", "b")
    commands = {"train": Command(("train", recipe), read_run, resume_training)}
    for workers in ("1", "2"):
        commands[f"audit, workers {workers}"] = Command((*audit, "--workers", workers), read_audit, repeat)
        commands[f"bench, workers {workers}"] = Command((*bench, "--workers", workers), read_bench, repeat)
    return commands


def read_run(place: Path) -> dict[str, object]:
    """Every file of the newest finished run, but for times; nothing where none has finished."""
    for path in sorted(place.glob("runs/*/run.json"), reverse=True):
        facts = without_times(path)
        if Run(path.parent).is_finished:
            files = {file.name: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}
            return {**files, "run.json": facts}
    return {}


def read_audit(place: Path) -> dict[str, object]:
    return {name: (place / "a" / name).read_bytes() for name in ("results.json", "records.parquet")}


def read_bench(place: Path) -> dict[str, object]:
    return {path.name: without_times(path) for path in sorted((place / "b" / "cells").glob("*.json"))}


def without_times(path: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(path.read_bytes())
    return {name: value for name, value in facts.items() if name not in TIMES}


def repeat(words: tuple[str, ...], place: Path, ended: Ended) -> tuple[str, ...]:
    """The same command continues."""
    return words


def resume_training(words: tuple[str, ...], place: Path, ended: Ended) -> tuple[str, ...]:
    """What the last line names, or what a user does who was told nothing; no words where the run has finished."""
    said = last_line(ended)
    if "continue with: robustmm " in said:
        return tuple(shlex.split(said.partition("continue with: robustmm ")[2]))
    if read_run(place):
        return ()
    if said != NOTHING and list(place.glob("runs/*/run.json")):
        return ("train", "--resume")
    return words


def kill_and_continue(world: World, name: str, place: Path, rng: random.Random, most: int) -> list[Kill]:
    """One to three kills of a run, at most `most`, then the run to its end. The last of them answers for the result."""
    command, kills = world.commands[name], list[Kill]()
    words, left = command.words, world.seconds[name]
    for _ in range(min(most, rng.randint(1, IN_A_ROW))):
        number, group, moment = rng.choice(SIGNALS), rng.random() < 0.5, rng.random() * left
        ended, in_time = strike(Started(words, place), moment, number, group)
        kills.append(Kill(name, number.name, in_time, tell(place, words, ended, judge(ended, number, in_time))))
        words, left = command.go_on(words, place, ended), left - moment / 2  # it need not do all again
        if not words or ended.code == 0:
            break
    if words:
        ended = run(words, place)
        found = [f"continued: exit code {ended.code}"] if ended.code else []
        found += [f"continued: {ended.left} processes left"] if ended.left else []
        kills[-1].faults.extend(tell(place, words, ended, found))
    kills[-1].faults.extend(tell(place, words, ended, compare(command, place, world.wholes[name])))
    return kills


def strike(started: Started, moment: float, number: signal.Signals, group: bool) -> tuple[Ended, bool]:
    """A signal some seconds after the command began to hear signals, to it alone or, as a terminal or a container
    sends it, to every process of its group; and whether it still ran then."""
    while not started.poll() and not hears_signals(started.pid):
        time.sleep(TICK / 3)
    until = time.monotonic() + moment
    while not started.poll() and time.monotonic() < until:
        time.sleep(min(TICK / 3, max(0.0, until - time.monotonic())))
    in_time = not started.poll() and hears_signals(started.pid)
    if in_time:
        with suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(started.pid, number)
    sent = time.monotonic() - started.began  # on a busy machine some time after it still ran
    ended = started.wait()
    return ended, in_time and (ended.code != 0 or ended.seconds - sent > ENDING)


def hears_signals(pid: int) -> bool:
    """Whether the command line's own handlers are set: before and after, no line of a command runs."""
    with suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text()
        caught = int(status.partition("SigCgt:")[2].split()[0], 16)
        return bool(caught >> (signal.SIGTERM - 1) & 1)
    return False


def judge(ended: Ended, number: signal.Signals, in_time: bool) -> list[str]:
    """What is wrong with the way a command ended that was sent a signal."""
    found, said = [], last_line(ended)
    if ended.code not in ({0} if not in_time else {-number} if number == signal.SIGKILL else {5}):
        found.append(f"{number.name}: exit code {ended.code}")
    if ended.code == 5 and said != NOTHING and "continue" not in said:
        found.append(f"no word of how to continue: {said}")
    if ended.left:
        found.append(f"{ended.left} processes left")
    if "Traceback" in ended.out + ended.err:
        found.append("a traceback")
    return found


def last_line(ended: Ended) -> str:
    return (ended.err.splitlines() or [""])[-1]


def compare(command: Command, place: Path, whole: dict[str, object]) -> list[str]:
    """What differs from the undisturbed result, and what no result has: a temporary file."""
    try:
        made = command.read(place)
    except (OSError, ValueError) as error:
        return [f"no result: {error}"]
    found = [f"{name} differs" for name in sorted(whole.keys() | made.keys()) if made.get(name) != whole.get(name)]
    left = [path for path in place.rglob("*") if path.suffix == TEMPORARY]
    return found + [f"{path.relative_to(place)} is left" for path in left]


def tell(place: Path, words: tuple[str, ...], ended: Ended, found: list[str]) -> list[str]:
    """What was found; it also goes into FAULT.txt of the folder, beside what the command printed."""
    if found:
        with (place / "FAULT.txt").open("a") as file:
            file.write(f"{found}\nrobustmm {shlex.join(words)}\nexit code {ended.code}\n{ended.out}\n{ended.err}\n\n")
    return found
