"""Checkpoints as safetensors: weights, controller state, optimiser state and facts in one file; never a pickle."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from robustmm.errors import DataError
from robustmm.runs import write_file


def save_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Writes tensors and JSON facts, atomically."""
    flat = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_file(path, save(flat, {"facts": json.dumps(facts)}))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts. Raises DataError for a file that is missing or cut short."""
    try:
        with safe_open(str(path), framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("facts", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} is not a readable checkpoint ({error})") from error


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
    """Puts `training_state` back."""
    model.load_state_dict(select_prefix(tensors, "model."))
    method.load_state_dict(select_prefix(tensors, "method."))
    slots: dict[int, dict[str, Tensor]] = {}
    for name, tensor in select_prefix(tensors, "optimiser.").items():
        number, _, key = name.partition(".")
        slots.setdefault(int(number), {})[key] = tensor
    optimiser.load_state_dict({"state": slots, "param_groups": optimiser.state_dict()["param_groups"]})


def select_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
