"""MMANet: margin-aware distillation by loops, weak combinations by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from toys import ready, step, toy

from robustmm.fusion import masked
from robustmm.methods.combinations import codes, kept_at_random
from robustmm.methods.mmanet import MMANet, combinations, divergence, margin_aware, weakest
from robustmm.model import FusionModel


def mmanet(M: int, missing: float = 0.0, fusion: str = "concat", **options: object) -> tuple[FusionModel, MMANet]:
    model, method = ready("mmanet", toy(M, missing), fusion, {"mmanet": options})
    assert isinstance(method, MMANet)
    return model, method


def test_distillation_by_a_loop() -> None:
    torch.manual_seed(0)
    s, t, H = torch.randn(5, 4), torch.randn(5, 7), torch.rand(5)

    def gram(u: torch.Tensor) -> torch.Tensor:
        g = torch.stack([torch.stack([a @ b for b in u]) for a in u])
        return torch.stack([row / row.norm() for row in g])

    total = 0.0
    for i in range(5):
        for j in range(5):
            total += float((gram(s)[i, j] - gram(t)[i, j]) ** 2 * H[j] / H.sum())
    assert float(margin_aware(s, t, H)) == pytest.approx(64 * total / 5, rel=1e-5)


def test_distillation_is_zero_for_identical_features_and_finite_for_a_certain_teacher() -> None:
    torch.manual_seed(0)
    x = torch.randn(6, 4)
    assert float(margin_aware(x, x, torch.rand(6))) == pytest.approx(0, abs=1e-9)
    assert float(margin_aware(x, 3 * x, torch.rand(6))) == pytest.approx(0, abs=1e-9)  # directions only
    assert margin_aware(x, torch.randn(6, 4), torch.zeros(6)) == 0
    gone = torch.zeros(6, 4, requires_grad=True)
    margin_aware(gone, x, torch.rand(6)).backward()
    assert gone.grad.isfinite().all()


def test_the_weak_are_the_combination_that_predicts_other_classes_and_all_within_it() -> None:
    masks = combinations(3)
    assert len(masks) == 7
    counts = torch.full((7, 2), 10.0).double()
    counts[2] = torch.tensor([19.0, 1.0])  # {0, 1}
    gap = divergence(counts)
    assert float(gap[2]) == pytest.approx(0.5 * math.log(0.5 / 0.95) + 0.5 * math.log(0.5 / 0.05), rel=1e-6)
    assert gap[[0, 1, 3, 4, 5, 6]].abs().max() < 1e-9
    assert weakest(gap, masks).tolist() == [True, True, True, False, False, False, False]
    assert not weakest(torch.zeros(7), masks).any()
    assert len(combinations(6)) == 13


def test_predictions_are_counted_between_the_first_epoch_and_the_beginning() -> None:
    data = toy(2, missing=0.2)
    batch = data.batch()
    model, method = mmanet(2, missing=0.2, begin=2)
    for epoch in range(3):
        losses = step(model, method, batch)
        assert (losses["distillation"] > 0) == (epoch == 2)
        if epoch == 1:
            z = model.embedding(batch.inputs, batch.present).z
            for row, mask in zip(method.counts, method.masks, strict=True):
                said = model.decode(z, mask & batch.present).argmax(-1).bincount(minlength=3)
                assert row.tolist() == said.tolist()
            expected = divergence(method.counts)
        else:
            assert not method.counts.any()
        method.end_epoch(model, data)
    torch.testing.assert_close(method.gap, expected)


def test_the_terms_by_hand() -> None:
    data = toy(2, missing=0.2)
    batch = data.batch()
    model, method = mmanet(2, missing=0.2, begin=0, mad=2.0, mar=0.7)
    method.gap.copy_(torch.tensor([0.0, 3.0, 0.0]))  # {1} is weak
    embedding = model.embedding(batch.inputs, batch.present)
    torch.manual_seed(2)
    losses = method.losses(model, batch, embedding)
    torch.manual_seed(2)
    kept = kept_at_random(batch.present)
    z = masked(embedding.z, kept)
    torch.testing.assert_close(losses["fused"], F.cross_entropy(model.decode(z, kept), batch.target))
    each = F.cross_entropy(method.branch(z, kept), batch.target, reduction="none")
    torch.testing.assert_close(losses["regularisation"], 0.7 * each[codes(kept) == 2].sum() / len(kept))
    t, logits = data.joint_answers(model.width)
    entropy = torch.distributions.Categorical(logits=logits).entropy()
    torch.testing.assert_close(losses["distillation"], 2 * margin_aware(z.flatten(1), t.flatten(1), entropy))
    assert losses["regularisation"] > 0


@pytest.mark.parametrize("fusion", ["concat", "attention"])
def test_the_branch_is_no_part_of_the_model(fusion: str) -> None:
    model, method = mmanet(2, fusion=fusion)
    shared = {id(p) for p in model.parameters()} & {id(p) for p in method.parameters()}
    assert not shared
    assert type(method.branch) is type(model.fusion)
