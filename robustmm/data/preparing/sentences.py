"""What is said of a prepared benchmark: sizes held against the published ones, what is missing, what was left out."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence

from robustmm.data.folder import Sample
from robustmm.data.preparing.benchmark import Benchmark, Row
from robustmm.data.preparing.making import Fault
from robustmm.data.preparing.sharing import describe_splits

MOST_TOLD = 5
"""Missing inputs that a sentence names."""


def describe_rows(title: str, samples: Sequence[Sample]) -> str:
    splits = describe_splits(Counter(sample.split for sample in samples))
    return f"{title}: {len(samples):,} rows of {len({sample.label for sample in samples})} classes ({splits})"


def compare_sizes(samples: Sequence[Sample], benchmark: Benchmark) -> list[str]:
    """One sentence where the rows by split are as many as published, else one for each publisher. Rows without a split
    are held against the published total."""
    found: dict[str, int] = dict(Counter(sample.split for sample in samples))
    sentences = []
    for who, published in benchmark.sizes.items():
        whole = "" in found or "" in published
        counts, wanted = ({"": len(samples)}, {"": sum(published.values())}) if whole else (found, dict(published))
        if all(counts.get(split, 0) == count for split, count in wanted.items()):
            return [f"as many rows as published ({who})"]
        pairs = (f"{name or 'in all'} {count:,}, found {counts.get(name, 0):,}" for name, count in wanted.items())
        sentences.append(f"not as many rows as published ({who}): {'; '.join(pairs)}")
    return sentences


def tell_faults(faults: Sequence[Fault], rows: int) -> str:
    """The sentence of the error that missing and damaged files are."""
    hit = len({fault.id for fault in faults})
    reasons = list(dict.fromkeys(fault.reason for fault in faults))
    more = f"; and {len(reasons) - MOST_TOLD:,} more" if len(reasons) > MOST_TOLD else ""
    return (
        f"{hit:,} of {rows:,} samples lack a file or have one that cannot be used: {'; '.join(reasons[:MOST_TOLD])}"
        f"{more} (--on-missing drop leaves these rows out, --on-missing missing these inputs)"
    )


def describe_faults(rows: Sequence[Row], samples: Sequence[Sample], faults: Sequence[Fault]) -> list[str]:
    """How many rows were left out, or kept without an input."""
    lost = Counter(row.split for row in rows)
    lost.subtract(Counter(sample.split for sample in samples))
    dropped = len(rows) - len(samples)
    left = {sample.id for sample in samples}
    without = len({fault.id for fault in faults} & left)
    notes = []
    if dropped:
        by_split = describe_splits(lost)
        notes.append(f"{dropped:,} of {len(rows):,} rows are left out{f' ({by_split})' if by_split else ''}")
    if without:
        notes.append(f"{without:,} rows have a missing input: an empty cell")
    if faults:
        notes.append(f"left-out.csv has the reasons, such as: {faults[0].reason}")
    return notes


def describe_empty_texts(rows: Sequence[Row]) -> list[str]:
    """How many samples never had a text."""
    counts: Mapping[str, int] = Counter(column for row in rows for column, cell in row.inputs.items() if cell == "")
    return [f"{count:,} rows have an empty {column}, which is a missing input" for column, count in counts.items()]


def format_faults(faults: Sequence[Fault]) -> str:
    """The table left-out.csv: every input that was not used, and why."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "split", "column", "reason"])
    writer.writerows([fault.id, fault.split, fault.column, fault.reason] for fault in faults)
    return text.getvalue()
