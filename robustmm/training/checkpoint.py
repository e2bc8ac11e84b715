"""Checkpoints as safetensors: weights, controller state, optimiser state and facts in one file, with a checksum of all
in its metadata; never a pickle."""

import json
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from robustmm.errors import DataError, check_regular
from robustmm.files import write_file


class Damage(DataError):
    """A checkpoint that is not what was written, or does not fit the run it stands in."""


OPTIMISER_SLOTS = ({"momentum_buffer"}, {"step", "exp_avg", "exp_avg_sq"})
"""What SGD and AdamW keep of a parameter."""


def save_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Writes tensors and JSON facts, atomically."""
    flat = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    said = json.dumps(facts)
    write_file(path, save(flat, {"facts": f"{checksum(flat, said)} {said}"}))  # two entries would have no fixed order


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts. Raises Damage for a file that is missing, or is not as it was written."""
    check_regular(path, Damage)
    try:
        with safe_open(str(path), framework="pt") as file:
            said = (file.metadata() or {})["facts"]
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        if not said.startswith("{"):  # those of an older robustmm have no checksum
            found, _, said = said.partition(" ")
            if found != checksum(tensors, said):
                raise ValueError("its content does not have the checksum it was written with")
        return tensors, json.loads(said)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise Damage(f"{path} is not a readable checkpoint ({error})") from error


def checksum(tensors: Mapping[str, Tensor], said: str) -> str:
    """Of names, types, shapes and bytes of all tensors, and of what is said beside them."""
    found = blake2b(said.encode(), digest_size=20)
    for name, tensor in sorted(tensors.items()):
        found.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def training_state(model: nn.Module, method: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Everything the next step depends on, under flat names."""
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"method.{k}": v for k, v in method.state_dict().items()}
    for number, slots in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{k}": torch.as_tensor(v) for k, v in slots.items() if v is not None}
    return tensors


def restore_state(
    tensors: Mapping[str, Tensor], model: nn.Module, method: nn.Module, optimiser: torch.optim.Optimizer
) -> None:
    """Puts `training_state` back. Raises Damage where it is not of these."""
    try:
        model.load_state_dict(select_prefix(tensors, "model."))
        method.load_state_dict(select_prefix(tensors, "method."))
        slots: dict[int, dict[str, Tensor]] = {}
        for name, tensor in select_prefix(tensors, "optimiser.").items():
            number, _, key = name.partition(".")
            slots.setdefault(int(number), {})[key] = tensor
        learning = [p for group in optimiser.param_groups for p in group["params"]]
        for place, found in slots.items():
            check_slots(place, found, learning[place])
        optimiser.load_state_dict({"state": slots, "param_groups": optimiser.state_dict()["param_groups"]})
        check_best(select_prefix(tensors, "best."), model)
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise Damage(" ".join(str(error).split())) from error  # torch lists what differs on lines


def check_slots(number: int, found: Mapping[str, Tensor], parameter: Tensor) -> None:
    """Raises ValueError for what no optimiser keeps of this parameter."""
    if set(found) not in OPTIMISER_SLOTS:
        raise ValueError(f"its optimiser keeps {', '.join(sorted(found))} of parameter {number}")
    for name, tensor in found.items():
        shape = torch.Size() if name == "step" else parameter.shape
        if (tensor.shape, tensor.dtype) != (shape, parameter.dtype):
            wanted, is_there = (f"{x.dtype} {list(x.shape)}" for x in (parameter.new_empty(shape), tensor))
            raise ValueError(f"{name} of parameter {number} should be {wanted}, found {is_there}")


def check_best(best: Mapping[str, Tensor], model: nn.Module) -> None:
    """Raises ValueError for best weights that are not the model's."""
    expected = {name: (tensor.shape, tensor.dtype) for name, tensor in model.state_dict().items()}
    if {name: (tensor.shape, tensor.dtype) for name, tensor in best.items()} != expected:
        raise ValueError("its best weights are not of the model")


def select_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
