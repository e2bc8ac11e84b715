"""Rows shared out at random, where a benchmark has no official split or no valid split, and the user asks for it."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from robustmm.data.folder import Sample
from robustmm.data.shares import parse_shares, share_out
from robustmm.errors import UsageError, suggest

ORDER = ("train", "valid", "test")


def read_shares(text: str) -> dict[str, float]:
    """`train=0.9,valid=0.1` of --shares. Raises UsageError for what is no such thing."""
    shares = parse_shares(text, "--shares") if text else {}
    for name in shares:
        if name not in ORDER:
            raise UsageError(f'--shares: "{name}" is not a split{suggest(name, ORDER)}')
    return shares


def check_shares(found: Counter[str], shares: Mapping[str, float]) -> None:
    """Raises UsageError where the shares name a split that the benchmark has, or leave nothing to train. `found` are
    its rows by split."""
    if found[""]:
        return
    if not found["train"] or any(found[name] for name in shares if name != "train"):
        raise UsageError(
            "--shares should share out train among splits that the benchmark has not, such as train=0.9,valid=0.1; "
            f"it has {describe_splits(found)}"
        )
    if "train" not in shares:
        raise UsageError("--shares should leave a part to train, such as train=0.9,valid=0.1")


def share_rows(
    samples: Sequence[Sample], shares: Mapping[str, float], seed: int, group: str
) -> tuple[list[Sample], str]:
    """The samples, those of train shared out, or all where none has a split; and a sentence that says how. Rows with
    one value of the metadata column `group` stay together. The shares passed `check_shares`."""
    parts = [sample for sample in samples if sample.split in ("", "train")]
    place = _draw_groups(parts, shares, seed, group) if group else _draw_rows(parts, shares, seed)
    drawn = [replace(sample, split=place.get(sample.id, sample.split)) for sample in samples]
    told = ",".join(f"{name}={share:g}" for name, share in shares.items())
    whose = "train is" if all(sample.split for sample in samples) else "rows are"
    how = f"by {group}" if group else "within each class"
    sizes = describe_splits(Counter(sample.split for sample in drawn))
    return drawn, f"{whose} shared out at random {how}, --shares {told} --seed {seed}: {sizes}"


def _draw_rows(samples: Sequence[Sample], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    return {sample.id: sample.split for sample in share_out(samples, shares, seed)}


def _draw_groups(samples: Sequence[Sample], shares: Mapping[str, float], seed: int, group: str) -> dict[str, str]:
    """Groups are drawn as rows are; within each class, where every group has one."""
    members: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        members[sample.metadata[group]].append(sample)
    labels = {name: {sample.label for sample in group} for name, group in members.items()}
    pure = all(len(found) == 1 for found in labels.values())
    groups = [Sample(name, "", min(labels[name]) if pure else "", {}) for name in members]
    place = _draw_rows(groups, shares, seed)
    return {sample.id: place[name] for name, group in members.items() for sample in group}


def describe_splits(counts: Mapping[str, int]) -> str:
    """`train 6,698, test 744`."""
    return ", ".join(f"{name} {counts[name]:,}" for name in ORDER if counts.get(name))
