"""Frozen encoders: nothing of them moves, they run as in evaluation, and they learn from the stated epoch on."""

from pathlib import Path
from typing import Any

import pytest
import torch
from nets import fit_epochs, world_recipe
from torch import Tensor, nn
from worlds import Nobody, manifest

from robustmm.config.recipe import Recipe, Train
from robustmm.config.tuning import Tuning
from robustmm.errors import InterruptedRun
from robustmm.methods import METHODS, Method
from robustmm.runs import Run
from robustmm.training import checkpoint
from robustmm.training.build import effective_recipe
from robustmm.training.optimiser import build_optimiser
from robustmm.training.run import resume, train
from robustmm.training.steps.freezing import Freezing

VECTOR = "encoders.vector."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("world")
    manifest(place, missing=0.2)
    return place


def part(state: dict[str, Tensor], prefix: str = VECTOR) -> dict[str, bytes]:
    return {name: x.numpy().tobytes() for name, x in state.items() if name.startswith(prefix)}


@pytest.mark.parametrize("name", [*(name for name in METHODS if not METHODS[name].linear), "cal+mce"])
def test_no_method_moves_what_is_frozen_and_every_one_trains_what_is_unfrozen(name: str, folder: Path) -> None:
    """Weight decay and momentum move a weight whose gradient is zero, so it must have none."""
    recipe = world_recipe(folder, {"freeze": True, "unfreeze": 1}, name, weight_decay=0.1)
    states, _, _, _ = fit_epochs(recipe)
    assert part(states[0]) == part(states[1])
    assert part(states[0], "projections") != part(states[1], "projections")
    learnt = [key for key in part(states[0]) if not torch.equal(states[1][key], states[3][key])]
    assert {key.removeprefix(VECTOR) for key in learnt} >= {"layers.3.weight", "layers.1.running_mean"}
    assert f"{VECTOR}fixed" not in learnt


@pytest.mark.parametrize("precision", ["32", "bf16"])
@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_a_frozen_encoder_keeps_every_byte(folder: Path, precision: str, optimiser: str) -> None:
    recipe = world_recipe(folder, {"freeze": True}, precision=precision, optimiser=optimiser, learning_rate=0.1)
    states, rows, model, _ = fit_epochs(recipe)
    assert part(states[0]) == part(states[-1])
    assert part(states[0], "encoders.series") != part(states[-1], "encoders.series")
    assert rows[-1]["fused"] < rows[0]["fused"]
    assert not any(p.requires_grad for p in model.encoders["vector"].parameters())


def test_it_runs_as_in_evaluation_while_frozen(folder: Path) -> None:
    model = fit_epochs(world_recipe(folder, {}, epochs=1))[2].train()
    freezing = Freezing(model, {"vector": Tuning(freeze=True, unfreeze=2)})
    x = torch.randn(4, 5)
    for epoch, same in ((0, True), (1, True), (2, False), (3, False)):
        model.train()
        freezing.begin_epoch(epoch)
        first, second = (model.encoders["vector"](x) for _ in range(2))
        assert torch.equal(first, second) is same, "dropout"
        assert first.requires_grad is not same
        assert model.encoders["series"].training
    assert not model.encoders["vector"].fixed.requires_grad, "what a library keeps fixed stays so"


def test_a_backbone_is_frozen_and_what_stands_around_it_is_not() -> None:
    class Wrapped(nn.Module):
        width = 2

        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.norm = nn.Linear(3, 2), nn.LayerNorm(2)

    class Model(nn.Module):
        modalities = ("a",)

        def __init__(self) -> None:
            super().__init__()
            self.encoders = nn.ModuleDict({"a": Wrapped()})

    model = Model()
    Freezing(model, {"a": Tuning(freeze=True)}).begin_epoch(0)  # type: ignore[arg-type]
    learning = [name for name, p in model.named_parameters() if p.requires_grad]
    assert learning == ["encoders.a.norm.weight", "encoders.a.norm.bias"]


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_rate_of_its_own(folder: Path, name: str) -> None:
    """One plain SGD step moves a weight by its rate times its gradient."""
    recipe = world_recipe(folder, {})
    model, method = fit_epochs(recipe)[2], Method()
    settings = Train(optimiser=name, learning_rate=0.5)
    groups = build_optimiser(settings, model, method, {"vector": Tuning(learning_rate_factor=0.1)}).param_groups
    assert [group["lr"] for group in groups] == [0.5, 0.05]
    assert {id(p) for p in groups[1]["params"]} == {id(p) for p in model.encoders["vector"].layers.parameters()}
    one = build_optimiser(settings, model, method, {"vector": Tuning()}).param_groups
    assert [len(group["params"]) for group in one] == [len([p for p in model.parameters() if p.requires_grad])]


def test_a_small_factor_moves_an_encoder_less(folder: Path) -> None:
    moved = []
    for factor in (1.0, 0.01):
        recipe = world_recipe(folder, {"learning_rate_factor": factor}, optimiser="sgd", epochs=1, weight_decay=0.0)
        states, rows, _, _ = fit_epochs(recipe)
        key = f"{VECTOR}layers.3.weight"
        moved.append(float((states[0][key] - states[1][key]).norm()))
        assert rows[-1]["learning_rate"] == pytest.approx(0.01, rel=1), "the log holds the rate of the rest"
    assert moved[1] == pytest.approx(0.01 * moved[0], rel=0.1)


@pytest.mark.parametrize("stop", [1, 2])
def test_stopped_before_or_behind_the_unfreezing_and_resumed_is_bit_for_bit_the_same(folder: Path, stop: int) -> None:
    encoder = {"freeze": True, "unfreeze": 2, "learning_rate_factor": 0.5}
    recipe = world_recipe(folder, encoder, epochs=4, accumulate=2, optimiser="adamw", threads=1)
    path = Path(recipe.data.manifest)

    class Stops(Nobody):
        def epoch(self, row: Any) -> None:
            if row["epoch"] == stop:
                raise KeyboardInterrupt

    whole = train(recipe, path, folder / f"whole{stop}", Nobody())
    with pytest.raises(InterruptedRun):
        train(recipe, path, folder / f"stopped{stop}", Stops())
    run = resume(Run(folder / f"stopped{stop}" / "nets-001"), Nobody())
    assert tensors(run) == tensors(whole)
    assert run.log_file.read_bytes() == whole.log_file.read_bytes()


def tensors(run: Run) -> dict[str, bytes]:
    return {name: x.numpy().tobytes() for name, x in checkpoint.load_tensors(run.weights)[0].items()}


def test_the_effective_recipe_keeps_the_keys(folder: Path) -> None:
    def table(recipe: Recipe) -> dict[str, Any]:
        found: dict[str, Any] = effective_recipe(recipe).modality["vector"]["encoder"]
        return found

    plain = table(world_recipe(folder, {}))
    assert plain == {"name": "nets:Net", "coupled": True, "width": 6}
    keys = {"freeze": True, "unfreeze": 1, "learning_rate_factor": 0.1}
    assert table(world_recipe(folder, keys)) == plain | keys
