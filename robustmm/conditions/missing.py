"""Presence patterns. A missing modality is not a corruption: nothing of it reaches the model."""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robustmm.errors import DataError, UsageError, check_regular, suggest


def parse_rates(options: Sequence[str], modalities: Sequence[str]) -> dict[str, float]:
    """Rates by modality from options like `audio=0.3`; every modality for a bare `0.3`."""
    found: dict[str, float] = {}
    for option in options:
        name, separator, value = option.rpartition("=")
        try:
            rate = float(value)
        except ValueError:
            rate = float("nan")
        if not 0 <= rate <= 1:
            raise UsageError(f'a missing rate is MODALITY=RATE with a rate in [0, 1], found "{option}"')
        for modality in [name] if separator else modalities:
            if modality not in modalities:
                raise UsageError(
                    f'--missing {option}: there is no modality "{modality}"{suggest(modality, modalities)}'
                )
            found[modality] = rate
    return found


def draw_presence_table(
    ids: Sequence[str], modalities: Sequence[str], rates: Mapping[str, float], seed: int, burst: int = 1
) -> NDArray[np.bool_]:
    """A fixed presence table (samples, modality): exactly int(N * rate) samples lose each modality, independently
    of each other (the protocol of MCE and RedCore; a sample may lose everything).

    A missing cell depends on (seed, id, modality) only, so tables are nested in the rate and ignore row order. With a
    `burst`, outages last that many neighbouring rows (the last one may be cut), and the rows' order is time.
    """
    present = np.ones((len(ids), len(modalities)), dtype=bool)
    for column, modality in enumerate(modalities):
        count = int(len(ids) * rates.get(modality, 0.0) + 1e-9)
        if not count:
            continue
        starts = sorted(range(0, len(ids), burst), key=lambda row: _draw_key(seed, ids[row], modality))
        order = [row for start in starts for row in range(start, min(start + burst, len(ids)))]
        present[order[:count], column] = False
    return present


def read_presence_table(path: Path, ids: Sequence[str], modalities: Sequence[str]) -> NDArray[np.bool_]:
    """The presence table (samples, modality) in a CSV with the column `id` and one of 0 and 1 for some modalities; a
    modality without a column is complete. Raises DataError for an id that has no row or two, or a cell that is neither.
    """
    by_id = _read_rows(path, modalities)
    present = np.ones((len(ids), len(modalities)), dtype=bool)
    for i, sample in enumerate(ids):
        if sample not in by_id:
            raise DataError(f'{path} has no row for the sample "{sample}"')
        line, row = by_id[sample]
        for m, modality in enumerate(modalities):
            if (cell := row.get(modality, "1")) not in ("0", "1"):
                raise DataError(f'{path} line {line}, {modality}: expected 0 or 1, found "{cell}"')
            present[i, m] = cell == "1"
    return present


def _read_rows(path: Path, modalities: Sequence[str]) -> dict[str, tuple[int, dict[str, str]]]:
    """The rows of a stored table by id, each with its line."""
    check_regular(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            columns = list(reader.fieldnames or [])
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"the table of missing inputs {path} cannot be read ({error})") from error
    header = ", ".join(columns)
    if "id" not in columns:
        raise DataError(f'the table of missing {path} should have the columns "id" and modalities, found "{header}"')
    if len(set(columns)) < len(columns):
        raise DataError(f"{path}'s header has a column twice: {header}")
    if unknown := [c for c in columns if c not in ("id", *modalities)]:
        raise DataError(f'{path} has a column "{unknown[0]}"{suggest(unknown[0], modalities)}')
    found: dict[str, tuple[int, dict[str, str]]] = {}
    for line, row in rows:
        if None in row:
            raise DataError(f"{path} line {line}: expected {len(columns)} cells, found more")
        if row["id"] in found:
            raise DataError(f'{path} line {line}: a second row for the sample "{row["id"]}"')
        found[row["id"]] = line, row
    return found


def format_presence_table(ids: Sequence[str], modalities: Sequence[str], present: NDArray[np.bool_]) -> str:
    """A presence table as the CSV that `read_presence_table` reads."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([["id", *modalities], *([s, *map(int, row)] for s, row in zip(ids, present, strict=True))])
    return out.getvalue()


def _draw_key(seed: int, sample: str, modality: str) -> bytes:
    key = b"\0".join(part.encode() for part in ("missing", str(seed), modality, sample))
    return hashlib.blake2b(key, digest_size=16).digest()
