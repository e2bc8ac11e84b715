"""How a modality enters a foreign graph, by its description: scaling, order of axes, fill of missing signals."""

import math
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainValidator
from pydantic_core import PydanticCustomError

from robustmm.config.toml import Section
from robustmm.modalities import Modality

AXIS_LETTERS = {"image": "HWC", "video": "FHWC", "audio": "T", "text": "L", "series": "TD", "features": "D"}
"""The axes of a signal by kind: height, width, channel, frame, time, token, dimension."""

FILLS = ("zero", "mean", "empty")


def wrap_number(value: Any) -> Any:
    """One number for all channels, or one for each."""
    return [value] if isinstance(value, (int, float)) else value


def check_fill(value: Any) -> str | tuple[float, ...]:
    numbers = wrap_number(value)
    if isinstance(value, str) and value in FILLS:
        return value
    if isinstance(numbers, (list, tuple)) and numbers and all(type(number) in (int, float) for number in numbers):
        return tuple(map(float, numbers))
    raise PydanticCustomError("fill", 'should be "zero", "mean", "empty", a number or one for each channel')


Numbers = Annotated[tuple[float, ...], Field(min_length=1), BeforeValidator(wrap_number)]


class Preprocessing(Section):
    """A modality enters the graph as (signal - subtract) / divide, per channel, its axes in the order of `layout` (`1`
    is a further axis of length one), in `input` or in some channels of it (`columns`, the second not included).

    `missing` is the fill of a missing signal: zeros in the graph's input, the training `mean`, an `empty` text, or a
    signal of these numbers. `present` is the graph's input for the presence mask; `mask` and `token_type` are the
    inputs that go with token ids.
    """

    input: Annotated[str, Field(min_length=1)]
    layout: str
    columns: tuple[int, int] | None = None
    subtract: Numbers = (0.0,)
    divide: Numbers = (1.0,)
    missing: Annotated[str | tuple[float, ...], PlainValidator(check_fill)]
    present: str = ""
    mask: str = ""
    token_type: str = ""

    @property
    def has_scaling(self) -> bool:
        return self.subtract != (0.0,) or self.divide != (1.0,)

    @property
    def has_finite_fill(self) -> bool:
        """Whether nothing is filled with NaN, which some graphs take for "missing"."""
        return isinstance(self.missing, str) or all(map(math.isfinite, self.missing))


def channel_letter(modality: Modality) -> str:
    """The letter of the axis that holds channels, which is the last; empty for sound and text."""
    return AXIS_LETTERS[modality.kind][-1].strip("TL")


def check_preprocessing(modality: Modality, preprocessing: Preprocessing) -> Iterator[tuple[str, str]]:
    """The errors in a modality's table: the key and the rest of a sentence."""
    letters, width = AXIS_LETTERS[modality.kind], modality.shape[-1] if channel_letter(modality) else 1
    axes = preprocessing.layout.replace("N", "").replace("1", "")
    left = [c for c, size in zip(letters, modality.shape, strict=True) if c not in axes and size == 1]
    if preprocessing.layout.count("N") != 1 or sorted([*axes, *left]) != sorted(letters):
        listed = f'"N{letters}" in its order (N is the batch), with 1 for a further axis of length one'
        yield "layout", f'layout: should be the axes of {listed}, found "{preprocessing.layout}"'
    elif preprocessing.columns and (channel_letter(modality) or "none") not in preprocessing.layout:
        yield "columns", f'columns: should go with a layout that has channels, found "{preprocessing.layout}"'
    elif preprocessing.columns and (
        preprocessing.columns[0] < 0 or preprocessing.columns[1] - preprocessing.columns[0] != width
    ):
        found = f"{width} channel{'s' * (width > 1)}, found {list(preprocessing.columns)}"
        yield "columns", f"columns: should be the first and the one after the last of {found}"
    for key in ("subtract", "divide", "mean", "std", "missing"):
        numbers = getattr(preprocessing, key, getattr(modality, key, ()))
        fits = (0, width) if key in ("mean", "std") else (1, width)
        if not isinstance(numbers, str) and len(numbers) not in fits:
            yield key, f"{key}: should hold a number for each of {width} channels, found {len(numbers)}"
        elif key in ("divide", "std") and min(numbers, default=1) <= 0:
            yield key, f"{key}: should be greater than 0, found {list(numbers)}"
    if modality.kind == "text":
        if preprocessing.missing not in ("zero", "empty"):
            yield "missing", f'missing: should be "zero" or "empty" for text, found {preprocessing.missing!r}'
        if preprocessing.has_scaling:
            yield "subtract" if preprocessing.divide == (1.0,) else "divide", "token ids are not scaled"
        return
    if preprocessing.missing == "empty" or (preprocessing.missing == "mean" and not getattr(modality, "mean", ())):
        needs = (
            "goes with text"
            if preprocessing.missing == "empty"
            else "needs mean = [...], which series and features have"
        )
        yield "missing", f'missing: "{preprocessing.missing}" {needs}; or give a number'
    yield from ((key, f"{key}: goes with text") for key in ("mask", "token_type") if getattr(preprocessing, key))
