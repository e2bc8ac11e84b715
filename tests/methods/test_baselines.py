"""unimodal, joint+unimodal and dropout; and how combinations are drawn."""

import pytest
import torch
import torch.nn.functional as F
from toys import ready, step, toy

from robustmm.errors import UsageError
from robustmm.methods.combinations import draw_combination, drop_modalities, subset_codes


def alone(model: torch.nn.Module, z: torch.Tensor, present: torch.Tensor, m: int) -> torch.Tensor:
    only = torch.zeros_like(present)
    only[:, m] = present[:, m]
    return model.decode(z, only)[present[:, m]]


@pytest.mark.parametrize("name", ["unimodal", "joint+unimodal"])
@pytest.mark.parametrize("gamma", [4.0, 0.5])
def test_the_terms_are_cross_entropies_of_each_alone(name: str, gamma: float) -> None:
    data = toy(3, missing=0.4)
    batch = data.batch()
    model, method = ready(name, data, options={"unimodal": {"gamma": gamma}})
    losses = step(model, method, batch)
    z = model.embedding(batch.inputs, batch.present).z
    each = [F.cross_entropy(alone(model, z, batch.present, m), batch.target[batch.present[:, m]]) for m in range(3)]
    torch.testing.assert_close(losses["unimodal"], gamma * sum(each))
    assert ("fused" in losses) == (name != "unimodal")


def test_unimodal_alone_asks_for_an_additive_fusion_and_with_joint_for_none() -> None:
    with pytest.raises(UsageError, match="should be concat or sum; or joint\\+unimodal"):
        ready("unimodal", toy(2), "gated")
    ready("unimodal", toy(2), "sum")
    ready("joint+unimodal", toy(2), "gated")


def test_cal_without_gate_and_bottleneck_is_joint_and_unimodal() -> None:
    data = toy(2, missing=0.2)
    gradients = []
    for name, options in (("cal", {"eta": 0, "beta": 0, "warmup": 0}), ("joint+unimodal", {})):
        model, method = ready(name, data, options={"cal": options})
        step(model, method, data.batch())
        gradients.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_dropout_decodes_what_it_kept() -> None:
    data = toy(3, missing=0.2)
    batch = data.batch()
    for rate in (None, 0.4):
        model, method = ready("dropout", data, options={"dropout": {"rate": rate}})
        z = model.embedding(batch.inputs, batch.present).z
        torch.manual_seed(3)
        found = method.losses(model, batch, model.embedding(batch.inputs, batch.present))["fused"]
        torch.manual_seed(3)
        kept = draw_combination(batch.present) if rate is None else drop_modalities(batch.present, rate)
        assert (kept != batch.present).any()
        torch.testing.assert_close(found, F.cross_entropy(model.decode(z, kept), batch.target))


def test_every_combination_of_what_is_there_is_as_likely() -> None:
    torch.manual_seed(0)
    n = 70_000
    everything = subset_codes(draw_combination(torch.ones(n, 3, dtype=torch.bool))).bincount(minlength=8)
    assert everything[0] == 0
    torch.testing.assert_close(everything[1:].double(), torch.full((7,), n / 7).double(), rtol=0.05, atol=0)
    two = torch.tensor([True, False, True]).expand(n, 3)
    counts = subset_codes(draw_combination(two)).bincount(minlength=8)
    assert counts.nonzero()[:, 0].tolist() == [1, 4, 5]
    torch.testing.assert_close(counts[[1, 4, 5]].double(), torch.full((3,), n / 3).double(), rtol=0.05, atol=0)
    assert not draw_combination(torch.zeros(4, 3, dtype=torch.bool)).any()


def test_dropped_leaves_no_sample_empty() -> None:
    torch.manual_seed(0)
    present = torch.ones(40_000, 3, dtype=torch.bool)
    kept = drop_modalities(present, 0.3)
    assert kept.any(1).all()
    counts = subset_codes(kept).bincount(minlength=8) / len(kept)
    one, two, three = 0.7 * 0.3**2, 0.7**2 * 0.3, 0.7**3 + 0.3**3  # 0.3^3 lost all: kept all
    expected = torch.tensor([one, one, two, one, two, two, three])
    torch.testing.assert_close(counts[1:], expected, rtol=0.1, atol=0)
    torch.testing.assert_close(drop_modalities(present, 0.0), present)
    torch.testing.assert_close(drop_modalities(present, 1.0), present)


def test_dropped_brings_nothing_back() -> None:
    torch.manual_seed(0)
    present = torch.rand(2000, 3) < 0.5
    kept = drop_modalities(present, 0.3)
    assert not (kept & ~present).any()
    torch.testing.assert_close(kept.any(1), present.any(1))
