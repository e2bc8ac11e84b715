"""A suite: one TOML that names conditions, singly or as grids, searches and gates. Loading checks its form and reports
every error. Modalities are checked against a model: a corruption that supports none of them is left out of a grid, and
is an error in a condition."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from robustmm.conditions.condition import Condition
from robustmm.conditions.cross import CrossTable
from robustmm.conditions.gate import GateTable, check_gates
from robustmm.conditions.tables import ConditionTable, GridTable, MissingTable, SearchTable, Table
from robustmm.config.toml import Section, load_tables, read_toml
from robustmm.config.toml_lines import find_line
from robustmm.corruptions import KINDS, find_corruption, pairs
from robustmm.errors import UsageError, suggest
from robustmm.modalities import Modality


class Suite(Section):
    condition: tuple[ConditionTable, ...] = ()
    grid: tuple[GridTable, ...] = ()
    cross: tuple[CrossTable, ...] = ()
    missing: tuple[MissingTable, ...] = ()
    search: tuple[SearchTable, ...] = ()
    gate: tuple[GateTable, ...] = ()

    def conditions(self, modalities: Sequence[Modality]) -> list[Condition]:
        """The conditions on a model with these modalities, each name once."""
        found: dict[str, Condition] = {}
        tables: tuple[Table, ...] = (*self.condition, *self.grid, *self.cross, *self.missing)
        for table in tables:
            for condition in table.conditions(modalities):
                found.setdefault(condition.name, condition)
        if not found and not self.search:
            raise UsageError(f"none of the suite's conditions serves {', '.join(m.kind for m in modalities)}")
        return list(found.values())


def is_suite(path: Path) -> bool:
    """Whether a TOML file is a suite and not a recipe."""
    try:
        return not read_toml(path).keys().isdisjoint(Suite.model_fields)
    except UsageError:
        return False


def load_suite(path: Path) -> Suite:
    """The suite at `path`. Raises UsageError with every error found, each with its line."""
    source, suite = load_tables(path, Suite)

    def locate_error(place: Sequence[str | int], error: object) -> str:
        return f"{path}:{find_line(source, place)}: {error}"

    errors = []
    measured = [name for name in Suite.model_fields if name != "gate"]
    if not any(getattr(suite, name) for name in measured):
        listed = ", ".join(f"[[{name}]]" for name in measured)
        errors.append(f"{path}: one of {listed} should be given, found none")
    names = [table.name for table in suite.condition]
    errors += [
        locate_error(("condition", i, "name"), f'two conditions are called "{name}"')
        for i, name in enumerate(names)
        if name in names[:i]
    ]
    for i, table in enumerate(suite.condition):
        for j, noise in enumerate(table.noise):
            wrong = check_corruption(noise.name, noise.options) or check_kinds(noise.kind)
            if wrong:
                errors.append(locate_error(("condition", i, "noise", j, "name"), f'condition "{table.name}": {wrong}'))
    for i, grid in enumerate(suite.grid):
        errors += [locate_error(("grid", i, "noise"), wrong) for wrong in check_grid(grid)]
    for i, cross in enumerate(suite.cross):
        errors += [locate_error(("cross", i, "noise"), wrong) for wrong in check_grid(cross)]
    for i, search in enumerate(suite.search):
        errors += [
            locate_error(("search", i, "noise"), w)
            for n in getattr(search, "noise", ())
            if (w := check_corruption(n, {}))
        ]
    errors += [locate_error(place, wrong) for place, wrong in check_gates(suite.gate)]
    if errors:
        raise UsageError("\n".join(errors))
    return suite


def check_grid(grid: GridTable | CrossTable) -> list[str]:
    """The errors in a grid's corruptions and kinds."""
    wrongs = [check_corruption(name, grid.options) for name in grid.noise]
    wrongs += [check_kinds(grid.kind)]
    wrongs += [check_kind_support(name, grid.kind) for name in grid.noise] if not any(wrongs) else []
    return [wrong for wrong in wrongs if wrong]


def check_kinds(kinds: Sequence[str]) -> str:
    """The error of an unknown kind; empty where all are known."""
    strange = [kind for kind in kinds if kind not in KINDS]
    return f'"{strange[0]}" is not a kind{suggest(strange[0], KINDS)}' if strange else ""


def check_kind_support(name: str, wanted: Sequence[str]) -> str:
    """The error of a corruption that supports none of these kinds; empty where it supports one."""
    serves = pairs.supported_kinds(name)
    return "" if set(serves).intersection(wanted) else f'"{name}" serves {", ".join(serves)}, not {", ".join(wanted)}'


def check_corruption(name: str, options: dict[str, Any]) -> str:
    """The error of a name that no corruption has, or of options that it does not take; empty where they are valid."""
    try:
        serves = pairs.supported_kinds(name)
        if pairs.is_sample_corruption(name):
            pairs.find_sample_corruption(name).with_options(**options)
        else:
            for kind in serves:
                find_corruption(name, kind).with_options(**options)
    except UsageError as error:
        return str(error)
    return ""
