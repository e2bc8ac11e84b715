"""MMANet: margin-aware distillation by loops, weak combinations by hand."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from toys import SAMPLES, optimiser, ready, step, toy, train

from robustmm.methods.combinations import draw_combination, subset_codes
from robustmm.methods.missing.mmanet import (
    MMANet,
    all_combinations,
    divergence,
    entropy,
    margin_aware_distance,
    weakest_combination,
)
from robustmm.model.fusion import FUSIONS, apply_mask
from robustmm.model.fusion_model import FusionModel


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
    assert float(margin_aware_distance(s, t, H)) == pytest.approx(total, rel=1e-5)


def test_distillation_does_not_grow_with_the_batch() -> None:
    torch.manual_seed(0)
    s, t, H = torch.randn(5, 4), torch.randn(5, 7), torch.rand(5)
    twice = margin_aware_distance(s.repeat(2, 1), t.repeat(2, 1), H.repeat(2))
    torch.testing.assert_close(twice, margin_aware_distance(s, t, H))
    assert margin_aware_distance(s[:0], t[:0], H[:0]) == 0


def test_distillation_is_exact_and_finite_in_half_precision() -> None:
    torch.manual_seed(0)
    s, t, H = 1e3 * torch.randn(5, 4), torch.randn(5, 7), torch.rand(5)
    expected = margin_aware_distance(s, t, H)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(margin_aware_distance(s, t, H), expected, rtol=0, atol=0)
    assert expected.dtype == torch.float32


def test_entropies_are_those_of_the_answers() -> None:
    torch.manual_seed(0)
    logits = torch.randn(4, 3)
    torch.testing.assert_close(entropy(logits), torch.distributions.Categorical(logits=logits).entropy())
    for dtype in (torch.float32, torch.float64):
        assert entropy(torch.tensor([[1e4, 0.0, 0.0]], dtype=dtype)).tolist() == [0]


def test_distillation_is_zero_for_identical_features_and_finite_for_a_certain_teacher() -> None:
    torch.manual_seed(0)
    x = torch.randn(6, 4)
    assert float(margin_aware_distance(x, x, torch.rand(6))) == pytest.approx(0, abs=1e-9)
    assert float(margin_aware_distance(x, 3 * x, torch.rand(6))) == pytest.approx(0, abs=1e-9)  # directions only
    assert margin_aware_distance(x, torch.randn(6, 4), entropy(1e4 * torch.eye(6))) == 0
    gone = torch.zeros(6, 4, requires_grad=True)
    margin_aware_distance(gone, x, torch.rand(6)).backward()
    assert gone.grad is not None
    assert gone.grad.isfinite().all()


def test_the_weak_are_the_combination_that_predicts_other_classes_and_all_within_it() -> None:
    masks = all_combinations(3)
    assert len(masks) == 7
    counts = torch.full((7, 2), 10.0).double()
    counts[2] = torch.tensor([19.0, 1.0])  # {0, 1}
    gap = divergence(counts)
    assert float(gap[2]) == pytest.approx(0.95 * math.log(0.95 / 0.5) + 0.05 * math.log(0.05 / 0.5), rel=1e-6)
    assert gap[[0, 1, 3, 4, 5, 6]].abs().max() < 1e-9
    assert weakest_combination(gap, masks).tolist() == [True, True, False]
    assert not weakest_combination(torch.zeros(7), masks).any()
    counts[6], counts[4] = torch.tensor([19.0, 1.0]), 0.0  # all say another thing than one never met
    assert divergence(counts)[3] > 0
    assert divergence(counts)[4] == 0
    assert not divergence(torch.zeros(7, 2)).any()


def test_above_five_modalities_each_alone_all_but_each_and_all_are_ranked() -> None:
    masks = all_combinations(6)
    sizes = masks.sum(1).tolist()
    assert sizes == 6 * [1] + 6 * [5] + [6]
    assert len(masks.unique(dim=0)) == 13


@pytest.mark.parametrize("M", [2, 3, 7])
def test_weak_is_all_that_the_weakest_combination_contains(M: int) -> None:
    data = toy(M, missing=0.2)
    data.present[::7] = False  # nothing is not weak
    batch = data.batch()
    model, method = ready("mmanet", data, options={"mmanet": {"begin": 0.02, "mar": 0.7}})
    method.epoch.fill_(2)
    worst = torch.arange(M) > 0  # all but the first
    method.gap[(method.masks == worst).all(1)] = 3.0
    embedding = model.embedding(batch.inputs, batch.present)
    torch.manual_seed(2)
    losses = method.losses(model, batch, embedding)
    torch.manual_seed(2)
    kept = draw_combination(batch.present)
    expected = torch.zeros(())
    for b, y in enumerate(batch.target):
        if kept[b].any() and not kept[b, 0]:
            said = method.branch(apply_mask(embedding.z, kept)[b : b + 1], kept[b : b + 1])
            expected = expected + F.cross_entropy(said, y[None]) / SAMPLES
    assert expected > 0
    torch.testing.assert_close(losses["regularisation"], 0.7 * expected)


def test_one_modality_has_no_weak_combination() -> None:
    model, method = mmanet(1, begin=0.02)
    for _ in range(3):
        losses = step(model, method, toy(1).batch())
        method.end_epoch(model, toy(1))
    assert losses["distillation"] > 0
    assert losses["regularisation"] == 0


def test_predictions_are_counted_between_the_first_epoch_and_the_beginning() -> None:
    data = toy(2, missing=0.2)
    batch = data.batch()
    model, method = mmanet(2, missing=0.2, begin=0.04)
    expected = torch.zeros(3).double()
    for epoch in (1, 2, 3, 4, 5):
        losses = step(model, method, batch)
        assert (losses["distillation"] > 0) == (epoch > 4)
        assert (losses["regularisation"] > 0) == (epoch > 4)
        if epoch in (2, 3):
            z = model.embedding(batch.inputs, batch.present).z
            for row, mask in zip(method.counts, method.masks, strict=True):
                left = mask & batch.present
                said = model.decode(z, left)[left.any(1)].argmax(-1).bincount(minlength=3)
                assert row.tolist() == said.tolist()
            assert method.counts.sum(1).tolist() == [*batch.present.sum(0), SAMPLES]
            expected += divergence(method.counts)
        else:
            assert not method.counts.any()
        method.end_epoch(model, data)
    torch.testing.assert_close(method.gap, expected)
    assert expected.max() > 0


@pytest.mark.parametrize(("epochs", "counted"), [(100, [2, 3, 4]), (60, [2]), (40, [2]), (12, [1])])
def test_a_short_run_ranks_in_the_last_epoch_of_its_beginning(epochs: int, counted: list[int]) -> None:
    data = toy(2, epochs=epochs)
    model, method = ready("mmanet", data)
    found = []
    for epoch in range(1, 8):
        step(model, method, data.batch())
        found += [epoch] if method.counts.any() else []
        method.end_epoch(model, data)
    assert found == counted


def test_the_terms_by_hand() -> None:
    data = toy(2, missing=0.2)
    batch = data.batch()
    model, method = mmanet(2, missing=0.2, mad=2.0, mar=0.7)
    method.epoch.fill_(5)
    method.gap.copy_(torch.tensor([0.0, 3.0, 0.0]))  # {1} is weak
    embedding = model.embedding(batch.inputs, batch.present)
    torch.manual_seed(2)
    losses = method.losses(model, batch, embedding)
    torch.manual_seed(2)
    kept = draw_combination(batch.present)
    z = apply_mask(embedding.z, kept)
    torch.testing.assert_close(losses["fused"], F.cross_entropy(model.decode(z, kept), batch.target))
    each = F.cross_entropy(method.branch(z, kept), batch.target, reduction="none")
    torch.testing.assert_close(losses["regularisation"], 0.7 * each[subset_codes(kept) == 2].sum() / len(kept))
    t, logits = data.joint_answers(2 * model.width)
    said = torch.distributions.Categorical(logits=logits).entropy()
    torch.testing.assert_close(losses["distillation"], 2 * margin_aware_distance(z.flatten(1), t, said))
    assert losses["regularisation"] > 0


def test_class_weights_reach_the_branch() -> None:
    data = toy(2, class_weight=torch.tensor([1.0, 0.0, 0.0]))
    model, method = ready("mmanet", data)
    method.epoch.fill_(5)
    method.gap[1] = 3.0
    before = step(model, method, data.batch())
    other = data.batch()
    other.target = torch.where(other.target == 1, 2, other.target)  # moves samples between weightless classes only
    assert before["regularisation"] > 0
    torch.testing.assert_close(step(model, method, other), before)


def test_the_teacher_is_read_at_the_batchs_rows() -> None:
    data = toy(2, missing=0.3)
    features, logits = torch.randn(SAMPLES, 16), torch.randn(SAMPLES, 3)
    data.joint_answers = lambda width: (features, logits)  # type: ignore[method-assign]
    model, method = ready("mmanet", data, options={"mmanet": {"mad": 1.0}})
    method.epoch.fill_(5)
    batch = data.batch(slice(40, 60))
    embedding = model.embedding(batch.inputs, batch.present)
    torch.manual_seed(2)
    distance = method.losses(model, batch, embedding)["distillation"]
    torch.manual_seed(2)
    s = apply_mask(embedding.z, draw_combination(batch.present)).flatten(1)
    torch.testing.assert_close(distance, margin_aware_distance(s, features[40:60], entropy(logits[40:60])))


def test_what_is_compared_is_what_the_fusion_makes_of_all() -> None:
    data = toy(2, missing=0.3)
    model, method = ready("mmanet", data, "gated", {"mmanet": {"mad": 1.0}})
    assert method.features.shape == (SAMPLES, model.width)  # of one, not of two modalities
    method.epoch.fill_(5)
    batch = data.batch()
    embedding = model.embedding(batch.inputs, batch.present)
    torch.manual_seed(2)
    distance = method.losses(model, batch, embedding)["distillation"]
    torch.manual_seed(2)
    kept = draw_combination(batch.present)
    read: list[torch.Tensor] = []
    model.fusion.head.register_forward_pre_hook(lambda module, given: read.append(given[0]))
    model.decode(embedding.z, kept)
    torch.testing.assert_close(distance, margin_aware_distance(read[0], method.features, method.entropy))


@pytest.mark.parametrize("fusion", list(FUSIONS))
def test_the_branch_is_no_part_of_the_model_and_has_its_own_weights(fusion: str) -> None:
    data = toy(2, missing=0.2)
    model, method = mmanet(2, missing=0.2, fusion=fusion)
    assert type(method.branch) is type(model.fusion)
    assert not {id(p) for p in model.parameters()} & {id(p) for p in method.parameters()}
    for own, other in zip(method.branch.parameters(), model.fusion.parameters(), strict=True):
        assert own.shape == other.shape
        assert torch.equal(own.flatten().sort()[0], other.flatten().sort()[0])  # drawn alike
        assert own.unique().numel() == 1 or not torch.equal(own, other)
    for epoch in (0, 5):
        method.epoch.fill_(epoch)
        method.gap[1] = 3.0
        losses = step(model, method, data.batch())
        moved = sum(float(p.grad.abs().sum()) for p in method.branch.parameters() if p.grad is not None)
        assert all(p.grad is not None for p in method.branch.parameters())  # as on several ranks: decay is the same
        assert (moved > 0) == (losses["regularisation"] > 0) == (epoch == 5)


def test_resuming_while_ranking_and_after_it_is_bit_for_bit() -> None:
    data, options = toy(3, missing=0.3), {"mmanet": {"begin": 0.03}}
    for at in (2, 4):
        model, method = ready("mmanet", data, options=options)
        steps = optimiser(model, method)
        train(model, method, data, range(at), steps)
        saved = copy.deepcopy((model.state_dict(), method.state_dict(), steps.state_dict()))
        train(model, method, data, range(at, 5), steps)
        again, resumed = ready("mmanet", toy(3, missing=0.3, taught=False), options=options)
        steps = optimiser(again, resumed)
        for part, state in zip((again, resumed, steps), saved, strict=True):
            part.load_state_dict(state)
        train(again, resumed, data, range(at, 5), steps)
        torch.testing.assert_close(again.state_dict(), model.state_dict(), rtol=0, atol=0)
        assert weakest_combination(method.gap, method.masks).any()
