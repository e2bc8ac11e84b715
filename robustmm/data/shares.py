"""Samples shared out among splits at random, class by class."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from robustmm.data.folder import Sample
from robustmm.errors import UsageError

SHARES = {"train": 0.7, "valid": 0.15, "test": 0.15}
"""The split of a folder that has none."""


def parse_shares(text: str, option: str = "--split") -> dict[str, float]:
    """`train=0.7,valid=0.15,test=0.15`, given as `option`, as numbers that sum to 1."""
    shares = {}
    for part in text.split(","):
        name, separator, number = part.partition("=")
        try:
            share = float(number)
        except ValueError:
            share = 0.0
        if not separator or not name.strip() or not 0 < share <= 1 or name.strip() in shares:
            raise UsageError(f'{option} should be such as train=0.7,valid=0.15,test=0.15, found "{text}"')
        shares[name.strip()] = share
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise UsageError(f"the shares of {option} should sum to 1, found {sum(shares.values()):g}")
    return shares


def assign_splits(samples: Sequence[Sample], shares: Mapping[str, float], seed: int) -> tuple[list[Sample], str]:
    """The samples, each in a split, and a sentence that says how. `shares` are those of a folder without splits, or of
    the train folder, whose part the others get. Raises UsageError where they name a split that the folder has."""
    found = Counter(sample.split for sample in samples)
    if not found[""]:
        sizes = ", ".join(f"{name} {found[name]}" for name in sorted(found, key=_split_order) if name)
        if not shares:
            lacking = [name for name in SHARES if name not in found]
            hint = f"; no {', '.join(lacking)}: --split shares out the train folder" if lacking else ""
            return list(samples), f"splits by folder: {sizes}{hint}"
        if "train" not in shares or any(name in found for name in shares if name != "train") or not found["train"]:
            raise UsageError(f"--split should share out train among splits that the folder has not; it has {sizes}")
    chosen = shares or SHARES
    parts = [sample for sample in samples if sample.split in ("", "train")]
    drawn = share_out(parts, chosen, seed) + [sample for sample in samples if sample.split not in ("", "train")]
    place = {sample.id: sample for sample in drawn}
    counts = Counter(sample.split for sample in drawn)
    sizes = ", ".join(f"{name} {counts[name]}" for name in sorted(counts, key=_split_order))
    told = ",".join(f"{name}={share:g}" for name, share in chosen.items())
    whose = "the train folder is" if found["train"] else "the folder has no splits: rows are"
    sentence = f"{whose} shared out at random within each class, --split {told} --seed {seed}: {sizes}"
    return [place[sample.id] for sample in samples], sentence


def _split_order(name: str) -> tuple[int, str]:
    known = list(SHARES)
    return known.index(name) if name in known else len(known), name


def share_out(samples: Sequence[Sample], shares: Mapping[str, float], seed: int) -> list[Sample]:
    """The samples with splits drawn at random, class by class, so that every split has each class's share. The draw
    depends on the seed, the classes and the ids, not on the order of files."""
    by_class: dict[str, list[str]] = defaultdict(list)
    for sample in samples:
        by_class[sample.label].append(sample.id)
    names, ends = list(shares), np.cumsum(list(shares.values()))
    drawn: dict[str, str] = {}
    rng = np.random.default_rng(seed)
    for label in sorted(by_class):
        ids = sorted(by_class[label])
        order = rng.permutation(len(ids))
        for rank, i in enumerate(order):
            drawn[ids[i]] = names[int(np.searchsorted(np.rint(ends[:-1] * len(ids)), rank, side="right"))]
    return [replace(sample, split=drawn[sample.id]) for sample in samples]
