"""The fused model: modules by any name that a modality may have."""

import copy
import re

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from torch import Tensor, nn

from robustmm.modalities.base import Name
from robustmm.model.encoders.base import Encoder
from robustmm.model.fusion import build_fusion
from robustmm.model.fusion_model import FusionModel, ModulesByName

PATTERN = TypeAdapter(Name).json_schema()["pattern"]
TAKEN = sorted(
    {name for one in (nn.Module, nn.ModuleDict, nn.ParameterDict, dict, ModulesByName) for name in dir(one)}
    | {*dir(ModulesByName({})), *vars(FusionModel({}, build_fusion("concat", 1, 4, 2), 4))}
)
"""Whatever torch, Python or we call an attribute."""
ALLOWED = [name for name in TAKEN if re.match(PATTERN, name)]
taken = st.sampled_from(ALLOWED)
names = st.one_of(taken, taken.map(lambda name: name + "_"), st.from_regex(PATTERN, fullmatch=True))


class Scale(Encoder):
    """An encoder with one weight, told apart by it."""

    width = 4

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((4,), weight))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


def fused(given: list[str]) -> FusionModel:
    torch.manual_seed(0)
    encoders = {name: Scale(1.0 + i) for i, name in enumerate(given)}
    return FusionModel(encoders, build_fusion("concat", len(given), 4, 2), 4)


def test_the_names_are_those_a_modality_may_have() -> None:
    assert {"values", "type", "keys", "half", "train", "pop", "items", "forward", "training", "parameters"} <= {
        *ALLOWED
    }
    check = TypeAdapter(Name).validate_python
    assert [check(name) for name in ALLOWED] == ALLOWED


@given(
    st.lists(
        names.filter(lambda name: len(name) <= 64 and not name.endswith("\n")), min_size=1, max_size=6, unique=True
    )
)
@settings(max_examples=100, deadline=None)
def test_any_names_make_a_model_that_is_kept_moved_and_copied(given: list[str]) -> None:
    model = fused(given)
    assert model.modalities == tuple(given)
    for i, name in enumerate(given):
        encoder = model.encoders[name]
        assert isinstance(encoder, Scale)
        assert encoder.weight[0].item() == 1.0 + i, "each name has its own module"
    assert len(list(model.encoders.children())) == len(given)
    again = fused(given)
    with torch.no_grad():
        for parameter in again.parameters():
            parameter.zero_()
    again.load_state_dict(model.state_dict())
    x = {name: torch.randn(3, 4) for name in given}
    for other in (again, copy.deepcopy(model).train().eval(), model.double().float()):
        torch.testing.assert_close(other.embed(x), model.embed(x))
        for m, name in enumerate(given):
            torch.testing.assert_close(other.embed_one(name, x[name]), model.embed(x)[:, m])


def test_a_plain_name_is_the_key_of_its_weights() -> None:
    assert set(fused(["image", "type", "type_"]).encoders.state_dict()) == {
        "image.weight",
        "type__.weight",
        "type_.weight",
    }
