"""BALM: the calibration block, coefficients by hand, and the gate by autograd."""

import pytest
import torch
import torch.nn.functional as F
from toys import CLASSES, WIDTH, ready, step, toy

from robustmm.methods.balance.balm import BALM, CalibratedFusion, coefficients
from robustmm.model.fusion import FUSIONS
from robustmm.model.fusion_model import FusionModel


def balm(M: int, missing: float = 0.0, fusion: str = "concat", **options: object) -> tuple[FusionModel, BALM]:
    model, method = ready("balm", toy(M, missing), fusion, {"balm": options})
    assert isinstance(method, BALM)
    return model, method


@pytest.mark.parametrize("name", ["concat", "gated"])
def test_embeddings_are_scaled_by_what_all_of_them_say(name: str) -> None:
    torch.manual_seed(0)
    fusion = CalibratedFusion(FUSIONS[name](2, WIDTH, CLASSES))
    z, present = torch.randn(3, 2, WIDTH), torch.ones(3, 2, dtype=torch.bool)
    first, _, second = fusion.excite
    e = (z.flatten(1) @ first.weight.T + first.bias).relu() @ second.weight.T + second.bias
    torch.testing.assert_close(fusion(z, present), fusion.inner(2 * torch.sigmoid(e).view(3, 2, WIDTH) * z, present))
    assert first.out_features == 2 * WIDTH // 4


def test_coefficients_by_hand() -> None:
    found = coefficients(torch.tensor([0.3, 0.1]))
    torch.testing.assert_close(found, torch.tensor([0.25, 0.75]))  # what approaches fastest learns slowest
    three = coefficients(torch.tensor([0.2, 0.1, 0.1]))
    torch.testing.assert_close(three, torch.tensor([0.5, 0.75, 0.75]))
    torch.testing.assert_close(coefficients(torch.tensor([-0.3, -0.1])), found)  # falling apart: shares are shares
    for delta in torch.randn(20, 3, generator=torch.Generator().manual_seed(0)):
        torch.testing.assert_close(coefficients(-delta), coefficients(delta))
    assert coefficients(torch.tensor([0.5, -0.4])).tolist() == [0.0, 2.0]  # -4 and 5, kept in range
    assert coefficients(torch.tensor([0.5, -0.5])).tolist() == [1.0, 1.0]
    assert coefficients(torch.tensor([0.5])).tolist() == [1.0]


def test_divergences_and_their_fall_are_means_over_the_samples_that_have_the_modality() -> None:
    _, method = balm(2)
    torch.manual_seed(0)
    present = torch.tensor([[True, True], [True, False], [False, True], [True, True]])
    kl = []
    for _ in range(2):
        fused, alone = torch.randn(4, CLASSES).double(), torch.randn(2, 4, CLASSES).double()
        p = torch.distributions.Categorical(logits=fused)
        each = [torch.distributions.kl_divergence(p, torch.distributions.Categorical(logits=s)) for s in alone]
        kl.append(torch.stack([each[m][present[:, m]].mean() for m in range(2)]))
        method.update_coefficients(fused, torch.where(present.T.unsqueeze(-1), alone, torch.nan), present)
        if len(kl) == 1:
            assert method.coefficient.tolist() == [1.0, 1.0]
    torch.testing.assert_close(method.last, kl[1])
    torch.testing.assert_close(method.coefficient, coefficients(kl[0] - kl[1]))


def test_a_modality_nobody_has_keeps_its_last_divergence() -> None:
    _, method = balm(2)
    method.last.copy_(torch.tensor([0.75, 0.5]))
    method.steps += 1
    fused, alone = torch.zeros(3, CLASSES).double(), torch.randn(2, 3, CLASSES).double()
    method.update_coefficients(fused, alone, torch.tensor([[True, False]]).expand(3, 2))
    assert method.last[1] == 0.5
    assert method.last[0] != 0.75
    assert method.coefficient.tolist() == [0.0, 1.0]  # all that fell, the first one's Delta did


def test_encoder_gradients_are_multiplied_and_heads_do_not_reach_encoders() -> None:
    data = toy(2)
    batch = data.batch()
    model, method = balm(2, rho=1.4, align=0.0)
    step(model, method, batch)
    step(model, method, batch)
    method.last.copy_(torch.tensor([0.9, 0.5]))
    step(model, method, batch)
    found = {name: p.grad.clone() for name, p in model.named_parameters()}
    assert method.coefficient[0] != method.coefficient[1]
    model.zero_grad()
    F.cross_entropy(model.decode(model.embedding(batch.inputs).z, batch.present), batch.target).backward()
    for name, parameter in model.named_parameters():
        m = next((m for m, modality in enumerate(model.modalities) if f".{modality}." in name), None)
        scale = 1.0 if m is None else 1.4 * float(method.coefficient[m])
        torch.testing.assert_close(found[name], parameter.grad * scale, rtol=1e-4, atol=1e-6)


def test_alignment_is_the_mean_cosine_of_head_and_fusion_weights() -> None:
    model, method = balm(2)
    method.coefficient.copy_(torch.tensor([0.5, 1.5]))
    with torch.no_grad():
        method.heads[1].weight.copy_(-model.fusion.inner.weight[1])
    expected = 0.0
    for m, c in enumerate((0.5, 1.5)):
        a, b = (w.detach().flatten() for w in (method.heads[m].weight, model.fusion.inner.weight[m]))
        expected += abs(c * float(a @ b / (a.norm() * b.norm()))) / 2
    assert method.alignment(model).item() == pytest.approx(expected, rel=1e-5)
    added, other = balm(2, fusion="sum")
    pairs = zip(other.heads, added.fusion.inner.weight.detach(), strict=True)
    cosines = [F.cosine_similarity(head.weight.detach().flatten(), w.flatten(), dim=0).abs() for head, w in pairs]
    torch.testing.assert_close(other.alignment(added).detach(), sum(cosines) / 2)
    gated, other = balm(2, fusion="gated")
    assert other.alignment(gated) == 0


def test_the_alignment_term_takes_the_coefficients_of_the_step_before() -> None:
    model, method = balm(2, align=0.5)
    batch = toy(2).batch()
    step(model, method, batch)
    method.last.copy_(torch.tensor([0.9, 0.5]))
    method.coefficient.copy_(torch.tensor([0.5, 1.5]))
    expected = 0.5 * method.alignment(model).detach()
    losses = step(model, method, batch)
    assert method.coefficient.tolist() != [0.5, 1.5]
    torch.testing.assert_close(losses["align"], expected)


def test_heads_read_what_the_encoders_say_and_not_what_a_bottleneck_makes_of_it() -> None:
    data = toy(2, missing=0.3)
    model, method = balm(2, missing=0.3)
    batch = data.batch()
    embedding = model.embedding(batch.inputs, batch.present)
    terms = [
        F.cross_entropy(method.heads[m](embedding.encoded[have, m]), batch.target[have])
        for m, have in enumerate(batch.present.T)
    ]
    embedding.z = embedding.z + torch.randn_like(embedding.z)
    torch.testing.assert_close(method.losses(model, batch, embedding)["heads"], sum(terms))
