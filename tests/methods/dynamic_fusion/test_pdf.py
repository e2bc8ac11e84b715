"""PDF: confidences, calibration and weights against the two-modality formulas."""

import math

import pytest
import torch
import torch.nn.functional as F
from toys import CLASSES, WIDTH, ready, step, toy

from robustmm.methods.dynamic_fusion.pdf import PredictiveFusion, calibration, fusion_weights, holo_confidence

BOTH = torch.tensor([[True, True]])


def test_holo_confidence_of_two_is_the_papers() -> None:
    a, b = 0.8, 0.3
    whole = math.log(a * b)
    expected = torch.tensor([[math.log(b) / whole, math.log(a) / whole]])
    torch.testing.assert_close(holo_confidence(torch.tensor([[a, b]]), BOTH), expected)


def test_holo_confidence_stays_a_share_and_is_zero_alone() -> None:
    t = torch.tensor([[0.9, 0.5, 0.2], [0.9, 0.5, 0.2]])
    present = torch.tensor([[True, True, True], [False, True, False]])
    found = holo_confidence(t, present)
    assert float(found[0].sum()) == pytest.approx(1.0)
    whole = math.log(0.9 * 0.5 * 0.2)
    assert float(found[0, 2]) == pytest.approx(math.log(0.9 * 0.5) / whole / 2)
    assert found[1].tolist() == [0, 0, 0]
    for extreme in (torch.ones(1, 2), torch.zeros(1, 2)):
        assert holo_confidence(extreme, BOTH).tolist() == [[0.5, 0.5]], "as sure as each other"


def test_calibration_lowers_the_flatter_modality() -> None:
    p = torch.tensor([[[0.9, 0.05, 0.05], [0.4, 0.3, 0.3]]])
    certainty = [sum(abs(x - 1 / 3) for x in row) / 3 for row in p[0].tolist()]
    torch.testing.assert_close(calibration(p, BOTH), torch.tensor([[1.0, certainty[1] / certainty[0]]]))
    assert calibration(p, torch.tensor([[False, True]])).tolist() == [[1.0, 1.0]]
    flat = torch.full((1, 2, 3), 1 / 3)
    assert calibration(flat, torch.tensor([[False, True]])).tolist() == [[1.0, 1.0]], "nobody to be flatter than"


def test_calibration_compares_with_the_mean_of_the_others_that_are_there() -> None:
    p = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [1.0, 0.0]]).expand(2, 4, 2)  # certainties .4 .1 .3 .5
    present = torch.tensor([[True, True, True, True], [True, True, True, False]])
    expected = torch.tensor([[1.0, 0.1 / 0.4, 0.3 / (1 / 3), 1.0], [1.0, 0.1 / 0.35, 1.0, 1.0]])
    torch.testing.assert_close(calibration(p, present), expected)


def test_weights_are_a_softmax_over_what_is_there() -> None:
    present = torch.tensor([[True, False, True], [False, False, False]])
    found = fusion_weights(torch.tensor([[1.0, 50.0, 2.0], [1.0, 2.0, 3.0]]), present)
    e = math.exp(1)
    torch.testing.assert_close(found, torch.tensor([[1 / (1 + e), 0.0, e / (1 + e)], [0.0, 0.0, 0.0]]))


@pytest.mark.parametrize("training", [True, False])
def test_the_fused_answer_by_hand(training: bool) -> None:
    torch.manual_seed(0)
    fusion, z = PredictiveFusion(2, WIDTH, CLASSES).train(training), torch.randn(3, 2, WIDTH)
    present = torch.ones(3, 2, dtype=torch.bool)
    s = torch.stack([z[:, m] @ fusion.weight[m].T + fusion.bias[m] for m in range(2)], 1)
    t = torch.cat([net(z[:, m]) for m, net in enumerate(fusion.confidence)], 1)
    belief = t + torch.stack([t[:, 1].log(), t[:, 0].log()], 1) / (t[:, 0] * t[:, 1]).log().unsqueeze(1)
    if not training:
        du = (s.softmax(-1) - 1 / CLASSES).abs().mean(-1)
        belief = belief * torch.stack([(du[:, 0] / du[:, 1]), (du[:, 1] / du[:, 0])], 1).clamp(max=1)
    torch.testing.assert_close(fusion(z, present), (belief.softmax(1).unsqueeze(-1) * s).sum(1))


def test_the_fused_answer_of_what_is_left_of_three_is_that_of_the_pair() -> None:
    torch.manual_seed(0)
    fusion, z = PredictiveFusion(3, WIDTH, CLASSES).eval(), torch.randn(5, 3, WIDTH)
    present = torch.tensor([[True, False, True]]).expand(5, 3)
    s, t = fusion.unimodal_logits(z)[:, ::2], fusion.mono_confidence(z)[:, ::2]
    belief = t + t.flip(1).log() / t.log().sum(1, keepdim=True)
    du = (s.softmax(-1) - 1 / CLASSES).abs().mean(-1)
    w = (belief * (du / du.flip(1)).clamp(max=1)).softmax(1)
    torch.testing.assert_close(fusion(z, present), (w.unsqueeze(-1) * s).sum(1))


def test_the_terms_and_that_confidence_does_not_teach_the_encoders() -> None:
    data = toy(2, missing=0.3)
    batch = data.batch()
    model, method = ready("pdf", data)
    losses = step(model, method, batch)
    embedding = model.embedding(batch.inputs, batch.present)
    fusion, unimodal, off = model.fusion, 0.0, 0.0
    for m in range(2):
        have = batch.present[:, m]
        s = embedding.z[have, m] @ fusion.weight[m].T + fusion.bias[m]
        unimodal += F.cross_entropy(s, batch.target[have])
        truth = s.softmax(-1)[torch.arange(len(s)), batch.target[have]]
        off += (fusion.confidence[m](embedding.z[have, m])[:, 0] - truth).abs().mean()
    torch.testing.assert_close(losses["unimodal"], unimodal)
    torch.testing.assert_close(losses["confidence"], off)
    model.zero_grad()
    method.losses(model, batch, model.embedding(batch.inputs, batch.present))["confidence"].backward()
    assert all(p.grad is None or not p.grad.any() for p in [*model.encoders.parameters(), fusion.weight])
    assert all(p.grad.any() for p in fusion.confidence.parameters())
