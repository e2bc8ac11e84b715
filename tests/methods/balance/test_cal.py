import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Normal, kl_divergence
from toys import CLASSES, WIDTH, Toy, fresh, ready, step, toy

from robustmm.methods import Batch
from robustmm.methods.balance.cal import (
    CAL,
    betas,
    certainty,
    chance_utility,
    combine_scores,
    confidences,
    factors,
    shares,
    utility,
)
from robustmm.methods.base import weighted_mean
from robustmm.methods.bottleneck import VariationalBottleneck, divergence
from robustmm.methods.coalitions import all_coalitions, coalitions, draw_coalitions, unimodal_and_fused
from robustmm.model.fusion_model import Coalitions, FusionModel

ALL = torch.tensor([True, True, True])


def cal(data: Toy, fusion: str = "concat", **options: object) -> tuple[FusionModel, CAL]:
    model, method = ready("cal", data, fusion, {"cal": options})
    assert isinstance(method, CAL)
    return model, method


def game(model: FusionModel, data: Toy, orders: int = 8) -> Coalitions:
    batch = data.batch()
    with torch.no_grad():
        return coalitions(model, model.embedding(batch.inputs, batch.present), orders)


def slow_phi(model: FusionModel, batch: Batch) -> torch.Tensor:
    """phi (modality,): per sample, over all orders of what it has, one decode a coalition."""
    z = model.embed(batch.inputs, batch.present)
    phi, count = torch.zeros(batch.present.shape[1]), batch.present.sum(0)
    for b, y in enumerate(batch.target):
        players = [m for m in range(batch.present.shape[1]) if batch.present[b, m]]
        orders = list(itertools.permutations(players))
        for order in orders:
            held, worth = torch.zeros(1, batch.present.shape[1], dtype=torch.bool), -math.log(CLASSES)
            for m in order:
                held[0, m] = True
                now = float(model.decode(z[b : b + 1], held).log_softmax(-1)[0, y])
                phi[m] += (now - worth) / len(orders)
                worth = now
    return phi / count


@pytest.mark.parametrize("fusion", ["concat", "attention"])
@pytest.mark.parametrize("missing", [0.0, 0.5])
def test_information_is_the_shapley_value_of_each_samples_own_game(fusion: str, missing: float) -> None:
    data = toy(3, missing=missing)
    model, method = cal(data, fusion, beta=0, mix=1, ema=0)
    model.eval()
    method.update_contribution(game(model, data), data.batch())
    with torch.no_grad():
        phi = slow_phi(model, data.batch()).double()
    torch.testing.assert_close(method.contribution, shares(phi, ALL), rtol=1e-4, atol=1e-5)


def test_shapley_of_two_modalities_is_the_formula_and_sums_to_what_all_are_worth() -> None:
    masks, weights, alone = all_coalitions(2)
    nothing, one, two, both = v = torch.tensor([-1.0, 0.5, 0.25, 2.0], dtype=torch.float64)
    phi = torch.from_numpy(weights) @ v
    assert float(phi[0]) == pytest.approx(float(0.5 * (one - nothing) + 0.5 * (both - two)))
    assert float(phi.sum()) == pytest.approx(float(both - nothing))
    assert masks[alone].tolist() == [[True, False], [False, True]]


@pytest.mark.parametrize("M", [1, 2, 3, 6])
def test_phi_sums_to_the_worth_of_what_a_sample_has_minus_a_blind_guess(M: int) -> None:
    data = toy(M, missing=0.4)
    model, _ = cal(data, beta=0)
    batch, played = data.batch(), game(model, data)
    u = utility(played.logits.double(), batch.target, "log-prob")
    u = torch.where((played.masks[:, None] & batch.present).any(-1), u, chance_utility("log-prob", CLASSES))
    phi = (played.weights @ u).T
    torch.testing.assert_close(phi.sum(1), u[-1] + math.log(CLASSES))
    assert phi[~batch.present].abs().max() < 1e-9 if M > 1 else True


def test_utilities_by_hand() -> None:
    logits, target = torch.tensor([[[2.0, 0.0], [0.0, 2.0]]]), torch.tensor([0, 0])
    p = torch.tensor([[math.exp(2) / (math.exp(2) + 1), 1 / (math.exp(2) + 1)]])
    torch.testing.assert_close(utility(logits, target, "prob"), p)
    torch.testing.assert_close(utility(logits, target, "log-prob"), p.log())
    torch.testing.assert_close(utility(logits, target, "accuracy"), torch.tensor([[1.0, 0.0]]))
    assert chance_utility("log-prob", 6) == pytest.approx(-math.log(6))
    assert chance_utility("prob", 4) == chance_utility("accuracy", 4) == 0.25


def test_confidences_by_hand() -> None:
    logits, target = torch.tensor([[[3.0, 0.0, 0.0, 0.0]]]), torch.tensor([0])
    p = logits.softmax(-1)
    entropy = torch.distributions.Categorical(p).entropy()
    torch.testing.assert_close(certainty(logits, target, "entropy"), entropy)
    torch.testing.assert_close(certainty(logits, target, "true-class"), p[..., 0])
    torch.testing.assert_close(certainty(logits, target, "energy"), torch.logsumexp(logits, -1) / 10)
    H = torch.tensor([math.log(4), 0.5 * math.log(4)])
    torch.testing.assert_close(confidences(H, "entropy", 4), torch.tensor([0.0, 0.5]))
    # ARL: H / sum H = .9, .1 -> max with .3 -> 1/.9, 1/.3
    torch.testing.assert_close(
        confidences(torch.tensor([0.9, 0.1]), "inverse-entropy", 4), torch.tensor([1 / 0.9, 1 / 0.3])
    )
    torch.testing.assert_close(confidences(H, "energy", 4), H)


def test_shares_and_their_combination_by_hand() -> None:
    seen = torch.tensor([True, True, False])
    torch.testing.assert_close(shares(torch.tensor([3.0, 1.0, 9.0]), seen), torch.tensor([0.75, 0.25, 0.0]))
    torch.testing.assert_close(shares(torch.tensor([3.0, -1.0, 1.0]), ALL), torch.tensor([0.75, 0.0, 0.25]))
    torch.testing.assert_close(shares(torch.tensor([-1.0, 1e-10, 1.0]), seen), torch.tensor([0.5, 0.5, 0.0]))
    info, sure = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.2, 0.6, 0.2])
    torch.testing.assert_close(combine_scores(info, sure, 0.25, False, ALL), torch.tensor([0.275, 0.575, 0.15]))
    torch.testing.assert_close(combine_scores(info, sure, 0.25, True, ALL), torch.tensor([0.25, 0.75, 0.0]))


def test_contribution_is_an_ema_of_information_and_confidence() -> None:
    data = toy(2)
    model, method = cal(data, beta=0, mix=0.3)
    method.contribution.copy_(torch.tensor([0.9, 0.1]))
    played, batch = game(model, data), data.batch()
    method.update_contribution(played, batch)
    s = played.logits.double()
    u = s.log_softmax(-1)[:, range(len(batch.target)), batch.target].mean(1)
    phi = torch.stack([u[1] + math.log(3) + u[3] - u[2], u[2] + math.log(3) + u[3] - u[1]]) / 2
    H = torch.distributions.Categorical(logits=s[[1, 2]]).entropy().mean(1)
    now = 0.3 * shares(phi, ALL[:2]) + 0.7 * shares(1 - H / math.log(3), ALL[:2])
    torch.testing.assert_close(
        method.contribution, 0.9 * torch.tensor([0.9, 0.1], dtype=torch.float64) + 0.1 * now.double()
    )


@pytest.mark.parametrize("confidence", ["entropy", "inverse-entropy", "true-class", "energy", "potential"])
@pytest.mark.parametrize("information", ["log-prob", "prob", "accuracy"])
@pytest.mark.parametrize("product", [False, True])
def test_a_modality_nobody_has_keeps_its_contribution(confidence: str, information: str, product: bool) -> None:
    data = toy(3)
    data.present[:, 1] = False
    model, method = cal(data, confidence=confidence, information=information, product=product)
    method.contribution.copy_(torch.tensor([0.5, 0.3, 0.2]))
    step(model, method, data.batch())
    assert float(method.contribution[1]) == pytest.approx(0.3)
    assert float(method.contribution.sum()) == pytest.approx(1.0)
    assert float(method.contribution[0]) != pytest.approx(0.5, abs=1e-6)


def test_potential_is_how_fast_a_modality_still_improves() -> None:
    data = toy(2)
    model, method = cal(data, beta=0, mix=0, ema=0, confidence="potential")
    played, batch = game(model, data), data.batch()
    method.update_contribution(played, batch)
    u = utility(played.logits.double(), batch.target, "log-prob")[[1, 2]].mean(1)
    torch.testing.assert_close(method.fast, -0.9 * math.log(3) + 0.1 * u)
    torch.testing.assert_close(method.slow, -0.99 * math.log(3) + 0.01 * u)
    torch.testing.assert_close(method.contribution, shares(method.fast - method.slow, ALL[:2]))


def test_uniform_contributions_accelerate_by_half_and_nobody_is_slowed() -> None:
    torch.testing.assert_close(factors(torch.tensor([0.5, 0.5]), 4, 1, 1), torch.tensor([1.5, 1.5]))
    torch.testing.assert_close(factors(torch.full((4,), 0.25), 4, 0.6, 1), torch.full((4,), 1.3))
    W = torch.tensor([0.6, 0.3, 0.1])
    k = torch.tensor([math.exp(4 * 0.6), math.exp(4 * 0.3), math.exp(4 * 0.1)])
    torch.testing.assert_close(factors(W, 4, 1, 1), 1 + 1.5 * k / k.sum())
    torch.testing.assert_close(factors(W, 4, 1, -1), 1 + 1.5 * (1 / k) / (1 / k).sum())
    assert (factors(W, 4, 1, 1) >= 1).all()
    assert (factors(W, 4, 1, -1) >= 1).all()


@pytest.mark.parametrize("M", [1, 2, 3, 6])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_gate_scales_every_encoder_gradient_by_exactly_its_factor(M: int, sign: int) -> None:
    data, gradients = toy(M, missing=0.3), []
    for eta in (0.0, 1.0):
        model, method = cal(data, eta=eta, sign=sign, beta=0.5, ema=0.0, temperature=40)
        step(model, method, data.batch())
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    plain, gated = gradients
    factor = factors(method.contribution, 40, 1, sign).float()
    assert M == 1 or float(factor.max() - factor.min()) > 0.01
    for name, gradient in plain.items():
        part, _, rest = name.partition(".")
        expected = factor[int(rest[1])] if part in ("encoders", "projections") else 1.0
        torch.testing.assert_close(gated[name], expected * gradient)


def test_without_gate_and_bottleneck_it_is_joint_training_with_unimodal_terms() -> None:
    data = toy(2, missing=0.3)
    model, method = cal(data, eta=0, beta=0, gamma=3)
    assert method.terms == tuple(step(model, method, data.batch()))
    z = model.embed(data.inputs, data.present)
    loss = F.cross_entropy(model.decode(z, data.present), data.target)
    for m in range(2):
        rows = data.present[:, m]
        only = torch.zeros_like(data.present)
        only[:, m] = True
        loss = loss + 3 * F.cross_entropy(model.decode(z, only)[rows], data.target[rows])
    expected = torch.autograd.grad(loss, list(model.parameters()))
    for p, gradient in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(p.grad, gradient)


def test_during_warm_up_gamma_is_one_the_gate_open_and_beta_climbs() -> None:
    data, terms = toy(2), []
    for epoch in range(4):
        model, method = cal(data, warmup=0.02, ema=1.0, beta=0.1)
        method.epoch.fill_(epoch)
        losses = step(model, method, data.batch())
        plain, ungated = cal(data, warmup=0, ema=1.0, beta=0.1, gamma=1 if epoch < 2 else 4, eta=0)
        torch.testing.assert_close(step(plain, ungated, data.batch())["unimodal"], losses["unimodal"])
        same = torch.equal(model.encoders["m0"][0].weight.grad, plain.encoders["m0"][0].weight.grad)
        assert same == (epoch == 1)  # at epoch 0 beta is half; from epoch 2 on the gate works
        terms.append((losses["bottleneck"] / step(plain, ungated, data.batch())["bottleneck"]).item())
    assert terms == pytest.approx([0.5, 1, 1, 1])


def test_compression_is_strongest_where_contribution_is_least() -> None:
    W = torch.tensor([0.5, 0.2, 0.3])
    beta = betas(W, 1e-3, 4, "softmax")
    assert beta.argsort().tolist() == W.argsort(descending=True).tolist()
    torch.testing.assert_close(beta.mean(), torch.tensor(1e-3))
    k = (-4 * W).exp()
    torch.testing.assert_close(beta, 3e-3 * k / k.sum())
    torch.testing.assert_close(betas(W, 1e-3, 4, "linear"), 1e-3 * torch.tensor([0.0, 0.6, 0.4]))


def test_the_bottleneck_term_is_the_divergence_of_present_samples() -> None:
    data = toy(2, missing=0.4)
    model, method = cal(data, beta=0.01)
    torch.manual_seed(0)
    embedding = model.embedding(data.inputs, data.present)
    method.contribution.copy_(torch.tensor([0.8, 0.2]))
    expected = torch.zeros(())
    for m, beta in enumerate(betas(torch.tensor([0.8, 0.2]), 0.01, 4, "softmax")):
        rows = data.present[:, m]
        gaussian = Normal(embedding.mean[rows, m], (0.5 * embedding.logvar[rows, m]).exp())
        expected = expected + beta * kl_divergence(gaussian, Normal(0, 1)).mean()
    torch.testing.assert_close(method.bottleneck_loss(embedding), expected)
    torch.testing.assert_close(divergence(torch.zeros(3, 2), torch.zeros(3, 2)), torch.zeros(3))
    torch.testing.assert_close(
        weighted_mean(torch.tensor([[1.0, 7.0], [3.0, torch.nan]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])),
        torch.tensor([2.0, 0.0]),
    )


def test_the_bottleneck_draws_in_training_and_gives_the_mean_otherwise() -> None:
    data = toy(2)
    model, _ = cal(data)
    torch.manual_seed(0)
    embedding = model.embedding(data.inputs, data.present)
    torch.manual_seed(0)
    eps = torch.randn(embedding.z.shape)
    torch.testing.assert_close(embedding.z, embedding.mean + eps * (embedding.logvar / 2).exp())
    model.eval()
    embedding = model.embedding(data.inputs)
    torch.testing.assert_close(embedding.z, embedding.mean, rtol=0, atol=0)


@pytest.mark.parametrize("having", [0, 1, 2, 7, 8])
def test_batch_statistics_are_those_of_present_samples(having: int) -> None:
    torch.manual_seed(0)
    bottleneck, encoded = VariationalBottleneck(1, WIDTH), torch.randn(8, 1, WIDTH)
    present = (torch.arange(8) < having).unsqueeze(1)
    encoded = torch.where(present.unsqueeze(-1), encoded, 100.0)
    linear, norm = bottleneck.parts[0]
    x = linear(encoded[:having, 0])
    embedding = bottleneck(encoded, present)
    said = torch.cat([embedding.mean, embedding.logvar], dim=-1)[:having, 0]
    if having > 1:
        torch.testing.assert_close(said, (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt())
        torch.testing.assert_close(norm.running_mean, 0.1 * x.mean(0))
    else:  # no batch statistics: the running ones, at first 0 and 1
        torch.testing.assert_close(said, x, rtol=1e-4, atol=1e-5)
        assert float(norm.running_mean.abs().sum()) == 0
    bottleneck(torch.randn(8, 1, WIDTH), torch.ones(8, 1, dtype=torch.bool))
    assert norm.training


def test_beta_zero_leaves_the_bottleneck_out() -> None:
    data = toy(2)
    assert not isinstance(cal(data, beta=0)[0].bottleneck, VariationalBottleneck)
    assert isinstance(cal(data)[0].bottleneck, VariationalBottleneck)


def test_sampled_orders_come_close_to_the_exact_game() -> None:
    data = toy(6, missing=0.3)
    model = fresh(data, "attention")
    model.eval()
    _, weights, _ = all_coalitions(6)
    z, batch = model.embedding(data.inputs, data.present), data.batch()
    with torch.no_grad():
        exact = utility(model.subset_logits(z), batch.target, "log-prob").double()
        torch.manual_seed(0)
        played = coalitions(model, z, orders=4096)
    assert coalitions(model, z, orders=4096) is played  # drawn once a step
    assert len(played.masks) > 6
    assert played.masks[played.singletons].equal(torch.eye(6, dtype=torch.bool))
    u = utility(played.logits, batch.target, "log-prob").double()
    phi, truth = (played.weights @ u).mean(1), (torch.from_numpy(weights) @ exact).mean(1)
    torch.testing.assert_close(phi.sum(), truth.sum(), rtol=1e-4, atol=1e-5)
    assert float((phi - truth).abs().max()) < 0.05 * float(truth.abs().max())
    with torch.no_grad():
        alone, fused = unimodal_and_fused(model, z)
        torch.testing.assert_close(fused, model.decode(z.z, data.present))
        torch.testing.assert_close(alone, model.subset_logits(z)[[1, 2, 4, 8, 16, 32]])


def test_sampled_coalitions_are_paths_from_nothing_to_everything() -> None:
    masks, weights, alone = draw_coalitions(7, orders=2, seed=3)
    size = masks.sum(1)
    assert {0, 7} <= set(size.tolist())
    assert weights[:, alone].sum() == 0
    additive = masks @ range(1, 8)
    assert weights @ additive == pytest.approx(list(range(1, 8)))


def test_statistics_are_float64_so_that_autocast_leaves_them_alone() -> None:
    data = toy(3, missing=0.3)
    found = []
    for enabled in (False, True):
        model, method = cal(data, beta=0)
        played = game(model, data)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            method.update_contribution(played, data.batch())
        found.append(method.contribution)
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)


def test_a_step_in_bfloat16_works() -> None:
    data = toy(3, missing=0.3)
    model, method = cal(data)
    with torch.autocast("cpu", torch.bfloat16):
        losses = method.losses(model, data.batch(), model.embedding(data.inputs, data.present))
    method.backward(model, losses)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
