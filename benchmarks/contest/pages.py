"""The contest as tables in Markdown."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from scipy.special import stdtrit

from contest.cells import ACROSS, BEST, MEMORY, OURS, PLAIN, WITHIN
from contest.rivals import RIVALS

Told = dict[str, Any]
WORST = 12
"""Cells that fall short, shown at most; --json has all."""


def write_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def percent(x: float, digits: int = 1) -> str:
    return "–" if x != x else f"{100 * x:.{digits}f}"


def number(x: float, digits: int = 2) -> str:
    return "–" if x != x else f"{x:.{digits}f}"


def estimate(found: Told) -> str:
    return f"{percent(found['value'])} ({percent(found['low'])} to {percent(found['high'])})"


def render_model(told: Told) -> Iterator[str]:
    yield f"### {told['set']}, {told['method']}, seed {told['seed']}\n"
    few = f", {told['most']} corruptions a family" if told["most"] else ""
    yield (
        f"{', '.join(told['modalities'])}; {told['valid']} valid and {told['test']} test samples; levels "
        f"{', '.join(f'{level:g}' for level in told['levels'])}{few}; dropped from expected gains of "
        f"{', '.join(f'{x:g}' for x in told['thresholds'])}.\n"
    )
    for title, part in (("One fault", told["single"]), ("Two faults", told["double"])):
        if part["cells"]:
            yield f"{title}, {part['cells']} cells:\n"
            yield render_rules(part, told["clean"])
    yield render_alarms(told)
    yield render_streams(told["streams"])
    for title, part in (("one fault", told["single"]), ("two faults", told["double"])):
        yield from render_short(title, part)


def render_rules(part: Told, clean: Told) -> str:
    """A rule a row."""
    head = ["rule", "accuracy", "within 2 / 1 points of best, % of cells", "share of headroom", "clean cost, points",
            "certainly below plain", "dropped at level 1, %", "cells certainly above / below ours"]  # fmt: skip
    rows = []
    for rule, found in part["rules"].items():
        near = " / ".join(percent(x, 0) for x in found["near"])
        share = f"{number(found['headroom'])} ({number(found['headroom_low'])} to {number(found['headroom_high'])})"
        row = [rule, f"{percent(found['accuracy'])} ({percent(found['low'])} to {percent(found['high'])})", near]
        row.append("–" if rule in (PLAIN, BEST) else share)
        cost = clean.get(rule)
        row.append(f"{cost['cost']:.2f} ({cost['low']:.2f} to {cost['high']:.2f})" if cost and rule != PLAIN else "–")
        if rule in (BEST, PLAIN):
            rows.append([*row, "–", "–", "–"])
            continue
        row += [str(found["certainly_below_plain"]), estimate(found["detected"])]
        above, below = found["certainly_above_ours"], found["certainly_below_ours"]
        rows.append([*row, "–" if rule == OURS else f"{above} / {below}"])
    return write_table(head, rows)


def render_alarms(told: Told) -> str:
    """How often a modality of a clean test sample is dropped."""
    rows = []
    for rule in (OURS, MEMORY, *RIVALS):
        alarms = told["clean"][rule]["false_alarms"]
        rows.append([rule, *map(estimate, alarms)])
    return "Dropped of clean test samples, %:\n\n" + write_table(["rule", *told["modalities"]], rows)


def render_streams(streams: Told) -> str:
    head = ["rule", "streams", "dropped after: median, 90 of 100", "never dropped, %",
            "used again after: median, 90 of 100", "dropped before, %"]  # fmt: skip
    rows = []
    for rule, s in streams.items():
        delays = [
            ", ".join(number(s[f"{what}, {q}"], 0) for q in ("median", "90 of 100"))
            for what in ("dropped after", "used again after")
        ]
        rows.append([rule, str(s["streams"]), delays[0], percent(s["never dropped"]), delays[1],
                     percent(s["dropped before"])])  # fmt: skip
    return "Streams, in samples:\n\n" + write_table(head, rows)


def render_short(title: str, part: Told) -> Iterator[str]:
    short = part.get("short", [])
    if not short:
        return
    shown = f", the {WORST} worst" if len(short) > WORST else ""
    yield f"Short of best by more than 2 points, {title}: {len(short)} of {part['cells']} cells{shown}:\n"
    rows = []
    for cell in short[:WORST]:
        accuracy = cell["accuracy"]
        rival = max(RIVALS, key=lambda name: accuracy[name])
        rows.append([cell["cell"], *(percent(accuracy[rule]) for rule in (PLAIN, BEST, OURS, MEMORY)),
                     cell["best_subset"], f"{rival} {percent(accuracy[rival])}"])  # fmt: skip
    yield write_table(["cell", PLAIN, BEST, OURS, MEMORY, "best is", "best rival"], rows)


def render_all(models: Sequence[Told]) -> Iterator[str]:
    """A line a model, and a line a set and method with several seeds."""
    head = ["set, method, seed", "faults", "cells", *(PLAIN, BEST, OURS, MEMORY), "best rival",
            "within 2 / 1: ours", "with memory", "headroom: ours", "with memory", "permuted within / over cells",
            "clean cost: ours", "with memory", "certainly below plain"]  # fmt: skip
    yield write_table(head, [row for told in models for row in map_lines(told)])
    yield from render_seeds(models)


def map_lines(told: Told) -> Iterator[list[str]]:
    for faults in ("single", "double"):
        part = told[faults]
        if not part["cells"]:
            continue
        rules = part["rules"]
        rival = max(RIVALS, key=lambda name: rules[name]["accuracy"])
        cost = told["clean"]
        yield [
            f"{told['set']}, {told['method']}, {told['seed']}", "one" if faults == "single" else "two",
            str(part["cells"]), *(percent(rules[rule]["accuracy"]) for rule in (PLAIN, BEST, OURS, MEMORY)),
            f"{rival} {percent(rules[rival]['accuracy'])}",
            *(" / ".join(percent(x, 0) for x in rules[rule]["near"]) for rule in (OURS, MEMORY)),
            *(number(rules[rule]["headroom"]) for rule in (OURS, MEMORY)),
            " / ".join(number(rules[rule]["headroom"]) if rule in rules else "–" for rule in (WITHIN, ACROSS)),
            *(f"{cost[rule]['cost']:.2f}" for rule in (OURS, MEMORY)), str(rules[OURS]["certainly_below_plain"]),
        ]  # fmt: skip


def render_seeds(models: Sequence[Told]) -> Iterator[str]:
    """Mean and 95 % interval over the seeds of a set and method, for single faults."""
    groups: dict[tuple[str, str], list[Told]] = defaultdict(list)
    for told in models:
        groups[told["set"], told["method"]].append(told)
    rows = []
    for (name, method), group in groups.items():
        if len({told["seed"] for told in group}) < 2:
            continue
        for rule in (OURS, MEMORY):
            found = [told["single"]["rules"][rule] for told in group]
            columns = [[100 * f["near"][0] for f in found], [100 * f["near"][1] for f in found],
                       [f["headroom"] for f in found], [told["clean"][rule]["cost"] for told in group]]  # fmt: skip
            digits = (0, 0, 2, 2)
            rows.append([f"{name}, {method}", rule, str(len(group)), *map(over_seeds, columns, digits)])
    if rows:
        head = ["set, method", "rule", "seeds", "within 2, %", "within 1, %", "share of headroom", "clean cost, points"]
        yield "Over seeds, one fault:\n"
        yield write_table(head, rows)


def over_seeds(values: Sequence[float], digits: int) -> str:
    x = np.asarray(values, float)
    half = float(stdtrit(len(x) - 1, 0.975)) * x.std(ddof=1) / np.sqrt(len(x))
    return f"{x.mean():.{digits}f} ± {half:.{digits}f}"
