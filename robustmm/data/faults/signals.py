"""Faults of what the cells hold: damaged and blank inputs, mixed forms, channels that only count, missing patterns."""

import re
from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from robustmm.data.faults.findings import Finding, Severity, build_finding, count_rows
from robustmm.data.faults.scan import Scan
from robustmm.data.guess import channels_last
from robustmm.data.manifest import Manifest, name_some

MIN_RECORDS = 10
"""Records, or neighbouring rows, from which a channel that runs in one direction is no chance."""
STRONG = 0.3
"""Cramér's V from which missing and class hang together strongly: 0.3 is a medium effect of a 2 × k table."""


def check_signals(manifest: Manifest, scan: Scan) -> Iterator[Finding]:
    """The faults of one modality."""
    name, cells = scan.modality.name, sum(map(bool, scan.cells))
    if scan.unreadable:
        sentence = (
            f"{count_rows(len(scan.unreadable), 'cell')} of {cells} cannot be read; --on-bad-input missing would leave "
            f"{name} out of {'this row' if len(scan.unreadable) == 1 else 'these rows'}"
        )
        yield build_finding(manifest, "unreadable", name, sentence, scan.unreadable)
    if scan.losses:
        sentence = f"{count_rows(len(scan.losses), 'cell')} of {cells} are read with a loss, or were put right"
        yield build_finding(manifest, "read-with-loss", name, sentence, scan.losses)
    if scan.not_finite:
        sentence = f"{count_rows(len(scan.not_finite), 'input')} of {cells} hold NaN or infinite values"
        yield build_finding(manifest, "not-finite", name, sentence, scan.not_finite)
    if scan.constant:
        words = {"text": "no words", "image": "one colour only", "audio": "silence only"}.get(
            scan.modality.kind, "one value only"
        )
        sentence = f"{count_rows(len(scan.constant), 'input')} of {cells} hold {words}"
        yield build_finding(manifest, "constant", name, sentence, scan.constant)
    yield from _check_missing(manifest, scan)
    yield from _check_forms(manifest, scan)
    yield from _check_channels(manifest, scan)


def missing_rates(manifest: Manifest, scan: Scan) -> dict[str, float]:
    """The share of a split's rows that lack the modality, unreadable ones too."""
    absent = Counter(s for s, digest in zip(manifest.columns["split"], scan.digests, strict=True) if not digest)
    return {split: absent[split] / total for split, total in manifest.split_sizes().items()}


def _check_missing(manifest: Manifest, scan: Scan) -> Iterator[Finding]:
    name = scan.modality.name
    for split, rate in missing_rates(manifest, scan).items():
        if rate == 1 and not any(manifest.columns["split"][row] == split for row in scan.unreadable):
            yield build_finding(manifest, "missing-in-split", name, f"{name} is missing from every row of {split}")
    labels = sorted(set(manifest.labels))
    place = {label: i for i, label in enumerate(labels)}
    counts = np.zeros((2, len(labels)))
    for label, cell in zip(manifest.labels, scan.cells, strict=True):
        counts[int(not cell), place[label]] += 1
    if hangs_together(counts):
        rates = counts[1] / counts.sum(0)
        most, least = int(rates.argmax()), int(rates.argmin())
        sentence = (
            f"{name} is missing from {rates[most]:.0%} of the class {labels[most]} and from {rates[least]:.0%} of "
            f"{labels[least]}: what is missing tells the class"
        )
        yield build_finding(manifest, "missing-tells-class", name, sentence)


def hangs_together(counts: NDArray[np.float64]) -> bool:
    """Whether the two rows of a table of counts (2, class) differ strongly and beyond chance (Pearson's test)."""
    from scipy.stats import chi2

    total = counts.sum()
    if counts.shape[1] < 2 or not counts.sum(1).all():
        return False
    expected = counts.sum(1, keepdims=True) * counts.sum(0) / total
    statistic = float((((counts - expected) ** 2) / expected).sum())
    return bool((statistic / total) ** 0.5 >= STRONG) and float(chi2.sf(statistic, counts.shape[1] - 1)) < 0.001


def _check_forms(manifest: Manifest, scan: Scan) -> Iterator[Finding]:
    """Sizes of pictures, rates of recordings, channels: told where they differ, with the commonest."""
    name, kind = scan.modality.name, scan.modality.kind
    if kind in ("text", "features"):
        return
    told: dict[str, Severity] = {"size": "note", "rate": "warning", "number of channels": "warning"}
    for what, severity in told.items():
        forms = {row: form for row, size in scan.sizes.items() if (form := find_form(kind, what, size))}
        counts = Counter(forms.values())
        if len(counts) > 1:
            (common, count), *others = counts.most_common()
            odd = {row: form for row, form in forms.items() if form != common}
            rest = name_some((f"{form} in {number}" for form, number in others), 3)
            sentence = f"the {what} differs: {common} in {count} of {len(forms)} inputs, {rest}"
            yield build_finding(manifest, "mixed", name, sentence, odd, severity)


def find_form(kind: str, what: str, size: str) -> str:
    """One side of a size such as `28 x 28 x 3` or `0.53 s at 8000 Hz`; empty where the kind has it not."""
    if kind == "audio":
        rate = re.search(r"\d+ Hz", size)
        return rate[0] if rate and what == "rate" else ""
    sides = tuple(int(side) for side in re.findall(r"\d+", size))
    if kind == "image":
        sides = channels_last(sides)
        if what == "number of channels":
            return str(sides[2]) if len(sides) > 2 else "1"
        return " x ".join(map(str, sides[:2])) if what == "size" else ""
    return " x ".join(map(str, sides)) if kind == "video" and what == "size" else ""


def _check_channels(manifest: Manifest, scan: Scan) -> Iterator[Finding]:
    if scan.channels is None or len(scan.sizes) < 2:
        return
    name, kind = scan.modality.name, scan.modality.kind
    column = scan.modality.column
    channels = column if isinstance(column, tuple) else [f"channel {i}" for i in range(scan.modality.shape[-1])]
    stuck = scan.channels.find_constant()
    if stuck:
        sentence = f"one value in every row: {name_some(channels[i] for i in stuck)}"
        yield build_finding(manifest, "channel-constant", name, sentence)
    counting = [c for c in scan.channels.find_counting(MIN_RECORDS) if c not in stuck]
    if counting:
        through = "through every record" if kind == "series" else "from row to row through the whole table"
        sentence = f"only rises or only falls {through}, like a clock: {name_some(channels[i] for i in counting)}"
        yield build_finding(manifest, "channel-counts", name, sentence)
