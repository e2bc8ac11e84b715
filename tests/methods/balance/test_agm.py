"""AGM against the paper's two-modality formulas, a sum over all orders, and gradients by hand."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from toys import CLASSES, SAMPLES, Toy, fresh, ready, step, toy

from robustmm.methods.balance.agm import AGM, coefficients, dominance, shapley_logits
from robustmm.methods.balance.ogm_ge import unimodal_logits
from robustmm.model.fusion_model import FusionModel

BOTH = torch.tensor([True, True])


def agm(data: Toy, fusion: str = "concat", **options: object) -> tuple[FusionModel, AGM]:
    model, method = ready("agm", data, fusion, {"agm": options})
    assert isinstance(method, AGM)
    return model, method


def test_two_modalities_have_the_papers_shares() -> None:
    data = toy(2)
    model = fresh(data, "attention").eval()
    embedding = model.embedding(data.inputs)
    kept = torch.tensor([[True, True], [True, False], [False, True]])
    both, a, v = (model.decode(embedding.z, row.expand(SAMPLES, 2)) for row in kept)
    phi = shapley_logits(model, embedding, 8).float()
    torch.testing.assert_close(phi[0], 0.5 * (both - v + a))
    torch.testing.assert_close(phi[1], 0.5 * (both - a + v))


@pytest.mark.parametrize("missing", [0.0, 0.5])
def test_shares_are_the_mean_over_orders_where_who_comes_first_gets_all_he_says(missing: float) -> None:
    data = toy(3, missing=missing)
    data.present[0] = False
    model = fresh(data, "attention").eval()
    embedding = model.embedding(data.inputs, data.present)
    phi = torch.zeros(3, SAMPLES, CLASSES)
    orders = list(itertools.permutations(range(3)))
    for order in orders:
        held, before = torch.zeros_like(data.present), torch.zeros(SAMPLES, CLASSES)
        for m in order:
            held[:, m] = True
            now = model.decode(embedding.z, held & data.present)
            phi[m] += (now - before) / len(orders)
            before = now
    torch.testing.assert_close(shapley_logits(model, embedding, 8).float(), phi, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fusion", ["concat", "sum"])
@pytest.mark.parametrize("M", [1, 3, 7])
def test_an_additive_fusion_shares_out_its_terms(fusion: str, M: int) -> None:
    data = toy(M, missing=0.3)
    model = fresh(data, fusion)
    embedding = model.embedding(data.inputs, data.present)
    torch.testing.assert_close(shapley_logits(model, embedding, 8).float(), unimodal_logits(model, embedding))


@pytest.mark.parametrize("fusion", ["concat", "attention"])
@pytest.mark.parametrize("M", [1, 2, 3, 6])
def test_shares_sum_to_what_all_say_together(fusion: str, M: int) -> None:
    data = toy(M, missing=0.4)
    data.present[:3] = False
    model = fresh(data, fusion).eval()
    embedding = model.embedding(data.inputs, data.present)
    whole = model.decode(embedding.z, data.present)
    torch.testing.assert_close(shapley_logits(model, embedding, 4).sum(0).float(), whole)
    model, method = agm(data, fusion)
    losses = step(model.eval(), method, data.batch())
    fused = model.decode(model.embed(data.inputs, data.present), data.present)
    torch.testing.assert_close(losses["fused"], F.cross_entropy(fused, data.target))


def test_above_five_modalities_only_a_few_paths_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = toy(7)
    rows, decode = [], FusionModel.decode_subsets

    def counted(self: FusionModel, z: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        rows.append(len(present))
        return decode(self, z, present)

    monkeypatch.setattr(FusionModel, "decode_subsets", counted)
    model, method = agm(data, "attention", orders=2)
    step(model, method, data.batch())
    assert rows == [2 * 8 - 2 + 7]  # two paths share both ends; and each alone


def test_estimated_shares_come_near_the_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    data = toy(4, missing=0.2)
    model = fresh(data, "attention").eval()
    exactly = shapley_logits(model, model.embedding(data.inputs, data.present), 1)
    monkeypatch.setattr("robustmm.methods.balance.agm.is_exact", lambda model: False)
    torch.manual_seed(0)
    nearly = shapley_logits(model, model.embedding(data.inputs, data.present), 2000)
    torch.testing.assert_close(nearly, exactly, rtol=0, atol=0.05)
    assert (nearly - exactly).abs().max() > 0


def test_two_modalities_have_the_papers_ratio() -> None:
    s_a, s_v = 0.7, 1.1
    found = dominance(torch.tensor([s_a, s_v]), BOTH)
    assert found.tolist() == pytest.approx([math.exp(s_v - s_a), math.exp(s_a - s_v)])
    three = dominance(torch.tensor([0.5, torch.nan, 1.0, 1.5]), torch.tensor([True, False, True, True]))
    assert three.tolist() == pytest.approx([math.exp(2 * 0.5), 1.0, 1.0, math.exp(-2 * 0.5)])
    assert dominance(torch.tensor([3.0]), torch.tensor([True])).tolist() == [1]
    assert dominance(torch.tensor([3.0, 1.0]), ~BOTH).tolist() == [1, 1]


def test_coefficients_slow_whoever_is_more_dominant_than_usual() -> None:
    tau, r = torch.tensor([1.0, 2.0, 40.0]), torch.tensor([1.5, 1.0, 1.0])
    assert coefficients(tau, r, 0.5).tolist() == pytest.approx([math.exp(-0.25), math.exp(0.5), math.exp(5)])


def test_running_means_take_in_a_step_after_its_coefficient_and_keep_what_nobody_had() -> None:
    data = toy(2)
    _, method = agm(data, alpha=1.5)
    torch.manual_seed(0)
    said, means = [torch.randn(2, SAMPLES, CLASSES).double() for _ in range(3)], []
    batch = data.batch()
    for t, phi in enumerate(said):
        p = phi.softmax(-1)
        s = [-sum(math.log(p[m, b, y]) for b, y in enumerate(data.target.tolist())) / SAMPLES for m in range(2)]
        usual = [sum(x) / t for x in zip(*means, strict=True)] if t else [0.0, 0.0]
        r, tau = (math.exp(x[1] - x[0]) for x in (s, usual))
        kappa = method.update_coefficients(phi, batch)
        assert float(kappa[0]) == pytest.approx(math.exp(1.5 * (tau - r)))
        means.append(s)
    batch.present = batch.present.clone()
    batch.present[:, 1] = False
    usual = method.usual.clone()
    assert method.update_coefficients(said[0], batch).tolist() == [1, 1]  # nobody to be compared with
    assert method.usual[0] != usual[0]
    assert method.usual[1] == usual[1]
    assert method.steps.tolist() == [4, 3]


def test_what_was_never_met_before_has_no_usual() -> None:
    data = toy(3)
    _, method = agm(data)
    batch = data.batch()
    batch.present = batch.present.clone()
    batch.present[:, 2] = False
    torch.manual_seed(0)
    phi = torch.randn(3, SAMPLES, CLASSES).double()
    method.update_coefficients(phi, batch)
    usual = method.usual.clone()
    s = [float(F.cross_entropy(phi[m], data.target)) for m in range(3)]
    kappa = method.update_coefficients(phi, data.batch())
    tau = [math.exp(float(usual[1] - usual[0])), math.exp(float(usual[0] - usual[1])), 1.0]
    r = [math.exp(2 * (sum(s) / 3 - x)) for x in s]
    assert kappa.tolist() == pytest.approx([math.exp(a - b) for a, b in zip(tau, r, strict=True)])


def test_errors_are_means_over_who_has_the_modality_with_a_floor_under_probability() -> None:
    data = toy(2, missing=0.5)
    _, method = agm(data)
    phi = torch.zeros(2, SAMPLES, CLASSES).double()
    phi[0, torch.arange(SAMPLES), data.target] = -100.0
    phi = torch.where(data.present.T.unsqueeze(-1), phi, torch.nan)
    method.update_coefficients(phi, data.batch())
    assert method.usual.tolist() == pytest.approx([-math.log(1e-8), math.log(CLASSES)])


@pytest.mark.parametrize("fusion", ["concat", "gated"])
def test_the_gradient_through_each_share_is_multiplied(fusion: str) -> None:
    data = toy(3, missing=0.3)
    model, method = agm(data, fusion)
    method.usual.copy_(torch.tensor([0.5, 1.0, 2.0]))
    method.steps.fill_(4)
    before = method.usual.clone(), method.steps.clone()
    step(model, method, data.batch())
    found = [p.grad.clone() for p in model.parameters()]
    method.usual.copy_(before[0]), method.steps.copy_(before[1])
    model.zero_grad()
    phi = shapley_logits(model, model.embedding(data.inputs, data.present), 8)
    kappa = method.update_coefficients(phi.detach(), data.batch())
    assert float(kappa.max() / kappa.min()) > 1.5
    p = phi.sum(0).detach().softmax(-1)
    slope = (p - F.one_hot(data.target, CLASSES)) / SAMPLES  # of CE by its logits
    (kappa[:, None, None] * phi * slope).sum().backward()
    torch.testing.assert_close(found, [p.grad for p in model.parameters()])


def test_after_its_epochs_it_is_plain_training() -> None:
    data = toy(2)
    for epoch, plain in [(0, False), (2, False), (3, True)]:
        model, method = agm(data, end=0.03)
        method.epoch.fill_(epoch)
        losses = step(model, method, data.batch())
        found = [p.grad.clone() for p in model.parameters()]
        model.zero_grad()
        fused = F.cross_entropy(model.decode(model.embed(data.inputs, data.present), data.present), data.target)
        fused.backward()
        torch.testing.assert_close(losses["fused"], fused)
        same = all(torch.allclose(a, p.grad) for a, p in zip(found, model.parameters(), strict=True))
        assert same == plain
        assert bool(method.steps.any()) != plain


def test_class_weights_reach_the_loss_and_gradients_are_scaled() -> None:
    data = toy(2, class_weight=torch.tensor([1.0, 0.0, 3.0]))
    model, method = agm(data)
    losses = step(model, method, data.batch())
    fused = model.decode(model.embed(data.inputs, data.present), data.present)
    torch.testing.assert_close(losses["fused"], F.cross_entropy(fused, data.target, weight=data.class_weight))
    assert AGM.scales_gradients
    assert AGM.owns_fused
    assert losses["fused"].dtype == torch.float32
