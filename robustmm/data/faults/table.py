"""Faults of the table itself: splits, classes, labels, words for nothing, columns that are not read."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from robustmm.data.draft import describe_csv_files, describe_unread_columns, numeric_columns
from robustmm.data.faults.findings import Finding, Severity, build_finding, count_rows
from robustmm.data.manifest import Manifest, class_names, is_regression_target, name_some
from robustmm.errors import did_you_mean
from robustmm.modalities import Modality
from robustmm.modalities.base import TABLE_COLUMNS

SPLITS = ("train", "valid", "test")
TINY = 5
"""Rows of a class in a split below which they say little: of 4 right answers, the 95 % interval is 51 to 100 %."""
NOTHING = {"nan", "none", "null", "nil", "n/a", "na", "<na>", "#n/a", "nat", "undefined"}
"""Words that programs write for a value they do not have."""


def check_table(manifest: Manifest, modalities: Sequence[Modality]) -> Iterator[Finding]:
    """Every fault that can be seen without reading all files."""
    yield from _check_splits(manifest)
    if is_regression_target(manifest.labels):
        found = sorted(set(manifest.labels), key=float)
        sentence = f"the labels are {len(found)} different numbers, {found[0]} to {found[-1]}: a quantity, not classes"
        yield build_finding(manifest, "target-is-numbers", "label", sentence)
    else:
        yield from _check_classes(manifest)
    yield from _check_words(manifest, modalities)
    for column, sentence in describe_unread_columns(manifest, modalities).items():
        yield build_finding(manifest, "column-not-read", column, sentence)
    for modality in modalities:
        for kind, sentence in describe_csv_files(manifest, modality).items():
            yield build_finding(manifest, kind, modality.name, sentence)
    if numbers := numeric_columns(manifest, modalities):
        sentence = (
            f"{name_some(numbers)} hold{'s' if len(numbers) == 1 else ''} numbers and count as metadata; to learn "
            f"from them as features: robustmm data recipe --features {','.join(numbers)}"
        )
        yield build_finding(manifest, "numbers-not-read", name_some(numbers), sentence)


def _check_splits(manifest: Manifest) -> Iterator[Finding]:
    found = manifest.split_sizes()
    others = [name for name in found if name not in SPLITS]
    for name in SPLITS:
        if name not in found:
            known = did_you_mean(name, others) or (f" (found {name_some(found)})" if others else "")
            yield build_finding(manifest, "split-missing", "split", f'there is no split "{name}"{known}')


def _check_classes(manifest: Manifest) -> Iterator[Finding]:
    rows: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, place in enumerate(zip(manifest.columns["split"], manifest.labels, strict=True)):
        rows[place].append(row)
    every = class_names(manifest.labels)
    known = {label for split, label in rows if split == "train"} or set(every)
    for split in manifest.split_sizes():
        counts = {label: len(rows.get((split, label), ())) for label in every}
        unseen = [label for label, count in counts.items() if count and label not in known]
        if unseen:
            where = dict(sorted((row, label) for label in unseen for row in rows[split, label]))
            sentence = f"{split} has classes that train has not: {name_some(unseen)}"
            yield build_finding(manifest, "class-not-in-train", "label", sentence, where)
        lacking = [label for label, count in counts.items() if not count and label in known]
        if lacking:
            sentence = f"{split} has no samples of {name_some(lacking)}"
            yield build_finding(manifest, "class-not-in-split", "label", sentence)
    tiny = Counter(split for (split, _), found in rows.items() if len(found) < TINY)
    if tiny:
        (split, label), least = min(rows.items(), key=lambda item: len(item[1]))
        many = name_some(f"{count_rows(count, 'class', 'es')} in {name}" for name, count in tiny.items())
        sentence = f"fewer than {TINY} samples: {many}; the fewest are {len(least)}, of {label} in {split}"
        yield build_finding(manifest, "class-tiny", "label", sentence)
    for alike in group_similar(every):
        spellings = {
            label: [row for (_, one), found in rows.items() if one == label for row in found] for label in alike
        }
        main = max(alike, key=lambda label: len(spellings[label]))
        odd = {row: label for label, found in spellings.items() if label != main for row in sorted(found)}
        sentence = f"labels differ in case or spaces only: {name_some(map(repr, alike))}"
        yield build_finding(manifest, "labels-alike", "label", sentence, odd)


def _check_words(manifest: Manifest, modalities: Sequence[Modality]) -> Iterator[Finding]:
    """Words for nothing in labels and cells."""
    names = {column: m.name for m in modalities for column in m.column_names}
    for column, cells in manifest.columns.items():
        if column == "label" or column not in TABLE_COLUMNS:
            found = {row: cell for row, cell in enumerate(cells) if cell.strip().lower() in NOTHING}
            if found:
                words = name_some(sorted({repr(cell) for cell in found.values()}))
                kind = "label-is-nothing" if column == "label" else "cell-is-nothing"
                sentence = f"{count_rows(len(found))} of {column} hold {words}, a word for nothing"
                severity: Severity | None = None if column == "label" or column in names else "note"
                yield build_finding(manifest, kind, names.get(column, column), sentence, found, severity)


def group_similar(labels: Iterable[str]) -> list[list[str]]:
    """Labels that are one and the same but for case, spaces and Unicode's ways to write them."""
    groups: dict[str, list[str]] = {}
    for label in sorted(labels):
        groups.setdefault(" ".join(unicodedata.normalize("NFKC", label).casefold().split()), []).append(label)
    return [group for group in groups.values() if len(group) > 1]
