"""A file of another tool that was given a guard: its description is that of the plain file."""

from collections.abc import Sequence
from dataclasses import replace

import onnx
from pydantic import ValidationError

from robustmm.errors import DataError, UsageError
from robustmm.runtime.foreign.description import Description
from robustmm.runtime.metadata import GUARD_KEY, ForeignGuard

PRESENT = "present"
"""The optional input of a hardened file that says what is there, of the modalities that have no input for it."""


def read_guard(model: onnx.ModelProto, path: object) -> ForeignGuard | None:
    """What a file says of its guard; None for one without."""
    for entry in model.metadata_props:
        if entry.key == GUARD_KEY:
            try:
                return ForeignGuard.model_validate_json(entry.value)
            except ValidationError as error:
                wrong = error.errors()[0]
                place = ".".join(map(str, wrong["loc"])) or GUARD_KEY
                raise DataError(f"{path} has damaged metadata: {place}: {wrong['msg']}; harden it again") from error
    return None


def take_presence(model: onnx.ModelProto, guard: ForeignGuard, description: Description) -> Description:
    """The description of a hardened graph, which says by an input what is there: the graph's default for it is taken
    out, in place. Raises UsageError for a description of other modalities."""
    check_modalities(guard.modalities, [m.name for m in description.modalities], description)
    kept = [tensor for tensor in model.graph.initializer if tensor.name != PRESENT]
    if len(kept) < len(model.graph.initializer):
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)
    told = [one if one.present else one.model_copy(update={"present": PRESENT}) for one in description.preprocessing]
    return replace(description, preprocessing=told)


def check_modalities(wanted: Sequence[str], found: Sequence[str], description: Description) -> None:
    if list(wanted) != list(found):
        raise UsageError(
            f"{description.path} should describe the modalities that the guard knows, {', '.join(wanted)}, in this "
            f"order, found {', '.join(found)}"
        )
