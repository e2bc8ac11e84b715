"""The contest on one model: fitted to train and valid, fold by fold, and judged on test."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contest.cells import (
    MEMORY,
    OURS,
    PLAIN,
    Cell,
    Fold,
    Rule,
    Subsets,
    compute_odds,
    decide,
    fit_fold,
    fit_rivals,
    judge_cell,
    permute_across,
    remember_shuffled,
)
from contest.rivals import NOISE_LEVEL
from contest.samples import Cache, Lens, Split, View, corrupt_test, corrupt_valid
from contest.streams import measure_delays
from contest.summary import describe_cell, estimate_cost, summarise
from robustmm.data.manifest import Manifest
from robustmm.evaluation.attack import proportion
from robustmm.guard import judge
from robustmm.guard.examples import MISMATCHED, Fault, list_corruptions, name_family
from robustmm.guard.harden import TRAIN_ROWS, limit, observe
from robustmm.guard.reliability import list_subsets
from robustmm.guard.table import build_table
from robustmm.modalities import Modality
from robustmm.progress import Reporter
from robustmm.runtime.session import Session


class Asked(NamedTuple):
    """`most` corruptions of a family, 0 for all; `budget` is a share."""

    levels: Sequence[float]
    most: int
    budget: float


def list_faults(modality: Modality, asked: Asked) -> list[Fault]:
    """Of the test split: every corruption at every level, or some of each family; and another sample's signal."""
    by_family: dict[str, list[str]] = {}
    for name in list_corruptions(modality):
        by_family.setdefault(name_family(name, modality), []).append(name)
    rng, found = np.random.default_rng(4), []
    for family, names in sorted(by_family.items()):
        some = sorted(rng.permutation(names)[: asked.most or None])
        found += [Fault(modality.name, family, str(name), level) for name in some for level in asked.levels]
    return [*found, Fault(modality.name, MISMATCHED, MISMATCHED, 1.0)]


def pair_faults(a: Sequence[Fault], b: Sequence[Fault]) -> Iterator[tuple[Fault, Fault]]:
    """Faults of two modalities at once, both of one level: each of the longer list with one of the other."""
    for level in sorted({fault.level for fault in a} & {fault.level for fault in b}):
        ours, theirs = ([f for f in each if f.level == level] for each in (a, b))
        for i in range(max(len(ours), len(theirs))):
            yield ours[i % len(ours)], theirs[i % len(theirs)]


def hold_contest(session: Session, manifest: Manifest, asked: Asked, cache: Cache, tell: Reporter) -> dict[str, Any]:
    """What `--json` says of one model."""
    seen = observe(session, manifest, "error", tell)
    lens = Lens(session, seen)
    encoded = corrupt_valid(lens, cache, tell)
    table = build_table(
        seen.subject, seen.answers, encoded, seen.clean, seen.present, seen.target, tell
    )  # fmt: skip
    valid = lens.look(seen.clean, seen.present, seen.target)
    train = lens.read(limit(manifest.split("train"), TRAIN_ROWS), tell)
    rivals = fit_rivals(lens.look(train.clean, train.present, train.target), valid, asked.budget)
    test = lens.read(manifest.split("test"), tell)
    families = judge.list_families([[each.fault for each in faults] for faults in encoded])
    faults = [list_faults(m, asked) for m in session.modalities]
    z = {}
    with tell.stage("corrupting test", sum(map(len, faults))) as advance:
        for fault in (fault for each in faults for fault in each):
            z[fault] = corrupt_test(lens, cache, test, fault)
            advance(1)
    subsets, single, double = Subsets(lens, test), list[Cell](), list[Cell]()
    count = max(map(len, families))
    with tell.stage("judging", count + 1) as advance:
        for number in range(count):
            fold = fit_fold(number, table, encoded, valid, asked.budget)
            held = [
                [f for f in each if number < len(names) and f.family == names[number]]
                for each, names in zip(faults, families, strict=True)
            ]
            for fault in (fault for each in held for fault in each):
                single.append(judge_cell(lens, test, [(fault, z[fault])], fold, rivals, subsets))
            for a, b in combinations(held, 2):
                for pair in pair_faults(a, b):
                    cell = judge_cell(lens, test, [(f, z[f]) for f in pair], fold, rivals, subsets)
                    cell.table = cell.table.take(np.zeros(len(cell.rows), bool))  # many, and read no more
                    double.append(cell)
            advance(1)
        whole = fit_fold(count, table, encoded, valid, asked.budget)
        advance(1)
    permute_across(single, session.names)
    clean = lens.look(test.clean, test.present, test.target)
    rules = {**rivals, NOISE_LEVEL: whole.noise}
    facts = session.facts
    return {
        "model": str(session.path), "set": facts["recipe"]["name"], "method": facts["recipe"]["method"]["name"],
        "seed": facts["recipe"]["train"]["seed"], "modalities": session.names, "valid": len(seen.target),
        "test": len(test.target), "examples": len(table.rows), "levels": list(asked.levels), "most": asked.most,
        "budget": 100 * asked.budget, "thresholds": whole.thresholds.tolist(),
        "fold_thresholds": sorted({cell.fold.number: cell.fold.thresholds.tolist() for cell in single}.items()),
        "alone": {
            split: [float((view.p[here, view.alone(m)].argmax(-1) == view.table.target[here]).mean())
                    for m, here in enumerate(view.table.present.T)]
            for split, view in (("valid", valid), ("test", clean))
        },
        "clean": judge_clean(clean, test, whole, rules),
        "single": summarise(single, asked.budget, len(test.target)),
        "double": summarise(double, asked.budget, len(test.target)),
        "streams": {
            rule: measure_delays(clean.table, single, session.names, rule == MEMORY) for rule in (OURS, MEMORY)
        },
        "cells": [describe_cell(cell) for cell in [*single, *double]],
    }  # fmt: skip


def judge_clean(clean: View, test: Split, whole: Fold, rules: dict[str, Rule]) -> dict[str, Any]:
    """Of every rule, fitted with all families: the accuracy that clean test samples lose, in points, and how often
    each modality is dropped of those that have it."""
    odds = compute_odds(clean.table, whole.fitted)
    chosen: dict[str, NDArray[np.int64]] = {PLAIN: np.zeros(len(odds), np.int64)}
    chosen[OURS] = decide(clean.table, odds, whole.thresholds)
    chosen[MEMORY] = decide(clean.table, remember_shuffled(odds, clean.table.present), whole.thresholds)
    chosen |= {name: rule.decide(clean) for name, rule in rules.items()}
    right, found = clean.table.right(), {}
    for name, subset in chosen.items():
        dropped = ~list_subsets(odds.shape[1])[subset] & test.present
        alarms = [
            proportion(int(off.sum()), int(here.sum())).model_dump()
            for off, here in zip(dropped.T, test.present.T, strict=True)
        ]
        found[name] = {**estimate_cost(judge.gather(right, subset), right[:, 0]), "false_alarms": alarms}
    return found
