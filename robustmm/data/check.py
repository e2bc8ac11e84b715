"""What a manifest holds: splits, classes, missing rates, sizes, duplicates across splits, and every bad file."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from robustmm.data.draft import find_unreadable_columns, guess_modalities
from robustmm.data.loading import read_batches
from robustmm.data.manifest import REQUIRED, Manifest, class_names
from robustmm.modalities import Modality, Signal
from robustmm.results import Number, Result


class ModalityFacts(Result):
    """One modality, whole manifest. `missing` is the rate by split; `constant` counts silent or blank inputs."""

    name: str
    kind: str
    missing: dict[str, Number]
    sizes: dict[str, int]
    not_finite: int
    constant: int


class Duplicate(Result):
    """The same content in two splits: training has seen what is tested."""

    modality: str
    ids: list[str]
    splits: list[str]


class ManifestFacts(Result):
    """The result of `robustmm data check --json`, format 1."""

    format: int = 1
    manifest: str
    samples: int
    splits: dict[str, dict[str, int]]
    modalities: list[ModalityFacts]
    metadata: list[str]
    duplicates: list[Duplicate]
    bad: list[str]
    warnings: list[str]

    def rows(self) -> list[dict[str, Any]]:
        """A row per modality; `sizes` is the number of different ones."""
        return [
            {"modality": m.name, "kind": m.kind, **{f"missing_{split}": rate for split, rate in m.missing.items()},
             "sizes": len(m.sizes), "not_finite": m.not_finite, "constant": m.constant}
            for m in self.modalities
        ]  # fmt: skip


def check_manifest(
    manifest: Manifest, modalities: list[Modality] | None = None, advance: Callable[[int], None] = lambda rows: None
) -> ManifestFacts:
    """Reads every cell. `modalities` define how; without them they are guessed from the cells."""
    warnings: list[str] = []
    if modalities is None:
        modalities = guess_modalities(manifest)
        warnings = find_unreadable_columns(manifest, modalities)
    seen: dict[str, dict[str, list[int]]] = {m.name: {} for m in modalities}
    sizes: dict[str, Counter[str]] = {m.name: Counter() for m in modalities}
    absent: dict[str, Counter[str]] = {m.name: Counter() for m in modalities}
    broken: dict[str, Counter[str]] = {m.name: Counter() for m in modalities}
    bad: list[str] = []
    splits = manifest.columns["split"]
    for rows, samples in read_batches(manifest, modalities, 64, "missing"):
        bad += samples.bad
        for modality in modalities:
            for row, signal in zip(range(rows.start, rows.stop), samples.signals[modality.name], strict=True):
                if signal is None:
                    absent[modality.name][splits[row]] += 1
                    continue
                seen[modality.name].setdefault(digest(signal), []).append(row)
                sizes[modality.name][modality.size_of(manifest.column(modality.column_name)[row], manifest.folder)] += 1
                broken[modality.name]["not finite"] += not is_finite(signal)
                broken[modality.name]["constant"] += is_constant(signal)
        advance(rows.stop - rows.start)
    totals = manifest.split_sizes()
    counts = Counter(zip(splits, manifest.labels, strict=True))
    order = class_names(manifest.labels)
    facts = ManifestFacts(
        manifest=str(manifest.path),
        samples=len(manifest),
        splits={split: {label: counts[split, label] for label in order} for split in totals},
        modalities=[
            ModalityFacts(
                name=m.name,
                kind=m.kind,
                missing={split: absent[m.name][split] / total for split, total in totals.items()},
                sizes=dict(sorted(sizes[m.name].items(), key=lambda item: size_sort_key(item[0]))),
                not_finite=broken[m.name]["not finite"],
                constant=broken[m.name]["constant"],
            )
            for m in modalities
        ],
        metadata=[c for c in manifest.columns if c not in {*REQUIRED, *(m.column_name for m in modalities)}],
        duplicates=[
            Duplicate(modality=name, ids=[manifest.ids[r] for r in rows], splits=[splits[r] for r in rows])
            for name, found in seen.items()
            for rows in found.values()
            if len({splits[r] for r in rows}) > 1
        ],
        bad=bad,
        warnings=[],
    )
    return facts.model_copy(update={"warnings": warnings + find_warnings(facts)})


def find_warnings(facts: ManifestFacts) -> list[str]:
    """Warnings about splits, classes, missing modalities and values that are not finite."""
    found = [f'there is no split "{name}"' for name in ("train", "valid", "test") if name not in facts.splits]
    train = facts.splits.get("train", {})
    for split, counts in facts.splits.items():
        unseen = [label for label, n in counts.items() if n and not train.get(label)]
        lacking = [label for label, n in counts.items() if not n]
        if train and unseen:
            found.append(f"{split} has classes that train has not: {', '.join(unseen)}")
        if lacking:
            found.append(f"{split} has no samples of: {', '.join(lacking)}")
    found += [
        f"labels differ in case or spaces only: {', '.join(map(repr, alike))}"
        for alike in group_similar({label for counts in facts.splits.values() for label in counts})
    ]
    for m in facts.modalities:
        for split, rate in m.missing.items():
            if rate == 1:
                found.append(f"{m.name} is missing from every row of {split}")
        if m.not_finite:
            found.append(f"{m.name} holds NaN or infinite values in {m.not_finite} samples")
    return found


def group_similar(labels: Iterable[str]) -> list[list[str]]:
    """Labels that are one and the same but for case, spaces and Unicode's ways to write them."""
    groups: dict[str, list[str]] = {}
    for label in sorted(labels):
        groups.setdefault(" ".join(unicodedata.normalize("NFKC", label).casefold().split()), []).append(label)
    return [group for group in groups.values() if len(group) > 1]


def size_sort_key(size: str) -> list[float]:
    """The numbers of a size, so that sizes sort as people expect."""
    return [float(n) for n in re.findall(r"[0-9.]*[0-9]", size)]


def digest(signal: Signal) -> str:
    content = signal.encode() if isinstance(signal, str) else np.ascontiguousarray(signal).tobytes()
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def is_finite(signal: Signal) -> bool:
    return isinstance(signal, str) or bool(np.isfinite(signal).all())


def is_constant(signal: Signal) -> bool:
    return not signal.strip() if isinstance(signal, str) else bool(np.ptp(np.nan_to_num(signal)) == 0)
