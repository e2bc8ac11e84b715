"""RedCore: imputation, the competing weights by hand, and the terms."""

import pytest
import torch
import torch.nn.functional as F
from toys import CLASSES, WIDTH, ready, toy

from robustmm.methods.redcore import STEPS, Imputation, RedCore, adjusted
from robustmm.model import FusionModel


def redcore(M: int, missing: float = 0.0, **options: object) -> tuple[FusionModel, RedCore]:
    model, method = ready("redcore", toy(M, missing), options={"redcore": options})
    assert isinstance(method, RedCore)
    return model, method


def test_an_imputation_sees_the_others_only_and_stands_where_m_is_missing() -> None:
    torch.manual_seed(0)
    fusion, z = Imputation(3, WIDTH, CLASSES), torch.randn(2, 3, WIDTH, requires_grad=True)
    made = fusion.imputed(z)
    for m in range(3):
        (gradient,) = torch.autograd.grad(made[:, m].sum(), z, retain_graph=True)
        assert not gradient[:, m].any()
        assert all(gradient[:, k].any() for k in range(3) if k != m)
    present = torch.tensor([[True, False, True], [True, True, True]])
    held = torch.where(present.unsqueeze(-1), z, 0.0).detach()
    x = held.clone()
    x[0, 1] = fusion.imputed(held)[0, 1]
    torch.testing.assert_close(fusion(held, present), fusion.head(x.flatten(1)))
    one = fusion.enter[0](torch.cat([torch.zeros(2, WIDTH), z.detach()[:, 1:].flatten(1)], 1))
    for block in fusion.blocks[0]:
        one = one + block(one)
    torch.testing.assert_close(made[:, 0], one)


def test_the_weights_move_towards_what_lags() -> None:
    weight, average = torch.tensor([0.6, 0.8]).double(), torch.tensor([3.0, 1.0]).double()
    moved = torch.tensor([0.6 - 0.1 * (2 - 3) / 2, 0.8 - 0.1 * (2 - 1) / 2]).double()
    torch.testing.assert_close(adjusted(weight, average, 0.1), moved / moved.norm())
    floored = adjusted(torch.tensor([0.05, 1.0]).double(), torch.tensor([0.0, 2.0]).double(), 0.5)
    assert float(floored[0] / floored[1]) == pytest.approx(0.1 / 1.5)
    assert adjusted(weight, torch.zeros(2).double(), 0.1).isfinite().all()


def test_the_average_and_the_schedule_of_the_weights() -> None:
    _, method = redcore(2, every=2, rate=0.7)
    start = method.weight.clone()
    method.adjust(torch.tensor([4.0, 2.0]).double())
    assert method.average.tolist() == [4.0, 2.0]
    assert torch.equal(method.weight, start)
    method.adjust(torch.tensor([1.0, 1.0]).double())
    expected = torch.tensor([0.7 * 4 + 0.3, 0.7 * 2 + 0.3]).double()
    torch.testing.assert_close(method.average, expected)
    torch.testing.assert_close(method.weight, adjusted(start, expected, 0.1))
    method.steps.fill_(STEPS - 1)
    before = method.weight.clone()
    method.adjust(expected)
    torch.testing.assert_close(method.weight, adjusted(before, expected, 0.15))


def test_the_terms_by_hand() -> None:
    data = toy(2, missing=0.3)
    batch = data.batch()
    model, method = redcore(2, missing=0.3, kl=0.5, rec=0.3)
    method.weight.copy_(torch.tensor([0.8, 0.6]))
    torch.manual_seed(0)
    embedding = model.embedding(batch.inputs, batch.present)
    losses = method.losses(model, batch, embedding)
    fusion = model.fusion
    z = torch.where(batch.present.unsqueeze(-1), embedding.z, 0.0)
    made, both = fusion.imputed(z), batch.present.all(1)
    torch.testing.assert_close(losses["fused"], F.cross_entropy(model.decode(z, batch.present), batch.target))
    unimodal, kl, lost = 0.0, 0.0, 0.0
    normal = torch.distributions.Normal
    for m, beta in enumerate((0.8, 0.6)):
        have = batch.present[:, m]
        unimodal += F.cross_entropy(method.heads[m](z[have, m]), batch.target[have])
        q = normal(embedding.mean[have, m], (embedding.logvar[have, m] / 2).exp())
        kl += torch.distributions.kl_divergence(q, normal(0.0, 1.0)).sum(-1).mean()
        lost += beta * (made[both, m] - z[both, m]).square().sum(-1).mean()
    torch.testing.assert_close(losses["unimodal"], unimodal)
    torch.testing.assert_close(losses["bottleneck"], 0.5 * kl)
    torch.testing.assert_close(losses["imputation"], 0.3 * lost)
    (gradient,) = torch.autograd.grad(0.3 * lost, made, retain_graph=True)
    assert gradient.any()
    probe = torch.autograd.grad(losses["imputation"], fusion.enter[0].weight, retain_graph=True)[0]
    assert probe.any()


def test_the_target_of_an_imputation_is_not_pulled() -> None:
    torch.manual_seed(0)
    model, method = redcore(2)
    z = torch.randn(4, 2, model.width, requires_grad=True)
    batch = toy(2).batch(slice(0, 4))
    embedding = model.bottleneck(z, batch.present)
    losses = method.losses(model, batch, embedding)
    (gradient,) = torch.autograd.grad(losses["imputation"], embedding.z)
    made = model.fusion.imputed(embedding.z)
    lost = sum(
        float(method.rec) * (2**-0.5) * (made[:, m] - embedding.z[:, m].detach()).square().sum(-1).mean()
        for m in (0, 1)
    )
    torch.testing.assert_close(gradient, torch.autograd.grad(lost, embedding.z)[0])
