"""A first recipe for a manifest that has none: which columns are modalities, and which are not read."""

from collections.abc import Sequence

from robustmm.config.recipe import DEFAULT_METHOD, RESERVED
from robustmm.data.guess import MEDIA, common_suffix, guess_modality, names_files, read_cells
from robustmm.data.manifest import Manifest, name_some
from robustmm.errors import DataError, UsageError
from robustmm.modalities import Features, Modality
from robustmm.modalities.base import TABLE_COLUMNS, find_file, is_array, modality_name
from robustmm.modalities.features import is_number
from robustmm.modalities.series import describe_table

CELLS_PER_COLUMN = 24
"""Cells read per column."""


def guess_modalities(manifest: Manifest, features: Sequence[str] = ()) -> list[Modality]:
    """A modality per column that looks like one; columns of short words and numbers are taken for metadata.

    `features` names columns of numbers that are one modality, `age,bp,hr` or `vitals=age,bp,hr`: never by themselves,
    since a number may as well be a speaker, a site or the answer.
    """
    found: list[Modality] = []
    for option in features:
        found.append(_read_features(manifest, option, [*RESERVED, *(m.name for m in found)]))
    taken = {name for m in found for name in m.column_names}
    for column in manifest.columns:
        if column in taken:
            continue
        name = modality_name(column, [*RESERVED, *(m.name for m in found)])
        base = {"name": name, "column": "" if name == column else column}
        modality = guess_modality(base, sample_cells(manifest, column), manifest.folder)
        found += [modality] if modality is not None else []
    if not found:
        told = describe_unread_columns(manifest, [])
        listed = "; ".join(f"{column}: {sentence}" for column, sentence in told.items())
        numbers = numeric_columns(manifest, [])
        hint = f"; to learn from its numbers: --features {','.join(numbers)}" if numbers else ""
        names = name_some(manifest.columns, 12)
        raise DataError(f"{manifest.path} should have a column of paths or texts, {listed or f'found {names}'}{hint}")
    return found


def _read_features(manifest: Manifest, option: str, names: list[str]) -> Features:
    """The modality that `vitals=age,bp,hr` asks for; `names` are taken."""
    name, separator, listed = option.rpartition("=")
    columns = tuple(column.strip() for column in listed.split(","))
    for column in columns:
        manifest.column(column)  # or there is no such column, and a near one is named
        cells = sample_cells(manifest, column)
        if not hold_numbers(cells):
            found = next((f'found "{cell}"' for cell in cells if not is_number(cell)), "found none")
            raise UsageError(f'--features {option}: the column "{column}" should hold numbers, {found}')
    if len(set(columns)) < len(columns):
        raise UsageError(f"--features {option} names a column twice")
    title = modality_name(name.strip() if separator else "features", names)
    return Features(name=title, column=columns, length=len(columns))


def sample_cells(manifest: Manifest, column: str) -> list[str]:
    """Some cells of a column, spread evenly over the train split where it has some; none of the columns that cannot be
    a modality."""
    if column in TABLE_COLUMNS:
        return []
    every = zip(manifest.columns["split"], manifest.columns[column], strict=True)
    filled = [(split, cell) for split, cell in every if cell]
    cells = [cell for split, cell in filled if split == "train"] or [cell for _, cell in filled]
    if len(cells) <= CELLS_PER_COLUMN:
        return cells
    return [cells[i * len(cells) // CELLS_PER_COLUMN] for i in range(CELLS_PER_COLUMN)]


def describe_unread_columns(manifest: Manifest, modalities: Sequence[Modality]) -> dict[str, str]:
    """Columns that name files and are taken for metadata all the same, and why, a sentence each."""
    taken = {name for m in modalities for name in m.column_names}
    found = {}
    for column in manifest.columns:
        cells = sample_cells(manifest, column)
        if column in taken or not cells:
            continue
        suffix = common_suffix(cells)
        if suffix in MEDIA:
            found[column] = f"none of the files can be read, such as {cells[0]}"
            if names_files(cells, manifest.folder):
                found[column] = f"it names files that no kind can read as they are, such as {cells[0]}"
        elif names_files(cells, manifest.folder):
            known = name_some(sorted(MEDIA), len(MEDIA))
            found[column] = f"it names files and is not read, such as {cells[0]}; files that are read end in {known}"
    return found


def describe_csv_files(manifest: Manifest, modality: Modality) -> dict[str, str]:
    """How the CSV files of a series are read where it is not as they stand, a sentence by kind of finding."""
    if modality.kind != "series":
        return {}
    cells = [cell for cell in sample_cells(manifest, modality.column_name) if not is_array(cell)]
    facts = read_cells(lambda cell, folder: describe_table(find_file(cell, folder)), cells, manifest.folder)
    names = dict.fromkeys(f'"{name}"' if name else "one without a name" for one in facts for name in one.left_out)
    found = {}
    if names:
        found["column-left-out"] = f"leading columns of its CSV files are an index or a time: {name_some(names)}"
    if any(one.decimal == "," for one in facts):
        found["decimal-commas"] = "its CSV files have decimal commas, which are read as points"
    return found


def numeric_columns(manifest: Manifest, modalities: Sequence[Modality]) -> list[str]:
    """Columns of numbers that are taken for metadata."""
    taken = {*TABLE_COLUMNS, *(name for m in modalities for name in m.column_names)}
    found = []
    for column in manifest.columns:
        cells = sample_cells(manifest, column)
        if column not in taken and hold_numbers(cells):
            found.append(column)
    return found


def hold_numbers(cells: Sequence[str]) -> bool:
    """Whether most cells are numbers; `data check` names the others."""
    return 2 * sum(map(is_number, cells)) > len(cells)


def draft_recipe(modalities: list[Modality], manifest: str) -> dict[str, object]:
    """The tables of a recipe over these modalities: the dozen lines a user starts from. Of several modalities each
    learns by itself as well, which nothing was measured to beat (docs/methods.md)."""
    tables = {}
    for m in modalities:
        fields = m.model_dump(exclude_defaults=True, exclude={"name"})
        tables[m.name] = {"kind": m.kind, **{k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}}
    method = DEFAULT_METHOD if len(modalities) > 1 else "joint"
    return {"data": {"manifest": manifest}, "modality": tables, "method": {"name": method}}
