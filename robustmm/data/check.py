"""What a manifest holds, and every fault of it in one form."""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from robustmm.data.draft import guess_modalities
from robustmm.data.faults.findings import Finding
from robustmm.data.faults.repeats import check_repeats
from robustmm.data.faults.scan import Scan, scan_manifest
from robustmm.data.faults.signals import check_signals, missing_rates
from robustmm.data.faults.table import check_table
from robustmm.data.manifest import Manifest, class_names
from robustmm.modalities import Modality
from robustmm.modalities.base import TABLE_COLUMNS
from robustmm.results import Number, Result

ORDER = ("error", "warning", "note")


class ModalityFacts(Result):
    """One modality, whole manifest. `missing` is the rate by split, `sizes` how many inputs have each."""

    name: str
    kind: str
    missing: dict[str, Number]
    sizes: dict[str, int]


class ManifestFacts(Result):
    """The result of `robustmm data check --json`, format 2."""

    format: int = 2
    manifest: str
    samples: int
    splits: dict[str, dict[str, int]]
    modalities: list[ModalityFacts]
    metadata: list[str]
    findings: list[Finding]

    def rows(self) -> list[dict[str, Any]]:
        """A row per modality; `sizes` is the number of different ones, `findings` that of the faults found in it."""
        return [
            {"modality": m.name, "kind": m.kind, **{f"missing_{split}": rate for split, rate in m.missing.items()},
             "sizes": len(m.sizes), "findings": sum(found.about == m.name for found in self.findings)}
            for m in self.modalities
        ]  # fmt: skip

    def unusable(self) -> int:
        """Cells that cannot be read."""
        return sum(found.count for found in self.findings if found.severity == "error")


def check_manifest(
    manifest: Manifest, modalities: list[Modality] | None = None, advance: Callable[[int], None] = lambda rows: None
) -> ManifestFacts:
    """Reads every cell. `modalities` define how; without them they are guessed from the cells."""
    if modalities is None:
        modalities = guess_modalities(manifest)
    scans = scan_manifest(manifest, modalities, advance)
    findings = [found for scan in scans for found in check_signals(manifest, scan)]
    findings += check_repeats(manifest, scans)
    findings += check_table(manifest, modalities)
    counts = Counter(zip(manifest.columns["split"], manifest.labels, strict=True))
    order = class_names(manifest.labels)
    read = {*TABLE_COLUMNS, *(name for m in modalities for name in m.column_names)}
    return ManifestFacts(
        manifest=str(manifest.path),
        samples=len(manifest),
        splits={split: {label: counts[split, label] for label in order} for split in manifest.split_sizes()},
        modalities=[count_sizes(manifest, scan) for scan in scans],
        metadata=[column for column in manifest.columns if column not in read],
        findings=sorted(findings, key=lambda found: ORDER.index(found.severity)),
    )


def count_sizes(manifest: Manifest, scan: Scan) -> ModalityFacts:
    sizes = Counter(scan.sizes.values())
    return ModalityFacts(
        name=scan.modality.name,
        kind=scan.modality.kind,
        missing=missing_rates(manifest, scan),
        sizes=dict(sorted(sizes.items(), key=lambda item: size_sort_key(item[0]))),
    )


def size_sort_key(size: str) -> list[float]:
    """The numbers of a size, so that sizes sort as people expect."""
    return [float(n) for n in re.findall(r"[0-9.]*[0-9]", size)]
