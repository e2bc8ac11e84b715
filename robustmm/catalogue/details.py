"""Everything known under one name."""

import inspect
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from robustmm import corruptions
from robustmm.catalogue.listing import TORCH_SORTS, by_kind, registry_entries
from robustmm.catalogue.result import (
    CorruptionDetails,
    CorruptionKind,
    Details,
    LevelTable,
    RecipeDetails,
    RegisteredDetails,
    RegisteredKind,
    SuiteCost,
    SuiteDetails,
)
from robustmm.conditions.suite import Suite, is_suite, load_suite
from robustmm.config import shelf
from robustmm.config.toml import read_toml
from robustmm.corruptions import LEVELS, Corruption, pairs
from robustmm.errors import UsageError, suggest
from robustmm.modalities import Audio, Features, Image, Modality, Series, Text, Video

EXAMPLES: dict[str, Modality] = {
    "image": Image(name="image", size=(224, 224, 3)),
    "video": Video(name="video", frames=8, size=(112, 112, 3)),
    "audio": Audio(name="audio", rate=16_000, seconds=1),
    "text": Text(name="text"),
    "series": Series(name="series", steps=100, channels=3),
    "features": Features(name="features", length=100),
}
"""A modality of each kind, to count conditions with."""


def describe_name(name: str) -> Details:
    """What a name means. Raises UsageError for a name nobody knows."""
    if name.endswith(".toml") or any(name in shelf.list_names(kind) for kind in shelf.KINDS):
        path = shelf.find_any(name)
        return describe_suite(path, load_suite(path)) if is_suite(path) else describe_recipe(path)
    if pairs.is_sample_corruption(name):
        return CorruptionDetails(name=name, kinds=[describe_pair(pairs.find_sample_corruption(name))])
    if corruptions.canonical_name(name) in corruptions.names():
        name = corruptions.canonical_name(name)
        return CorruptionDetails(name=name, kinds=[describe_kind(name, kind) for kind in corruptions.kinds(name)])
    every = {*corruptions.names(), *pairs.names(), *(n for kind in shelf.KINDS for n in shelf.list_names(kind))}
    for sort in ("augmentations", *(TORCH_SORTS if find_spec("torch") is not None else ())):
        entries = registry_entries(sort)
        every |= set(entries)
        if name in entries:
            kinds = [
                RegisteredKind(
                    kind=kind, description=inspect.getdoc(constructor) or "", options=keyword_defaults(constructor)
                )
                for kind, constructor in by_kind(entries[name]).items()
            ]
            return RegisteredDetails(sort=sort.removesuffix("s"), name=name, kinds=kinds)
    raise UsageError(f'nothing is called "{name}"{suggest(name, every)}')


def keyword_defaults(constructor: Any) -> dict[str, Any]:
    """The keywords that a recipe may set, with their defaults."""
    parameters = inspect.signature(constructor).parameters.values()
    return keyword_values({p.name: p.default for p in parameters if p.default is not p.empty})


def keyword_values(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: json_value(value) for key, value in options.items()}


def json_value(value: Any) -> Any:
    """A default as JSON has it; what JSON has not is shown as Python writes it."""
    if isinstance(value, (list, tuple)):
        return [json_value(item) for item in value]
    return value if value is None or isinstance(value, (str, int, float, bool)) else repr(value)


def describe_recipe(path: Path) -> RecipeDetails:
    text = shelf.read_text(path)
    try:
        content = read_toml(path)
    except UsageError:  # it is shown as it is; training says what is wrong with it
        content = {}
    return RecipeDetails(name=path.stem, path=str(path), text=text, content=content)


def describe_suite(path: Path, suite: Suite, cost: SuiteCost | None = None) -> SuiteDetails:
    """A suite's text, and how many conditions it makes on models of all kinds and of one."""
    kinds = [tuple(EXAMPLES), *((kind,) for kind in EXAMPLES)]
    counts = {", ".join(some): count_conditions(suite, some) for some in kinds}
    return SuiteDetails(name=path.stem, path=str(path), text=shelf.read_text(path), conditions=counts, cost=cost)


def describe_suite_on(name: str, model: Path, data: Path | None, split: str) -> SuiteDetails:
    """A suite, and what it costs on an exported file and a split of its data."""
    # onnxruntime takes its time to load, and nothing else here needs it
    from robustmm.auditing.cost import estimate_cost
    from robustmm.auditing.spec import Spec, open_spec
    from robustmm.evaluation.source import find_model_manifest
    from robustmm.runtime.session import Session

    path = shelf.find_file("attacks", name)
    suite, session = load_suite(path), Session(model)
    opened = open_spec(Spec(model, find_model_manifest(session, data), split=split))
    found = estimate_cost(opened, suite.conditions(session.modalities))
    return describe_suite(
        path, suite, SuiteCost(
            model=str(model), modalities=session.names, conditions=found.conditions, encodings=found.encodings,
            decodings=found.decodings, samples=found.samples, seconds=found.seconds,
        )
    )  # fmt: skip


def count_conditions(suite: Suite, kinds: Iterable[str]) -> int:
    try:
        return len(suite.conditions([EXAMPLES[kind] for kind in kinds]))
    except UsageError:  # it serves none of them
        return 0


def describe_kind(name: str, kind: str) -> CorruptionKind:
    """A corruption on one kind, with both its tables where small images have their own."""
    c = corruptions.find_corruption(name, kind)
    forms = {scale: c.with_options(scale=scale) for scale in corruptions.SCALES} if c.small else {"": c}
    tables = [level_table(form, scale) for scale, form in forms.items()]
    return CorruptionKind(
        kind=kind, serves=[kind], tables=tables, summary=c.doc, source=c.source, options=keyword_values(c.options())
    )


def level_table(c: Corruption, scale: str) -> LevelTable:
    values = [corruptions.strength(level, c.table, c.zero) for level in LEVELS]
    rows = [list(value) if isinstance(value, tuple) else [value] for value in values]
    return LevelTable(scale=scale, levels=list(LEVELS), units=list(c.units), strengths=rows)


def describe_pair(pair: pairs.SampleCorruption) -> CorruptionKind:
    """A fault of whole samples."""
    strengths = [[pair.strength(level)] for level in LEVELS]
    table = LevelTable(scale="", levels=list(LEVELS), units=[pair.unit], strengths=strengths)
    return CorruptionKind(
        kind="samples", serves=list(pair.kinds), tables=[table], summary=pair.doc, source=pair.source,
        options=keyword_values(pair.options()),
    )  # fmt: skip
