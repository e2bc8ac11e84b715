"""A suite: one TOML that names conditions, alone or as grids, and searches. Its form is checked whole; modalities when
it meets a model: what serves none of them is left out of a grid, and refused in a condition."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from robustmm.conditions.condition import Condition
from robustmm.conditions.cross import CrossTable
from robustmm.conditions.tables import ConditionTable, GridTable, MissingTable, SearchTable, Table
from robustmm.config.shelf import text
from robustmm.config.toml import Section, parsed, sentence
from robustmm.config.toml_lines import line_of
from robustmm.corruptions import KINDS, corruption_for, pairs
from robustmm.errors import UsageError, known
from robustmm.modalities import Modality


class Suite(Section):
    condition: tuple[ConditionTable, ...] = ()
    grid: tuple[GridTable, ...] = ()
    cross: tuple[CrossTable, ...] = ()
    missing: tuple[MissingTable, ...] = ()
    search: tuple[SearchTable, ...] = ()

    def conditions(self, modalities: Sequence[Modality]) -> list[Condition]:
        """The conditions on a model with these modalities, each name once."""
        found: dict[str, Condition] = {}
        tables: tuple[Table, ...] = (*self.condition, *self.grid, *self.cross, *self.missing)
        for table in tables:
            for made in table.conditions(modalities):
                found.setdefault(made.name, made)
        if not found and not self.search:
            raise UsageError(f"none of the suite's conditions serves {', '.join(m.kind for m in modalities)}")
        return list(found.values())


def is_suite(path: Path) -> bool:
    """Whether a TOML file is a suite and not a recipe."""
    try:
        return not parsed(path).keys().isdisjoint(Suite.model_fields)
    except UsageError:
        return False


def load(path: Path) -> Suite:
    """The suite at `path`. Raises UsageError with every error found, each with its line."""
    content: dict[str, Any] = parsed(path)
    source = text(path)

    def told(place: Sequence[str | int], error: object) -> str:
        return f"{path}:{line_of(source, place)}: {error}"

    try:
        suite = Suite.model_validate(content)
    except ValidationError as error:
        found = sorted((line_of(source, item["loc"]), sentence(item, Suite, "", 0)) for item in error.errors())
        raise UsageError("\n".join(f"{path}:{line}: {one}" for line, one in found)) from error
    errors = []
    if not any(getattr(suite, name) for name in Suite.model_fields):
        listed = ", ".join(f"[[{name}]]" for name in Suite.model_fields)
        errors.append(f"{path}: one of {listed} should be given, found none")
    names = [table.name for table in suite.condition]
    errors += [
        told(("condition", i, "name"), f'two conditions are called "{name}"')
        for i, name in enumerate(names)
        if name in names[:i]
    ]
    for i, table in enumerate(suite.condition):
        for j, noise in enumerate(table.noise):
            wrong = refusal(noise.name, noise.options) or stranger(noise.kind)
            if wrong:
                errors.append(told(("condition", i, "noise", j, "name"), f'condition "{table.name}": {wrong}'))
    for i, grid in enumerate(suite.grid):
        errors += [told(("grid", i, "noise"), wrong) for wrong in refusals(grid)]
    for i, cross in enumerate(suite.cross):
        errors += [told(("cross", i, "noise"), wrong) for wrong in refusals(cross)]
    for i, search in enumerate(suite.search):
        errors += [told(("search", i, "noise"), w) for n in getattr(search, "noise", ()) if (w := refusal(n, {}))]
    if errors:
        raise UsageError("\n".join(errors))
    return suite


def refusals(grid: GridTable | CrossTable) -> list[str]:
    """What is wrong with a grid's corruptions and kinds."""
    wrongs = [refusal(name, grid.options) for name in grid.noise]
    wrongs += [stranger(grid.kind)]
    wrongs += [unserved(name, grid.kind) for name in grid.noise] if not any(wrongs) else []
    return [wrong for wrong in wrongs if wrong]


def stranger(kinds: Sequence[str]) -> str:
    """Why some kinds are none; empty where all are."""
    strange = [kind for kind in kinds if kind not in KINDS]
    return f'"{strange[0]}" is not a kind{known(strange[0], KINDS)}' if strange else ""


def unserved(name: str, wanted: Sequence[str]) -> str:
    """Why a corruption can never be met on these kinds; empty where it can."""
    serves = pairs.serves(name)
    return "" if set(serves).intersection(wanted) else f'"{name}" serves {", ".join(serves)}, not {", ".join(wanted)}'


def refusal(name: str, options: dict[str, Any]) -> str:
    """Why there can be no corruption of this name with these options; empty where there can."""
    try:
        serves = pairs.serves(name)
        if pairs.is_pair(name):
            pairs.pair(name).having(**options)
        else:
            for kind in serves:
                corruption_for(name, kind).having(**options)
    except UsageError as error:
        return str(error)
    return ""
