"""CGGM's balance and direction by hand."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from toys import Toy, ready, step, toy

from robustmm.errors import UsageError
from robustmm.methods import build_method
from robustmm.methods.balance.cggm import CGGM, balance, direction_loss
from robustmm.model.fusion_model import FusionModel


def cggm(M: int, missing: float = 0.0, **options: Any) -> tuple[Toy, FusionModel, CGGM]:
    data = toy(M, missing)
    model, method = ready("cggm", data, options={"cggm": options})
    assert isinstance(method, CGGM)
    return data, model, method


def balanced(*change: float, stable: bool = True, measured: tuple[bool, ...] = ()) -> list[float]:
    seen = torch.tensor(measured or [True] * len(change))
    found: list[float] = balance(torch.tensor(change).double(), seen, stable).tolist()
    return found


def test_who_improves_slowly_gets_more() -> None:
    assert balanced(0.1, 0.3) == pytest.approx([0.75, 0.25])
    assert balanced(0.2, 0.2, 0.2) == pytest.approx([2 / 3] * 3)
    assert sum(balanced(0.1, 0.05, 0.4)) == pytest.approx(2)


def test_stable_never_climbs_and_the_raw_rule_may() -> None:
    assert balanced(-0.1, 0.3) == pytest.approx([1, 0])
    assert balanced(-0.1, 0.3, stable=False) == pytest.approx([1.5, -0.5])
    assert balanced(-0.1, -0.2) == balanced(0.0001, 0.0002) == [0.5, 0.5]


def test_a_modality_that_was_not_measured_is_even() -> None:
    assert balanced(0.1, 0.3, 0.9, measured=(True, True, False)) == pytest.approx([0.75, 0.25, 2 / 3])
    assert balanced(0.1, 0.3, measured=(True, False)) == [0.5, 0.5]


def test_accuracies_are_running_means_over_what_is_there() -> None:
    data, _, method = cggm(2, 0.3)
    batch = data.batch()
    batch.present[8:, 1] = False
    batch.present[:, 1] &= torch.arange(96) < 7  # fewer than eight have it
    logits = torch.randn(2, 96, 3)
    right = (logits[0].argmax(-1) == batch.target)[batch.present[:, 0]].double().mean()
    method.accuracy.fill_(0.5)
    assert method.update_balance(logits, batch).tolist() == [0.5, 0.5]
    torch.testing.assert_close(method.accuracy, torch.stack([0.9 * 0.5 + 0.1 * right, torch.tensor(0.5).double()]))


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_encoders_are_gated_and_side_losses_do_not_reach_them(missing: float) -> None:
    data, model, method = cggm(2, missing)
    method.accuracy.copy_(torch.tensor([0.0, 0.1]))
    step(model, method, data.batch())
    found = {n: p.grad.clone() for n, p in model.named_parameters() if not n.startswith("fusion")}
    z = model.embedding(data.inputs, data.present).z
    logits = torch.stack([method.heads[m](method.hidden[m](z[:, m])) for m in range(2)])
    right = [float((logits[m].argmax(-1) == data.target)[h].double().mean()) for m, h in enumerate(data.present.T)]
    B = balanced(0.1 * right[0], 0.1 * (right[1] - 0.1))
    assert B[0] != pytest.approx(0.5)
    model.zero_grad()
    F.cross_entropy(model.decode(z, data.present), data.target).backward()
    for name, gradient in found.items():
        p = model.get_parameter(name)
        torch.testing.assert_close(gradient, 1.3 * B[int(name.split(".")[1][1:])] * p.grad, msg=name)


def test_the_direction_compares_gradients_of_last_layers() -> None:
    """F_m and G_m are what autograd finds for a linear layer on z_m and for the side classifier's."""
    data, model, method = cggm(2, 0.3)
    batch, B = data.batch(), torch.tensor([0.8, -0.2]).double()
    z = model.embedding(data.inputs, data.present).z.detach()
    h = torch.stack([method.hidden[m](z[:, m]) for m in range(2)]).detach()
    logits = torch.stack([method.heads[m](h[m]) for m in range(2)])
    fused = model.decode(z, data.present)
    found = direction_loss(fused, z, logits.detach(), h, batch, B)
    expected = 0.0
    for m, rows in enumerate(data.present.T):
        side = F.cross_entropy(logits[m][rows], data.target[rows])
        G = torch.autograd.grad(side, method.heads[m].weight, retain_graph=True)[0].flatten()
        shared = F.cross_entropy(model.decode(z[rows], data.present[rows]), data.target[rows])
        block = torch.autograd.grad(shared, model.fusion.weight)[0][m].flatten()
        b = float(B[m])
        expected += (abs(b) - b * float(F.cosine_similarity(block, G, dim=0))) / 2
    assert float(found.detach()) == pytest.approx(expected, rel=1e-4)
    found.backward()
    assert model.fusion.weight.grad.any()
    assert all(p.grad is None for p in model.encoders.parameters())


def test_what_makes_no_sense_is_a_sentence() -> None:
    with pytest.raises(UsageError, match="option rho: input should be greater than 0"):
        build_method("cggm", {"cggm": {"rho": 0}})
    assert step(*cggm(1)[1:], toy(1).batch())["direction"].isfinite()
