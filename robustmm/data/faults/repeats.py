"""The same content in several rows: across splits, within one, under different labels."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from robustmm.data.faults.findings import Finding, build_finding, count_rows
from robustmm.data.faults.scan import Scan
from robustmm.data.manifest import Manifest

Groups = list[list[int]]
"""Rows that share their content, in the order of the manifest."""


def check_repeats(manifest: Manifest, scans: Sequence[Scan]) -> Iterator[Finding]:
    """Repeats of each modality, and of whole samples. Blank inputs are alike without being copies."""
    splits = manifest.columns["split"]
    for scan in scans:
        name, blank = scan.modality.name, set(scan.constant)
        groups = group_rows([d if row not in blank else "" for row, d in enumerate(scan.digests)])
        across = [rows for rows in groups if len({splits[row] for row in rows}) > 1]
        if across:
            details = {row: _say_source(manifest, scan, row, rows[0]) for rows in across for row in rows}
            sentence = f"{count_rows(len(details))} share {name} with a row of another split"
            yield build_finding(manifest, "shared-across-splits", name, sentence, details)
        if len(scans) > 1:
            yield from _check_conflicts(manifest, groups, name, "shared-by-classes")
    blank = set.intersection(*(set(scan.constant) for scan in scans))
    parts = zip(*(scan.digests for scan in scans), strict=True)
    whole = group_rows(["" if row in blank else " ".join(one).strip() for row, one in enumerate(parts)])
    about = scans[0].modality.name if len(scans) == 1 else ""
    yield from _check_conflicts(manifest, whole, about, "conflicting-labels")
    within = {
        row: f"as {manifest.ids[rows[0]]}"
        for rows in whole
        for row in rows[1:]
        if splits[row] == splits[rows[0]] and manifest.labels[row] == manifest.labels[rows[0]]
    }
    if within:
        repeat = "repeats a whole sample of its" if len(within) == 1 else "repeat a whole sample of their"
        sentence = f"{count_rows(len(within))} {repeat} own split"
        yield build_finding(manifest, "repeated", about, sentence, within)


def _say_source(manifest: Manifest, scan: Scan, row: int, first: int) -> str:
    """`test, the same cell as s0 of train`."""
    splits = manifest.columns["split"]
    if row == first:
        return splits[row]
    what = "cell" if scan.cells[row] == scan.cells[first] else "content"
    return f"{splits[row]}, the same {what} as {manifest.ids[first]} of {splits[first]}"


def _check_conflicts(manifest: Manifest, groups: Groups, about: str, kind: str) -> Iterator[Finding]:
    clashing = [rows for rows in groups if len({manifest.labels[row] for row in rows}) > 1]
    if clashing:
        details = {row: manifest.labels[row] for rows in clashing for row in rows}
        what = about or "every modality"
        sentence = f"{count_rows(len(details))} share {what} with a row of another class"
        yield build_finding(manifest, kind, about, sentence, details)


def group_rows(digests: Sequence[str]) -> Groups:
    """Rows with one digest, where there are several; an empty digest is of no content."""
    found: dict[str, list[int]] = defaultdict(list)
    for row, digest in enumerate(digests):
        if digest:
            found[digest].append(row)
    return [rows for rows in found.values() if len(rows) > 1]
