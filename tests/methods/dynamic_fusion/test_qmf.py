"""QMF: energy weights, the history and the ranking hinge, by hand and by loops."""

import math

import pytest
import torch
import torch.nn.functional as F
from toys import CLASSES, SAMPLES, WIDTH, ready, step, toy

from robustmm.methods.dynamic_fusion.qmf import QMF, EnergyFusion, difficulty, energy, ranking_loss


def test_fused_logits_are_energy_weighted_sums_of_what_is_present() -> None:
    torch.manual_seed(0)
    fusion, z = EnergyFusion(2, WIDTH, CLASSES), torch.randn(4, 2, WIDTH)
    present = torch.tensor([[True, True], [True, False], [False, True], [False, False]])
    found = fusion(torch.where(present.unsqueeze(-1), z, 0.0), present)
    for b in range(4):
        expected = torch.zeros(CLASSES)
        for m in range(2):
            s = fusion.weight[m] @ z[b, m] + fusion.biases[m]
            expected += present[b, m] * (math.log(sum(math.exp(x) for x in s.tolist())) / 10) * s
        torch.testing.assert_close(found[b], expected)


@pytest.mark.parametrize("detach", [False, True])
def test_the_confidence_may_be_kept_from_learning(detach: bool) -> None:
    torch.manual_seed(0)
    fusion, z = EnergyFusion(1, WIDTH, CLASSES, detach=detach), torch.randn(3, 1, WIDTH)
    fusion(z, torch.ones(3, 1, dtype=torch.bool)).sum().backward()
    found = fusion.biases.grad[0]
    s = fusion.unimodal_logits(z).detach()[:, 0]
    c = s.logsumexp(-1, keepdim=True) / 10
    by_hand = c.expand(-1, CLASSES).sum(0)  # d(sum of c s) / d b with c constant
    if not detach:
        by_hand = by_hand + (s.sum(-1, keepdim=True) * s.softmax(-1) / 10).sum(0)
    torch.testing.assert_close(found, by_hand)


@pytest.mark.parametrize("detach", [False, True])
def test_a_recipe_says_whether_it_is(detach: bool) -> None:
    data = toy(2)
    model, _ = ready("qmf", data, options={"qmf": {"detach_confidence": detach}})
    z = model.embedding(data.inputs, data.present).z.detach().requires_grad_()
    model.decode(z, data.present).sum().backward()
    s = model.fusion.unimodal_logits(z.detach())
    c = s.logsumexp(-1, keepdim=True) / 10
    by_s = c.expand_as(s) if detach else c + s.sum(-1, keepdim=True) * s.softmax(-1) / 10
    torch.testing.assert_close(z.grad, torch.einsum("bmc,mcw->bmw", by_s, model.fusion.weight))


@pytest.mark.parametrize("sign", [1, -1])
def test_the_hinge_by_a_loop(sign: int) -> None:
    torch.manual_seed(1)
    c, kappa = torch.rand(7), torch.tensor([0.1, 0.5, 0.5, 0.9, 0.0, 1.0, 0.3])
    total = 0.0
    for i in range(7):
        j = (i + 1) % 7
        t = (kappa[i] > kappa[j]).int() - (kappa[i] < kappa[j]).int()
        if t != 0:
            total += max(0.0, float(t * (c[i] - c[j]) + sign * abs(kappa[i] - kappa[j])))
    assert float(ranking_loss(c, kappa, sign)) == pytest.approx(total / 7)
    assert ranking_loss(c[:0], kappa[:0], sign) == 0
    assert ranking_loss(c[:1], kappa[:1], sign) == 0


def test_the_published_margin_forgives_what_the_papers_punishes() -> None:
    harder_and_surer = torch.tensor([0.6, 0.5]), torch.tensor([1.0, 0.0])
    assert ranking_loss(*harder_and_surer, 1) > 0
    assert ranking_loss(*harder_and_surer, -1) == 0  # 0.1 more confident, slack 1


def test_difficulty_is_scaled_over_the_samples_that_have_the_modality() -> None:
    history = torch.tensor([[2.0, 5.0], [4.0, 5.0], [100.0, 5.0], [3.0, 5.0], [0.0, 5.0]])
    have = torch.tensor([[True, True], [True, True], [False, True], [True, True], [False, True]])
    expected = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.5, 0.0], [0.0, 0.0]])
    torch.testing.assert_close(difficulty(history, have), expected)
    assert difficulty(history, torch.zeros_like(have)).tolist() == [[0.0, 0.0]] * 5


@pytest.mark.parametrize("margin", ["paper", "compat"])
def test_terms_and_history_of_two_steps(margin: str) -> None:
    data = toy(2, missing=0.3)
    model, method = ready("qmf", data, options={"qmf": {"rank": 0.5, "margin": margin}})
    assert isinstance(method, QMF)
    history = torch.zeros(SAMPLES, 2)
    for rows in (slice(0, 40), slice(20, 60)):
        batch = data.batch(rows)
        z = model.embedding(batch.inputs, batch.present).z
        s = model.fusion.unimodal_logits(torch.where(batch.present.unsqueeze(-1), z, 0.0))
        losses = step(model, method, batch)
        unimodal, rank = 0.0, 0.0
        for m in range(2):
            have = batch.present[:, m]
            each = F.cross_entropy(s[have, m], batch.target[have], reduction="none")
            history[batch.index[have], m] += each.detach()
            unimodal += each.mean()
        kappa = difficulty(history, data.present)[batch.index]
        for m in range(2):
            have = batch.present[:, m]
            rank += ranking_loss(energy(s[have, m]), kappa[have, m], 1 if margin == "paper" else -1)
        torch.testing.assert_close(losses["unimodal"], unimodal)
        torch.testing.assert_close(losses["rank"], 0.5 * rank)
        torch.testing.assert_close(method.history, history)
    assert (losses["rank"] > 0) == (margin == "paper")
