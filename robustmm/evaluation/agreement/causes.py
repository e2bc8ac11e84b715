"""Descriptions that differ from a user's in one of the usual ways."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from robustmm.errors import UsageError
from robustmm.modalities import Modality
from robustmm.runtime.foreign.description import fitting_options
from robustmm.runtime.foreign.preprocessing import AXIS_LETTERS, Preprocessing
from robustmm.runtime.foreign.session import ForeignSession

IMAGENET = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
CLIP = ([122.7709, 116.746, 104.0937], [68.5005, 66.6322, 70.3231])
SCALINGS: Sequence[tuple[Any, Any]] = ((0.0, 255.0), (0.0, 1.0), IMAGENET, CLIP, (127.5, 127.5), (128.0, 1.0))
"""What pixels from 0 to 255 are commonly reduced by and divided by."""


class Variant(NamedTuple):
    """One modality read and fed otherwise; `change` says how, as keys of the description."""

    change: str
    session: ForeignSession


def draw_variants(session: ForeignSession) -> Iterator[Variant]:
    """Every usual change of one modality that fits the graph."""
    for binding in session.bindings:
        for change, modality, preprocessing in _changes(binding.modality, binding.preprocessing):
            try:
                yield Variant(f"{binding.modality.name}: {change}", session.rebind(modality, preprocessing))
            except UsageError:  # a channel that the layout lacks, a size that the graph does not take
                continue


def _changes(modality: Modality, given: Preprocessing) -> Iterator[tuple[str, Modality, Preprocessing]]:
    for key, values in fitting_options(modality.kind).items():
        for value in values:
            if value != getattr(modality, key):
                yield f'{key} = "{value}"', modality.model_copy(update={key: value}), given
    if modality.kind in ("image", "video"):
        for subtract, divide in SCALINGS:
            yield from _rescaled(modality, given, subtract, divide)
    if modality.kind == "audio":
        for divide in (1.0, 1 / 32768):
            yield from _rescaled(modality, given, 0.0, divide)
    if (mean := getattr(modality, "mean", ())) and (std := getattr(modality, "std", ())):
        yield from _rescaled(modality, given, list(mean), list(std))
        yield from _rescaled(modality, given, 0.0, 1.0)
    if modality.kind in ("image", "video", "series"):
        for layout in _turned_layouts(AXIS_LETTERS[modality.kind], given.layout):
            yield f'layout = "{layout}"', modality, given.model_copy(update={"layout": layout})


def _rescaled(
    modality: Modality, given: Preprocessing, subtract: Any, divide: Any
) -> Iterator[tuple[str, Modality, Preprocessing]]:
    numbers = [tuple(x) if isinstance(x, list) else (x,) for x in (subtract, divide)]
    if numbers != [given.subtract, given.divide]:
        change = f"subtract = {_format_number(subtract)}, divide = {_format_number(divide)}"
        yield change, modality, given.model_copy(update={"subtract": numbers[0], "divide": numbers[1]})


def _format_number(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(f'{x:g}' for x in value)}]" if len(value) <= 4 else "mean and std of the training data"
    return f"{value:g}"


def _turned_layouts(letters: str, layout: str) -> Iterator[str]:
    """The layout with two of its axes exchanged."""
    here = [c for c in layout if c in letters]
    for i, first in enumerate(here):
        for second in here[i + 1 :]:
            yield layout.translate(str.maketrans(first + second, second + first))
