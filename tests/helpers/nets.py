"""Encoders as a user brings them, and `fit` on the small world of `worlds`."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from worlds import Nobody, manifest, tables

from robustmm.config.recipe import Recipe, build_recipe
from robustmm.data.manifest import read_manifest
from robustmm.methods import Method, build_method
from robustmm.modalities import Modality
from robustmm.model.encoders.base import BatchNorm
from robustmm.model.fusion_model import FusionModel
from robustmm.training.data import TrainingSplit
from robustmm.training.loop import Tensors, fit
from robustmm.training.run import draw_model, prepare_data

torch.set_num_threads(1)


class Net(nn.Module):
    """Numbers in a row, with all that differs between training and evaluation, and a weight that never learns."""

    def __init__(self, modality: Modality, *, coupled: bool = True, width: int = 6) -> None:
        super().__init__()
        size = int(torch.tensor(modality.shape).prod())
        layers = [BatchNorm(size), nn.Dropout(0.3)] if coupled else [nn.LayerNorm(size)]
        self.layers = nn.Sequential(nn.Flatten(), *layers, nn.Linear(size, width), nn.Tanh())
        self.fixed = nn.Parameter(torch.ones(width), requires_grad=False)
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x) * self.fixed
        return out


def world_recipe(folder: Path, encoder: dict[str, Any], method: str = "joint", **train: Any) -> Recipe:
    """Two modalities under `Net`; these keys of an encoder are those of the vector's."""
    path = folder / "manifest.csv"
    content: dict[str, Any] = tables(path if path.exists() else manifest(folder))
    net = {"name": "nets:Net", **{k: v for k, v in encoder.items() if k in ("coupled", "width")}}
    content["modality"]["series"]["encoder"] = net
    content["modality"]["vector"]["encoder"] = net | encoder
    content["method"] = {"name": method, **{name: {"hidden": 8} for name in method.split("+") if name == "mce"}}
    content["train"] = {"epochs": 3, "batch": 16, "threads": 1, **train}
    return build_recipe(content, "nets", "nets")


def fit_epochs(recipe: Recipe) -> tuple[list[Tensors], list[dict[str, float]], FusionModel, Method]:
    """The model's tensors before the first epoch and after each, the epochs' rows, the model and the method."""
    prepared = prepare_data(recipe, read_manifest(Path(recipe.data.manifest)), Nobody(), "error")
    classes, device = len(prepared.classes), torch.device("cpu")
    model, method = draw_model(recipe, prepared), build_method(recipe.method_name, recipe.method_options)
    data = TrainingSplit(prepared.training, classes, device, recipe.train.class_weights, epochs=recipe.train.epochs)
    method.setup(model, data)
    states, rows = [{k: v.clone() for k, v in model.state_dict().items()}], []

    def keep(tensors: Tensors, progress: object, row: dict[str, float]) -> None:
        states.append({k.removeprefix("model."): v.clone() for k, v in tensors.items() if k.startswith("model.")})
        rows.append(row)

    valid = TrainingSplit(prepared.valid, classes, device)
    fit(model, method, data, valid, recipe.train, Nobody(), tuning=recipe.tuning, keep=keep)
    return states, rows, model, method
