"""Some rows of many, in the classes' proportions: by the hashes of their ids, so whatever the order of the table."""

import hashlib
from collections.abc import Sequence


def hash_order(ids: Sequence[str]) -> list[int]:
    """Rows in the order of their ids' hashes: every stretch of it is a random sample."""
    return sorted(range(len(ids)), key=lambda row: hashlib.blake2b(ids[row].encode(errors="surrogatepass")).digest())


def sample_rows(ids: Sequence[str], labels: Sequence[str], limit: int | None) -> list[int]:
    """`limit` rows in the table's order, all where there are no more: of every class those whose hashes come first, as
    many as its share of the rows by largest remainder. Of equal remainders the class whose next hash comes first gets
    the row, so that nothing depends on the classes' names or order."""
    if limit is None or limit >= len(ids):
        return list(range(len(ids)))
    members: dict[str, list[int]] = {}
    order = hash_order(ids)
    for row in order:
        members.setdefault(labels[row], []).append(row)
    taken = {label: len(rows) * limit // len(ids) for label, rows in members.items()}
    place = {row: position for position, row in enumerate(order)}

    def claim(label: str) -> tuple[int, int]:
        rows = members[label]
        return -(len(rows) * limit % len(ids)), place[rows[min(taken[label], len(rows) - 1)]]

    for label in sorted(members, key=claim)[: limit - sum(taken.values())]:
        taken[label] += 1
    return sorted(row for label, rows in members.items() for row in rows[: taken[label]])


def describe_vanished(labels: Sequence[str], rows: Sequence[int]) -> list[str]:
    """A sentence on the classes that none of the sampled rows has; nothing where all are there."""
    kept = {labels[row] for row in rows}
    lost = sorted(set(labels) - kept)
    if not lost:
        return []
    named = ", ".join(f'"{label}"' for label in lost[:5]) + (f" and {len(lost) - 5} more" if len(lost) > 5 else "")
    return [
        f"{len(lost)} of {len(lost) + len(kept)} classes have no row among the {len(rows)} of {len(labels)} sampled: "
        f"{named}"
    ]
