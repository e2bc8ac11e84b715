"""What the files of a Hugging Face checkpoint beside a model say: how pictures and sound are prepared, the
tokenizer."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from robustmm.errors import check_regular
from robustmm.modalities import KINDS
from robustmm.modalities.text import find_padding, read_tokenizer
from robustmm.runtime.foreign.drafting.kinds import Draft

PREPROCESSORS = ("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json")

FILTERS = {0: "nearest", 2: "linear", 3: "cubic"}
"""Pillow's numbers of filters; `area` is nearest to its others."""


def apply_checkpoint(drafts: Sequence[Draft], model: Path, folder: Path) -> None:
    """Fills drafts in with the files beside a model, or in the folder above where the model stands in `onnx/`. Paths
    are written relative to `folder`."""
    places = checkpoint_folders(model)
    for draft in drafts:
        for config in read_configs(places):
            with suppress(TypeError, ValueError, ZeroDivisionError):  # numbers that are none: the checks stay
                if draft.kind in ("image", "video") and ("image_mean" in config or "rescale_factor" in config):
                    _apply_image_processor(draft, config)
                elif draft.kind == "audio" and "sampling_rate" in config:
                    _apply_feature_extractor(draft, config)
        found = [place / "tokenizer.json" for place in places if (place / "tokenizer.json").is_file()]
        if draft.kind == "text" and found:
            draft.table["tokenizer"] = Path(os.path.relpath(found[0], folder)).as_posix()
            draft.checks.pop("tokenizer", None)
            if "mask" not in draft.table and find_padding(read_tokenizer(found[0])) is None:
                draft.checks["padding"] = (
                    "padding = ID, which fills up short texts: the tokenizer names no token for it"
                )


def checkpoint_folders(model: Path) -> list[Path]:
    return [model.parent, model.parent.parent] if model.parent.name == "onnx" else [model.parent]


def read_labels(model: Path) -> list[str]:
    """The labels that the checkpoint's config.json names (`id2label`), in the output's order; none where it names none
    of its own (`LABEL_0`)."""
    for place in checkpoint_folders(model):
        with suppress(OSError, ValueError, AttributeError, KeyError, TypeError):
            check_regular(place / "config.json")
            stored = json.loads((place / "config.json").read_text(encoding="utf-8"))["id2label"]
            labels = [str(stored[str(i)]) for i in range(len(stored))]
            if labels and labels[0] != "LABEL_0" and len(set(labels)) == len(labels):
                return labels
    return []


def read_configs(places: Sequence[Path]) -> list[dict[str, Any]]:
    """The tables of preprocessors in some folders; those that stand in one another one by one."""
    found = []
    for path in [place / name for place in places for name in PREPROCESSORS]:
        check_regular(path)
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(config, dict):
            found += [config, *(inner for inner in config.values() if isinstance(inner, dict))]
    return found


def _apply_image_processor(draft: Draft, config: Mapping[str, Any]) -> None:
    """Pixels enter as (pixel * rescale - mean) / std, each where the file asks for it."""
    rescale = float(config.get("rescale_factor", 1 / 255)) if config.get("do_rescale", True) else 1.0
    width = draft.table["size"][2]
    mean, std = [0.0], [1.0]
    if config.get("do_normalize", True) and isinstance(config.get("image_mean"), list):
        mean, std = config["image_mean"], config.get("image_std", [1.0])
    if "subtract" in draft.table and all(len(numbers) in (1, width) for numbers in (mean, std)):
        draft.table["subtract"] = _shorten([x / rescale for x in mean])
        draft.table["divide"] = _shorten([x / rescale for x in std])
        draft.checks.pop("divide", None)
        draft.checks.pop("subtract", None)
    size, crop = _read_size(config.get("size")), _read_size(config.get("crop_size"))
    crops = config.get("do_center_crop", False) and crop
    wanted = crop if crops else size
    if wanted and len(wanted) == 2 and "open" in draft.checks.get("size", ""):
        draft.table["size"] = [*wanted, width]
        draft.checks.pop("size")
    if config.get("do_resize", True):
        draft.table["resize"] = "crop" if crops or len(size) == 1 else "stretch"
        side = min(size, default=0)
        if crops and len(size) == 1 and side > max(crop) and "shorter_side" in KINDS[draft.kind].model_fields:
            draft.table["shorter_side"] = side
        elif crops and side != min(crop):
            draft.checks["resize"] = (
                f"the checkpoint brings the shorter side to {side} and keeps {min(crop)}; crop keeps all of it"
            )
    if "resample" in config:
        draft.table["interpolation"] = FILTERS.get(config["resample"], "area")
    draft.settled |= {"colours"} if config.get("do_convert_rgb") else set()


def _apply_feature_extractor(draft: Draft, config: Mapping[str, Any]) -> None:
    """The rate of sound, whether each clip is normalised, and the side of the silence that fills it up."""
    samples = round(draft.table["seconds"] * draft.table["rate"])
    rate = int(config["sampling_rate"])
    draft.table |= {"rate": rate, "seconds": samples / rate}
    draft.checks.pop("rate", None)
    if "do_normalize" in config:
        draft.table["normalise"] = "clip" if config["do_normalize"] else "none"
    if config.get("padding_side") in ("left", "right"):
        draft.table["pad"] = "start" if config["padding_side"] == "left" else "end"


def _read_size(given: Any) -> list[int]:
    """[height, width], or one number for the shorter side."""
    if isinstance(given, int):
        return [given]
    if isinstance(given, Mapping):
        if {"height", "width"} <= given.keys():
            return [int(given["height"]), int(given["width"])]
        if "shortest_edge" in given:
            return [int(given["shortest_edge"])]
    return []


def _shorten(numbers: list[float]) -> float | list[float]:
    rounded = [float(f"{x:.6g}") for x in numbers]
    return rounded[0] if len(set(rounded)) == 1 else rounded
