"""OGM-GE against the paper's two-modality ratio, and its gradients weight by weight."""

import math

import pytest
import torch
from torch import nn
from toys import CLASSES, WIDTH, Toy, fresh, ready, step, toy

from robustmm.methods import build_method as built
from robustmm.methods.balance.ogm_ge import OGMGE, factors, find_weights, modulate_gradient, unimodal_logits
from robustmm.model.fusion_model import FusionModel


def ogm(data: Toy, fusion: str = "concat", **options: object) -> tuple[FusionModel, OGMGE]:
    model, method = ready("ogm-ge", data, fusion, {"ogm-ge": options})
    assert isinstance(method, OGMGE)
    return model, method


def plain_gradients(model: FusionModel, data: Toy) -> dict[str, torch.Tensor]:
    model.zero_grad()
    logits = model.decode(model.embed(data.inputs, data.present), data.present)
    nn.functional.cross_entropy(logits, data.target).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


class Convolving(nn.Sequential):
    """An encoder with a kernel of four dimensions, a norm and a linear layer."""

    width = 6

    def __init__(self) -> None:
        super().__init__(
            nn.Unflatten(1, (1, 1, 5)), nn.Conv2d(1, 4, (1, 3)), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(12, 6)
        )


def test_two_modalities_have_the_papers_coefficients() -> None:
    alpha, seen = 0.3, torch.tensor([True, True])
    for v, a in [(3.0, 1.5), (0.2, 0.9), (1.0, 1.0)]:
        ratio_v, ratio_a = v / a, a / v
        expected = [1 - math.tanh(alpha * r) if r > 1 else 1.0 for r in (ratio_v, ratio_a)]
        assert factors(torch.tensor([v, a]), seen, alpha).tolist() == pytest.approx(expected)


def test_more_modalities_are_held_against_the_mean_of_the_others_seen() -> None:
    seen = torch.tensor([True, True, False, True])
    score = torch.tensor([0.9, 0.2, torch.nan, 0.4]).double()
    expected = [1 - math.tanh(0.8 * 0.9 / 0.3), 1.0, 1.0, 1.0]
    assert factors(score, seen, 0.8).tolist() == pytest.approx(expected)
    for lone in ([True, False], [False, False]):
        assert factors(torch.tensor([0.9, 0.5]), torch.tensor(lone), 0.8).tolist() == [1, 1]
    assert factors(torch.tensor([0.9]), torch.tensor([True]), 0.8).tolist() == [1]


@pytest.mark.parametrize("fusion", ["concat", "sum"])
def test_additive_unimodal_logits_share_the_bias_and_sum_to_the_fused(fusion: str) -> None:
    data = toy(3, missing=0.4)
    model = fresh(data, fusion)
    embedding = model.embedding(data.inputs, data.present)
    alone = unimodal_logits(model, embedding)
    torch.testing.assert_close(alone.sum(0), model.decode(embedding.z, data.present))
    if fusion == "concat":
        own = embedding.z[:, 1] @ model.fusion.weight[1].T + model.fusion.bias / 3
        torch.testing.assert_close(alone[1][data.present[:, 1]], own[data.present[:, 1]])
    assert not alone.requires_grad


def test_other_fusions_answer_from_one_modality() -> None:
    data = toy(3)
    model = fresh(data, "attention").eval()
    embedding = model.embedding(data.inputs)
    only = torch.zeros_like(data.present)
    only[:, 2] = True
    torch.testing.assert_close(unimodal_logits(model, embedding)[2], model.decode(embedding.z, only))


def test_scores_are_mean_true_class_probabilities_of_the_samples_that_have_the_modality() -> None:
    torch.manual_seed(0)
    data = toy(3, missing=0.5)
    _, method = ogm(data, alpha=0.5)
    alone, score = 3 * torch.randn(3, len(data.target), CLASSES), []
    for m in range(3):
        rows = data.present[:, m].nonzero()[:, 0].tolist()
        score.append(sum(float(alone[m, b].softmax(0)[data.target[b]]) for b in rows) / len(rows))
    expected = factors(torch.tensor(score), torch.ones(3, dtype=torch.bool), 0.5)
    spoilt = torch.where(data.present.T.unsqueeze(-1), alone, torch.nan)
    torch.testing.assert_close(method.modulation_factors(spoilt, data.batch()).float(), expected)


def test_weight_matrices_are_slowed_and_nothing_else() -> None:
    data = toy(2)
    model, method = ogm(data, ge=False)
    step(model, method, data.batch())
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    logits = unimodal_logits(model, model.embedding(data.inputs, data.present))
    p = [float(s.softmax(1).gather(1, data.target[:, None]).sum()) for s in logits]
    k = [1 - math.tanh(0.8 * p[m] / p[1 - m]) if p[m] > p[1 - m] else 1.0 for m in range(2)]
    assert min(k) < 0.5
    assert max(k) == 1
    for name, gradient in plain_gradients(model, data).items():
        own = any(f".m{m}." in name for m in range(2)) and gradient.ndim > 1
        torch.testing.assert_close(found[name], gradient * (k[".m1." in name] if own else 1.0))


@pytest.mark.parametrize("kernels", [True, False])
def test_of_a_convolutional_encoder_only_kernels_of_four_dimensions_count_as_published(kernels: bool) -> None:
    encoder, projection = Convolving(), nn.Linear(6, WIDTH)
    expected = [encoder[1].weight] if kernels else [encoder[1].weight, encoder[4].weight, projection.weight]
    assert [id(p) for p in find_weights(encoder, projection, kernels)] == [id(p) for p in expected]
    linear = nn.Linear(5, 6)
    assert [id(p) for p in find_weights(linear, projection, kernels)] == [id(linear.weight), id(projection.weight)]


def test_noise_has_the_spread_of_the_gradient_before_it_is_scaled() -> None:
    torch.manual_seed(0)
    gradient = 3 * torch.randn(200, 200) + 1
    noise = modulate_gradient(gradient, 0.1, True) - 0.1 * gradient
    assert float(noise.std()) == pytest.approx(float(gradient.std()), rel=0.02)
    assert abs(float(noise.mean())) < 0.05
    assert modulate_gradient(gradient, 0.1, False).equal(0.1 * gradient)
    assert modulate_gradient(torch.ones(1, 1), 0.5, True).isfinite().all()


def test_noise_reaches_every_modalitys_weights_and_no_bias() -> None:
    data = toy(2)
    gradients = []
    for ge in (True, False):
        model, method = ogm(data, ge=ge)
        step(model, method, data.batch())
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    for name, noisy in gradients[0].items():
        own = ".m" in name and noisy.ndim > 1
        assert noisy.equal(gradients[1][name]) != own, name


def test_outside_its_epochs_and_with_one_modality_it_is_plain_training() -> None:
    data = toy(2)
    for epoch, plain in [(1, True), (2, False), (3, False), (4, True)]:
        model, method = ogm(data, begin=0.02, end=0.04)
        method.epoch.fill_(epoch)
        step(model, method, data.batch())
        found = model.encoders["m0"][0].weight.grad.clone()
        assert torch.allclose(found, plain_gradients(model, data)["encoders.m0.0.weight"]) == plain
    alone = toy(1)
    model, method = ogm(alone)
    step(model, method, alone.batch())
    found = {name: p.grad.clone() for name, p in model.named_parameters()}
    torch.testing.assert_close(found, plain_gradients(model, alone))


def test_it_lasts_for_the_first_half_as_published() -> None:
    for budget in (100, 12):
        data = toy(2, epochs=budget)
        _, method = ogm(data)
        lasts = [method.epoch.fill_(e) is not None and method.is_modulating() for e in range(budget)]
        assert lasts == [True] * (budget // 2) + [False] * (budget // 2)


def test_an_encoder_nobody_needs_stays_still() -> None:
    data = toy(3)
    data.present[:, 1] = False
    model, method = ogm(data)
    step(model, method, data.batch())
    assert method.factor[1] == 1
    assert all(p.grad is None for p in model.encoders["m1"].parameters())
    for p in model.encoders["m1"].parameters():  # what a rank without m receives from the others
        p.grad = torch.zeros_like(p)
    model.encoders["m1"][0].weight.grad = torch.zeros_like(model.encoders["m1"][0].weight)
    method.backward(model, method.losses(model, data.batch(), model.embedding(data.inputs, data.present)))
    assert not model.encoders["m1"][0].weight.grad.any()
    assert model.encoders["m0"][0].weight.grad.isfinite().all()


def test_it_scales_gradients_and_allows_no_second_backward() -> None:
    assert OGMGE.scales_gradients
    assert built("ogm-ge+cal", {}).steering


def test_ranks_average_before_they_add_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    data = toy(2)
    model, method = ogm(data, ge=False)
    plain = plain_gradients(model, data)["encoders.m1.0.weight"]
    seen = []

    def doubled(parameters: object) -> None:
        seen.append(model.encoders["m1"][0].weight.grad.clone())
        for p in parameters:  # type: ignore[attr-defined]
            p.grad *= 2

    monkeypatch.setattr("robustmm.distributed.average_gradients", doubled)
    step(model, method, data.batch())
    torch.testing.assert_close(seen[0], plain)
    torch.testing.assert_close(model.encoders["m1"][0].weight.grad, 2 * float(method.factor[1]) * plain)
