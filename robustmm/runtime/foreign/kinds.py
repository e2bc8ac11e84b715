"""Guesses of what kind of signal an input of a foreign graph is, from its type and shape."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from robustmm.runtime.graph import Tensor

AUDIO_NAMES = re.compile("audio|wave|wav|speech|sound|input_values", re.IGNORECASE)
"""Names of inputs that take sound."""

MIN_AUDIO_LENGTH = 4000
"""Numbers in a row that are rather a quarter of a second of sound than features."""

DEFAULT_SIZES = {"H": 224, "W": 224, "F": 16, "C": 3, "T": 128, "D": 1, "L": 64}
"""Sizes of axes that the graph leaves open."""

FILL_CHECK = "the fill of a missing one"


@dataclass
class Draft:
    """A modality's table, with `checks` by key that a person must make, and `more` comments below it."""

    name: str
    table: dict[str, Any]
    checks: dict[str, str] = field(default_factory=dict)
    more: list[str] = field(default_factory=list)


def guess_modalities(tensor: Tensor, name: str) -> list[Draft]:
    """The modalities that a tensor may hold (two for a fourth channel), none where it is no signal."""
    if tensor.dims == ():  # one number for the whole batch
        return []
    own = (tensor.dims or (None, None))[1:]
    kind = tensor.dtype.kind if tensor.dtype else ""
    small = tensor.dtype is not None and tensor.dtype.itemsize == 1
    if kind == "f" or (kind and kind in "iu" and small):
        if len(own) == 4:
            return _guess_pictures(tensor, name, "video", own, ("FHWC", "FCHW", "CFHW"))
        if len(own) == 3:
            return _guess_pictures(tensor, name, "image", own, ("HWC", "CHW"))
        if len(own) == 2 and kind != "f":
            return _guess_pictures(tensor, name, "image", (*own, 1), ("HWC",))
        if len(own) <= 2:
            return [_guess_sequence(tensor, name, own)]
    if kind and kind in "iu" and len(own) == 1:
        table = {
            "kind": "text",
            "length": own[0] or DEFAULT_SIZES["L"],
            "tokenizer": "tokenizer.json",
            "missing": "empty",
        }
        checks = {"tokenizer": "the model's own, from this file's folder", "missing": FILL_CHECK}
        return [Draft(name, table, checks | _note_open_axis("length", own))]
    return []


def _guess_pictures(
    tensor: Tensor, name: str, kind: str, own: Sequence[int | None], orders: tuple[str, ...]
) -> list[Draft]:
    """Images and video: the channels are where the size is 1, 3 or 4; torch's order where that does not tell."""
    order = next((o for o in orders if own[o.index("C")] in (1, 3, 4)), orders[min(1, len(orders) - 1)])
    size = {letter: dim or DEFAULT_SIZES[letter] for letter, dim in zip(order, own, strict=True)}
    checks = {"missing": FILL_CHECK} | _note_open_axis("size", own)
    table: dict[str, Any] = {"kind": kind} | ({"frames": size["F"]} if "F" in size else {})
    table |= {"size": [size["H"], size["W"], 3 if size["C"] == 4 else size["C"]]}
    flat = tensor.dims is not None and len(own) > len(tensor.dims) - 1
    table |= {"layout": f"N{order.replace('C', '') if flat else order}"}
    if tensor.dtype is not None and tensor.dtype.kind == "f":
        table |= {"subtract": 0.0, "divide": 255.0}
        checks["divide"] = (
            "pixels are 0 to 255; ImageNet's are subtract = [123.675, 116.28, 103.53], divide = [58.395, 57.12, 57.375]"
        )
    table["missing"] = "zero"
    if size["C"] not in (1, 3):
        checks["size"] = f"channels are 1 or 3, the graph has {size['C']}"
    if size["C"] != 4:
        return [Draft(name, table, checks)]
    fourth = table | {"columns": [3, 4], "size": [size["H"], size["W"], 1]}
    return [Draft(name, table | {"columns": [0, 3]}, checks), Draft(f"{name[:50]}_fourth", fourth, checks)]


def _guess_sequence(tensor: Tensor, name: str, own: Sequence[int | None]) -> Draft:
    """Sound where a row is long or called so, else a series of at least two axes, else features."""
    length = own[-1] if own else 1
    sounds = AUDIO_NAMES.search(tensor.name) if length is None else length >= MIN_AUDIO_LENGTH
    missing: dict[str, Any] = {"missing": "zero"}
    checks = {"missing": FILL_CHECK}
    if sounds and (len(own) == 1 or own[0] == 1):
        table: dict[str, Any] = {"kind": "audio", "rate": 16_000, "seconds": (length or 16_000) / 16_000}
        checks |= {"rate": "in Hz"} | _note_open_axis("seconds", own)
        return Draft(name, table | {"layout": "N1T" if len(own) == 2 else "NT"} | missing, checks)
    if len(own) == 2:
        first, second = own
        order = "TD" if first is None or (second is not None and first >= second) else "DT"
        size = {letter: dim or DEFAULT_SIZES[letter] for letter, dim in zip(order, own, strict=True)}
        table = {"kind": "series", "steps": size["T"], "channels": size["D"], "layout": f"N{order}"}
        checks |= {"layout": "T are steps, D channels"} | _note_open_axis("steps", own)
        return Draft(name, table | missing, checks, _statistics_comments(size["D"]))
    table = {"kind": "features", "length": length or DEFAULT_SIZES["D"], "layout": "ND" if own else "N"}
    checks |= _note_open_axis("length", own)
    several = (
        "CHECK: several sensors in this input: a table for each, with this input and columns = [first, after last]"
    )
    return Draft(name, table | missing, checks, [*_statistics_comments(table["length"]), several])


def _statistics_comments(channels: int) -> list[str]:
    return [
        f'mean = [...] CHECK: the training data\'s, {channels} numbers; what missing = "mean" takes',
        f"std = [...] CHECK: the training data's, {channels} numbers; the unit of noise",
    ]


def _note_open_axis(key: str, own: Sequence[int | None]) -> dict[str, str]:
    return {key: "the graph leaves it open"} if None in own else {}
