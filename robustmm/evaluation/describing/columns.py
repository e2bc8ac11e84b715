"""Which column of a manifest feeds which input of a graph: by name, by likeness, by kind."""

from difflib import SequenceMatcher

from robustmm.data.draft import numeric_columns
from robustmm.data.manifest import Manifest
from robustmm.modalities import Features, Modality
from robustmm.modalities.base import TABLE_COLUMNS, modality_name
from robustmm.runtime.foreign.drafting.draft import DescriptionDraft
from robustmm.runtime.foreign.drafting.kinds import Draft, name_words

MIN_LIKENESS = 0.8
"""The share of letters in common that makes two names alike."""

GENERAL_WORDS = {"input", "inputs", "ids", "values", "x", "data", "serving", "default", "tensor"}
"""Words in names of inputs that say nothing of the signal."""


def match_columns(draft: DescriptionDraft, manifest: Manifest, read: list[Modality]) -> list[Draft]:
    """Gives modalities their columns, and returns those that have one. `read` are the columns that look like
    signals."""
    kinds = {modality.column_name: modality.kind for modality in read}
    left = [column for column in manifest.columns if column not in TABLE_COLUMNS]
    matched: dict[str, object] = {}
    for same in (_is_same, _is_alike):
        for modality in draft.modalities:
            if modality.name not in matched:
                column = next((c for c in left if same(modality, c) and _may_feed(modality, kinds.get(c))), None)
                if column is not None:
                    matched[modality.name] = column
                    left.remove(column)
                    _note(modality, column, sure=same is _is_same)
    _split_input(draft, read, left, matched)
    for others in (False, True):  # the only one left of its kind
        for modality in draft.modalities:
            wanted = {modality.kind, *(modality.others if others else ())}
            rivals = [d for d in draft.modalities if d.name not in matched and wanted & {d.kind, *d.others}]
            fitting = [column for column in left if kinds.get(column) in wanted]
            if modality.name not in matched and len(fitting) == len(rivals) == 1:
                matched[modality.name] = fitting[0]
                left.remove(fitting[0])
                _note(modality, fitting[0], sure=False)
    _gather_numbers(draft, numeric_columns(manifest, read), left, matched)
    for modality in draft.modalities:
        if modality.name not in matched:
            rest = f"one of {', '.join(left)}?" if left else "the manifest has none left"
            modality.checks["column"] = f"which column feeds it: column = ...; {rest}"
    return [modality for modality in draft.modalities if modality.name in matched]


def _gather_numbers(draft: DescriptionDraft, numbers: list[str], left: list[str], matched: dict[str, object]) -> None:
    """An input as wide as there are columns of numbers takes them all, in the manifest's order."""
    wide = [d for d in draft.modalities if d.kind == "features" and d.name not in matched]
    numbers = [column for column in numbers if column in left]
    if len(wide) == 1 and 1 < len(numbers) == wide[0].table["length"]:
        matched[wide[0].name] = numbers
        left[:] = [column for column in left if column not in numbers]
        wide[0].table = {"kind": "features", "column": numbers} | wide[0].table
        wide[0].checks["column"] = "the manifest's columns of numbers, in the order of the input?"


def _note(modality: Draft, column: str, sure: bool) -> None:
    if column != modality.name:
        modality.table = {"kind": modality.kind, "column": column} | modality.table
        if not sure:
            modality.checks["column"] = "the manifest's column for this input"


def _plain(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


def _is_same(modality: Draft, column: str) -> bool:
    return _plain(column) in (_plain(modality.name), _plain(modality.tensor.name))


def _is_alike(modality: Draft, column: str) -> bool:
    """`image` and `image_input`, `colour` and `color`."""
    own, other = name_words(modality.name) - GENERAL_WORDS, name_words(column) - GENERAL_WORDS
    near = SequenceMatcher(None, _plain(modality.name), _plain(column)).ratio() >= MIN_LIKENESS
    return near or bool(own and other and (own <= other or other <= own))


def _may_feed(modality: Draft, kind: str | None) -> bool:
    """A column that does not look like a signal (short words, numbers) may be one all the same."""
    return kind is None or kind in (modality.kind, *modality.others)


def _split_input(draft: DescriptionDraft, read: list[Modality], left: list[str], matched: dict[str, object]) -> None:
    """An input whose width is that of several columns of features together becomes a modality for each of them."""
    blocks = [m for m in read if isinstance(m, Features) and m.column_name in left]
    wide = [d for d in draft.modalities if d.kind == "features" and d.name not in matched]
    if len(wide) != 1 or len(blocks) < 2 or sum(block.length for block in blocks) != wide[0].table["length"]:
        return
    parts: list[Draft] = []
    whole, first = wide[0], 0
    for block in blocks:
        after = first + block.length
        name = modality_name(block.column_name, [*(d.name for d in draft.modalities), *(d.name for d in parts)])
        own = {key: whole.table[key][first:after] for key in ("mean", "std") if key in whole.table}
        named = {} if name == block.column_name else {"column": block.column_name}
        table = whole.table | own | {"length": block.length, "columns": [first, after]}
        checks = {key: said for key, said in whole.checks.items() if key in ("missing", "mean", "std")}
        part = Draft(name, whole.tensor, {"kind": "features", **named, **table}, (), checks)
        if not parts:
            part.checks["columns"] = "the columns of the input, in the manifest's order, here and below"
        parts.append(part)
        left.remove(block.column_name)
        matched[name] = block.column_name
        first = after
    place = draft.modalities.index(whole)
    draft.modalities[place : place + 1] = parts
