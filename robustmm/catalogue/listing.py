"""What can be named: from the registries and the shelf, so that it cannot be out of date."""

import inspect
from collections.abc import Mapping
from importlib.util import find_spec
from itertools import takewhile
from typing import Any

from robustmm import corruptions
from robustmm.augmentations import AUGMENTATIONS
from robustmm.catalogue.result import SORTS, CorruptionEntry, Entry, ListResult
from robustmm.config import shelf
from robustmm.config.registry import Registry
from robustmm.corruptions import LEVELS, pairs
from robustmm.errors import UsageError, suggest

TORCH_SORTS = ("methods", "fusions", "encoders")
"""Sorts that live above the wall: listing them needs torch."""


def list_names(sort: str | None = None, kind: str = "") -> ListResult:
    """Everything of one sort, or of all; corruptions or augmentations of one kind only, when given. Raises UsageError
    for a sort that needs torch where there is none, and for a kind that is none."""
    if kind and kind not in corruptions.KINDS:
        raise UsageError(f'"{kind}" is not a kind{suggest(kind, corruptions.KINDS)}')
    wanted = [sort] if sort else list(SORTS)
    lacking = [name for name in wanted if name in TORCH_SORTS] if find_spec("torch") is None else []
    if lacking and sort:
        raise UsageError(f"listing {sort} needs torch: pip install 'robustmm[train]'")
    found: dict[str, Any] = {}
    for name in wanted:
        if name == "corruptions":
            found[name] = list_corruptions(kind)
        elif name in ("recipes", "suites"):
            found[name] = list_shelf("models" if name == "recipes" else "attacks")
        elif name not in lacking:
            found[name] = list_registered(name, kind)
    return ListResult(**found, needs_torch=lacking)


def list_shelf(kind: str) -> list[Entry]:
    """The shipped TOML files of a kind; each one's first comment says what it is."""
    names = shelf.list_names(kind)
    return [Entry(name=n, kinds=[], summary=first_comment(shelf.read_text(shelf.find_file(kind, n)))) for n in names]


def first_comment(toml: str) -> str:
    """The comment that a file begins with."""
    lines = takewhile(lambda line: line.startswith("#"), toml.splitlines())
    return " ".join(line.lstrip("# ").rstrip() for line in lines)


def list_registered(sort: str, only: str = "") -> list[Entry]:
    """The objects of a sort (of one kind only, when given), an encoder or an augmentation once for each kind."""
    return [
        Entry(name=name, kinds=[kind] if kind else [], summary=(inspect.getdoc(constructor) or "").partition("\n")[0])
        for name, entry in registry_entries(sort).items()
        for kind, constructor in by_kind(entry).items()
        if only in ("", kind)
    ]


def registry_entries(sort: str) -> dict[str, Any]:
    """The objects registered under a sort, by name."""
    if sort == "augmentations":
        return {name: {kind: a.function for kind, a in AUGMENTATIONS[name].items()} for name in AUGMENTATIONS}
    from robustmm.methods import METHODS
    from robustmm.model.encoders import ENCODERS
    from robustmm.model.fusion import FUSIONS

    registries: dict[str, Registry[Any]] = {"methods": METHODS, "fusions": FUSIONS, "encoders": ENCODERS}
    return {name: registries[sort][name] for name in registries[sort]}


def by_kind(entry: Any) -> dict[str, Any]:
    """An encoder or an augmentation is one constructor per kind; anything else is itself, on no kind in particular."""
    return dict(entry) if isinstance(entry, Mapping) else {"": entry}


def list_corruptions(kind: str = "") -> list[CorruptionEntry]:
    """Every corruption (of one kind only, when given); kinds that share their levels are one entry."""
    found: list[CorruptionEntry] = []
    for name in corruptions.names():
        shared: dict[tuple[tuple[float, ...], str, str], list[str]] = {}
        for one in corruptions.kinds(name):
            if kind in ("", one):
                c = corruptions.find_corruption(name, one)
                shared.setdefault((tuple(map(c.strength, LEVELS)), c.unit, c.source), []).append(one)
        for (strengths, unit, source), kinds in shared.items():
            found.append(CorruptionEntry(name=name, kinds=kinds, strengths=list(strengths), unit=unit, source=source))
    for name in pairs.names() if not kind else ():
        p = pairs.find_sample_corruption(name)
        strengths = tuple(map(p.strength, LEVELS))
        found.append(
            CorruptionEntry(name=name, kinds=["samples"], strengths=list(strengths), unit=p.unit, source=p.source)
        )
    return found
