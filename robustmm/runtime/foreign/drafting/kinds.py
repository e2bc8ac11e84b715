"""Guesses of what kind of signal an input of a foreign graph is, from its type, shape and name."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from robustmm.runtime.graph import Tensor

SOUND_WORDS = {"audio", "wave", "wav", "waveform", "waveforms", "speech", "sound", "voice", "microphone", "mic", "pcm"}
"""Words in the names of inputs that take sound."""

TOKEN_WORDS = {"ids", "token", "tokens", "text", "texts", "caption", "captions", "question", "prompt", "sentence"}
TOKEN_WORDS |= {"words", "query", "answer", "title", "review"}
"""Words in the names of inputs that take token ids."""

MIN_AUDIO_LENGTH = 4000
"""Numbers in a row that may be sound: a quarter of a second."""

SAMPLING_RATES = (16_000, 8000, 22_050)
"""A row as long as a multiple of one of these is rather whole seconds of sound than features."""

MIN_TOKENS = 8
"""Whole numbers in a row that are rather token ids than features, where the name says neither."""

DEFAULT_SIZES = {"H": 224, "W": 224, "F": 16, "C": 3, "T": 128, "D": 1, "L": 64}
"""Sizes of axes that the graph leaves open."""

FILL_CHECK = "the fill of a missing one"


@dataclass
class Draft:
    """A modality's table for an input, the other kinds that it may be, and by key what a person must check; a key
    that the table lacks is a line to add. `settled` are keys that need no look, though the table leaves them out."""

    name: str
    tensor: Tensor
    table: dict[str, Any]
    others: Sequence[str] = ()
    checks: dict[str, str] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)

    @property
    def kind(self) -> str:
        return str(self.table["kind"])


def name_words(name: str) -> set[str]:
    """The words of a name such as `input_ids`, `lesionMask` or `serving_default_audio:0`."""
    return set(re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()))


def guess_kinds(tensor: Tensor) -> list[str]:
    """The kinds of signal that a tensor may hold, the likeliest first; none where it is no signal."""
    if tensor.dims == () or tensor.dtype is None or tensor.dtype.kind not in "fiu":  # (): one number for all rows
        return []
    own, words = (tensor.dims or (None, None))[1:], name_words(tensor.name)
    whole, small = tensor.dtype.kind in "iu", tensor.dtype.itemsize == 1
    sounds = bool(words & SOUND_WORDS) or "input_values" in tensor.name
    long = own[-1] if own else 1
    if len(own) in (3, 4):
        return ["video" if len(own) == 4 else "image"]
    if len(own) == 2:
        if whole:
            return ["image", "series"] if small else []
        wave = 1 in own and (max(d or 0 for d in own) >= MIN_AUDIO_LENGTH or (None in own and sounds))
        return ["audio", "series"] if wave else ["series", "image"]
    if len(own) > 2 or not own:
        return [] if own else ["features"]
    wave = sounds if long is None else long >= MIN_AUDIO_LENGTH and (sounds or _lasts_seconds(long))
    if whole and not small:
        tokens = long is None or (long > 1 and (bool(words & TOKEN_WORDS) or long >= MIN_TOKENS))
        if wave and (sounds or tensor.dtype.itemsize == 2):
            return ["audio", "features", "text"]
        return ["text", "features"] if tokens else ["features"] if long == 1 else ["features", "text"]
    return ["audio", "features", "series"] if wave else ["features", "series", "audio"]


def _lasts_seconds(length: int) -> bool:
    return any(length % rate == 0 for rate in SAMPLING_RATES)


def draft_kind(tensor: Tensor, name: str, kind: str) -> list[Draft]:
    """The modalities that a tensor holds if it is of this kind: one, or two for a fourth channel."""
    own = (tensor.dims or (None, None))[1:]
    others = [other for other in guess_kinds(tensor) if other != kind]
    if kind in ("image", "video"):
        return _draft_pictures(tensor, name, kind, others)
    checks = {"missing": FILL_CHECK}
    if kind == "text":
        table: dict[str, Any] = {"length": own[0] or DEFAULT_SIZES["L"], "tokenizer": "tokenizer.json"}
        checks = {"tokenizer": "the model's own, from this file's folder"} | _note_open_axis("length", own)
        missing = "empty"
    elif kind == "audio":
        length = max((d or 0 for d in own), default=0) or 16_000
        table = {"rate": 16_000, "seconds": length / 16_000, "layout": _order(own, "T")}
        if tensor.dtype is not None and tensor.dtype.kind in "iu":
            bits = 8 * tensor.dtype.itemsize
            table["divide"] = 1 / 2 ** (min(bits, 16) - 1)
            checks["divide"] = "robustmm's sound is -1 to 1, this input takes whole numbers"
        checks |= {"rate": "in Hz"} | _note_open_axis("seconds", own)
        missing = "zero"
    elif kind == "series":
        order, sizes = _order(own, "TD"), [d for d in own if d]
        open_sizes = dict(zip(order[1:], own, strict=True))
        table = {
            "steps": open_sizes.get("T") or DEFAULT_SIZES["T"],
            "channels": open_sizes.get("D", 1) or DEFAULT_SIZES["D"],
            "layout": order,
        }
        checks |= {"layout": "T are steps, D channels"} if len(sizes) == 2 or None in own else {}
        checks |= _note_open_axis("steps", own) | _statistics_checks(table["channels"])
        missing = "zero"
    else:
        table = {"length": (own[0] if own else 1) or DEFAULT_SIZES["D"], "layout": "ND" if own else "N"}
        checks |= _note_open_axis("length", own) | _statistics_checks(table["length"])
        if table["length"] > 1:
            checks["columns"] = (
                "several sensors in this input: a table for each, with this input and columns = [first, after]"
            )
        if tensor.dtype is not None and tensor.dtype.kind in "iu":
            checks["input"] = "whole numbers: if they are categories, noise makes others of them"
        missing = "zero"
    table = {"kind": kind, "input": tensor.name, **table, "missing": missing}
    if doubt := _doubt(tensor, kind):
        checks = {"kind": doubt} | checks
    return [Draft(name, tensor, table, others, checks)]


def _doubt(tensor: Tensor, kind: str) -> str:
    """What else an input may be, where neither its name nor its size settles it."""
    words, whole = name_words(tensor.name), tensor.dtype is not None and tensor.dtype.kind in "iu"
    long = (tensor.dims or (None,))[-1] or 0
    if kind == "text":
        return "" if words & TOKEN_WORDS else 'token ids, or numbers: "features"'
    if kind == "audio":
        return "" if words & SOUND_WORDS or "values" in words else 'sound, or numbers: "features"'
    if kind == "features" and len(tensor.dims or ()) == 2:
        return 'numbers, or token ids: "text"' if whole and long > 1 else ""
    return ""


def _order(own: Sequence[int | None], letters: str) -> str:
    """The layout of sound (T) or a series (TD), where axes of length one may stand beside T."""
    if letters == "T":
        return "NT" if len(own) < 2 else "N1T" if own[0] == 1 else "NT1"
    if len(own) < 2:
        return "NT"
    first, second = own
    return "NTD" if first is None or (second is not None and first >= second) else "NDT"


def _draft_pictures(tensor: Tensor, name: str, kind: str, others: Sequence[str]) -> list[Draft]:
    """Images and video: the channels are where the size is 1, 3 or 4; torch's order where that does not tell."""
    own = (tensor.dims or (None, None))[1:]
    flat = len(own) == 2
    own = (*own, 1) if flat else own
    orders = ("FHWC", "FCHW", "CFHW") if kind == "video" else ("HWC",) if flat else ("HWC", "CHW")
    order = next((o for o in orders if own[o.index("C")] in (1, 3, 4)), orders[min(1, len(orders) - 1)])
    size = {letter: dim or DEFAULT_SIZES[letter] for letter, dim in zip(order, own, strict=True)}
    checks = {"missing": FILL_CHECK} | _note_open_axis("size", own)
    table: dict[str, Any] = {"kind": kind, "input": tensor.name} | ({"frames": size["F"]} if "F" in size else {})
    table |= {"size": [size["H"], size["W"], 3 if size["C"] == 4 else size["C"]]}
    table |= {"layout": f"N{order.replace('C', '') if flat else order}"}
    if tensor.dtype is not None and tensor.dtype.kind == "f":
        table |= {"subtract": 0.0, "divide": 255.0}
        checks["divide"] = (
            "pixels are 0 to 255; ImageNet's are subtract = [123.675, 116.28, 103.53], divide = [58.395, 57.12, 57.375]"
        )
    elif tensor.dtype is not None and tensor.dtype.kind == "i" and tensor.dtype.itemsize == 1:
        table |= {"subtract": 128.0}
        checks["subtract"] = "pixels are 0 to 255, int8 holds -128 to 127"
    table["missing"] = "zero"
    if size["C"] not in (1, 3):
        checks["size"] = f"channels are 1 or 3, the graph has {size['C']}"
    if size["C"] != 4:
        return [Draft(name, tensor, table, others, checks)]
    fourth = table | {"columns": [3, 4], "size": [size["H"], size["W"], 1]}
    return [
        Draft(name, tensor, table | {"columns": [0, 3]}, (), checks),
        Draft(f"{name[:50]}_fourth", tensor, fourth, (), dict(checks)),
    ]


def _statistics_checks(channels: int) -> dict[str, str]:
    numbers = f"{channels} number{'s' * (channels > 1)}"
    return {
        "mean": f'mean = [...], the training data\'s, {numbers}; what missing = "mean" takes',
        "std": f"std = [...], the training data's, {numbers}; the unit of noise",
    }


def _note_open_axis(key: str, own: Sequence[int | None]) -> dict[str, str]:
    return {key: "the graph leaves it open"} if None in own else {}
