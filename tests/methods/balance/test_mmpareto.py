"""MMPareto's combination against its closed form, a numerical minimum, and each loss differentiated by itself."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from torch import Tensor
from toys import Toy, ready, step, toy

from robustmm.errors import UsageError
from robustmm.methods import Method, build_method
from robustmm.methods.balance.mmpareto import combine_gradients, restore_length
from robustmm.model.fusion_model import FusionModel

CHOSEN = {"mmpareto": {"gamma": 0.5, "rescale": 2.0}}


def test_two_opposing_gradients_by_hand() -> None:
    """G = (2, 0), U = (-1, 1): <G, U> = -2, a = (2 + 2) / (4 + 2 + 4) = 0.4, h = (0.4, 1.2), |(1, 1)| / |h| = 1.118."""
    (found,) = combine_gradients([torch.tensor([2.0, 0.0])], [torch.tensor([-1.0, 1.0])], 1.5)
    ratio = math.sqrt(2) / math.hypot(0.4, 1.2)
    assert ratio == pytest.approx(1.118, abs=1e-3)
    torch.testing.assert_close(found, 1.5 * ratio * torch.tensor([0.4, 1.2]))


def test_agreeing_gradients_are_the_sum_times_the_rescale() -> None:
    fused, own = [torch.tensor([1.0, 2.0]), torch.tensor([0.5])], [torch.tensor([3.0, -1.0]), torch.tensor([0.25])]
    found = combine_gradients(fused, own, 1.5)
    torch.testing.assert_close(found, [torch.tensor([6.0, 1.5]), torch.tensor([1.125])], rtol=0, atol=0)


def test_exactly_orthogonal_gradients_take_the_least_norm() -> None:
    (found,) = combine_gradients([torch.tensor([1.0, 0.0])], [torch.tensor([0.0, 2.0])], 1.0)
    torch.testing.assert_close(found / found.norm(), torch.tensor([2.0, 1.0]) / math.sqrt(5))  # a = 4 / 5
    torch.testing.assert_close(found.norm(), torch.tensor(math.sqrt(5)))


@pytest.mark.parametrize("seed", range(5))
def test_the_weights_are_those_of_the_shortest_convex_combination(seed: int) -> None:
    torch.manual_seed(seed)
    fused = [torch.randn(4, 3), torch.randn(4)]
    own = [torch.randn(4, 3) - 0.8 * fused[0], torch.randn(4) - 0.8 * fused[1]]
    g, u = (torch.cat([x.flatten() for x in parts]).double().numpy() for parts in (fused, own))
    assert g @ u < 0
    least = minimize_scalar(lambda a: np.linalg.norm(a * g + (1 - a) * u), bounds=(0, 1), method="bounded")
    for h, found, plain in zip(fused, combine_gradients(fused, own, 1.5), own, strict=True):
        direction = least.x * h + (1 - least.x) * plain
        torch.testing.assert_close(found / found.norm(), direction / direction.norm(), rtol=1e-3, atol=1e-3)
        assert found.norm() >= 1.5 * (h + plain).norm() * (1 - 1e-6)


def test_nearly_opposite_gradients_are_not_blown_up() -> None:
    g = torch.tensor([1.0, 0.0])
    found = restore_length(torch.tensor([0.0, 1e-6]), g, 1.5)
    torch.testing.assert_close(found, torch.tensor([0.0, 1.5e-5]))


def test_a_modality_that_one_loss_does_not_reach_learns_from_the_other() -> None:
    none, some = [torch.zeros(2)], [torch.tensor([1.0, -1.0])]
    torch.testing.assert_close(combine_gradients(none, some, 1.5), some)
    torch.testing.assert_close(combine_gradients(some, none, 1.5), some)


def gradients_of(loss: Tensor, model: FusionModel) -> dict[str, Tensor]:
    names, weights = zip(*model.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True, materialize_grads=True)
    return dict(zip(names, found, strict=True))


def each_loss(model: FusionModel, method: Method, data: Toy) -> tuple[Tensor, list[Tensor]]:
    """CE(fused), and gamma CE(g_m(z_m)) of each modality."""
    batch = data.batch()
    z = model.embedding(batch.inputs, batch.present).z
    alone = [
        0.5 * F.cross_entropy(head(z[rows, m]), batch.target[rows])
        for m, (head, rows) in enumerate(zip(method.heads, batch.present.T, strict=True))
    ]
    return F.cross_entropy(model.decode(z, batch.present), batch.target), alone


@pytest.mark.parametrize("M", [2, 3])
def test_a_step_has_the_papers_gradients(M: int) -> None:
    data = toy(M, missing=0.3)
    model, method = ready("mmpareto", data, options=CHOSEN)
    with torch.no_grad():  # head 0 contradicts the fusion, so that encoder 0 is in conflict; the others agree with it
        for m, head in enumerate(method.heads):
            head.weight.copy_((8 if m else -8) * model.fusion.weight[m])
    losses = step(model, method, data.batch())
    fused, alone = each_loss(model, method, data)
    torch.testing.assert_close(losses["fused"], fused)
    torch.testing.assert_close(losses["unimodal"], sum(alone))
    G = gradients_of(fused, model)
    conflicts = []
    for m, name in enumerate(model.modalities):
        U = gradients_of(alone[m], model)
        mine = [k for k in G if k.startswith((f"encoders.{name}.", f"projections.{name}."))]
        assert len(mine) == 4
        gu = float(sum((G[k] * U[k]).sum() for k in mine))
        gg, uu = (float(sum(x[k].square().sum() for k in mine)) for x in (G, U))
        a = 0.5 if gu > 0 else (uu - gu) / (gg + uu - 2 * gu)
        conflicts.append(gu <= 0)
        for k in mine:
            h = 2 * a * G[k] + 2 * (1 - a) * U[k]
            expected = 2.0 * max(1.0, float((G[k] + U[k]).norm() / h.norm())) * h
            torch.testing.assert_close(model.get_parameter(k).grad, expected, rtol=1e-4, atol=1e-6)
    assert conflicts == [True] + [False] * (M - 1)
    for k in ("fusion.weight", "fusion.bias"):
        torch.testing.assert_close(model.get_parameter(k).grad, G[k])
    for head, loss in zip(method.heads, alone, strict=True):
        torch.testing.assert_close(head.weight.grad, *torch.autograd.grad(loss, head.weight, retain_graph=True))


def test_a_modality_that_no_sample_has_gets_no_gradient() -> None:
    data = toy(2)
    data.present[:, 1] = False
    model, method = ready("mmpareto", data)
    step(model, method, data.batch())
    for parameter in (*model.encoders["m1"].parameters(), *method.heads[1].parameters()):
        assert parameter.grad is None or not parameter.grad.any()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("other", ["cal", "arl", "unimodal", "ogm-ge"])
def test_another_method_with_unimodal_terms_or_a_backward_of_its_own_is_refused(other: str) -> None:
    with pytest.raises(UsageError, match="chain only one"):
        build_method(f"mmpareto+{other}", {})


def test_in_a_chain_all_other_terms_are_the_fused_side() -> None:
    data, found = toy(2, missing=0.3), []
    for name in ("mmpareto+mce", "mce+mmpareto"):
        model, chained = ready(name, data, options={"mce": {"dropout": 0.0}})
        losses = step(model, chained, data.batch())
        found.append(set(losses))
        assert all(p.grad is not None and p.grad.any() for p in model.encoders.parameters())
    assert found[0] == found[1] == {"fused", "unimodal", "completion", "separate", "subset"}
    with pytest.raises(UsageError, match="option rescale: input should be greater than 0"):
        build_method("mmpareto", {"mmpareto": {"rescale": 0}})
