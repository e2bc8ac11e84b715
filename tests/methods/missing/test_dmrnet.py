"""DMRNet: the divergence against torch.distributions, hard combinations by hand, dropped features for real."""

import copy

import pytest
import torch
import torch.nn.functional as F
from toys import optimiser, ready, step, toy, train

from robustmm.methods.combinations import draw_combination, subset_codes
from robustmm.methods.missing.dmrnet import DMRNet, divergence, hard_combinations
from robustmm.model.fusion_model import FusionModel


def dmrnet(M: int, missing: float = 0.0, **options: object) -> tuple[FusionModel, DMRNet]:
    model, method = ready("dmrnet", toy(M, missing), options={"dmrnet": options})
    assert isinstance(method, DMRNet)
    return model, method


def test_the_divergence_is_that_of_normals() -> None:
    torch.manual_seed(0)
    mu, logvar = torch.randn(5, 4).double(), torch.randn(5, 4).double()
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(mu, (logvar / 2).exp()), normal(0.0, 1.0)).sum(-1)
    torch.testing.assert_close(divergence(mu, logvar), expected, rtol=1e-6, atol=1e-7)
    certain = divergence(torch.zeros(1, 2), torch.full((1, 2), -1e4))
    torch.testing.assert_close(certain, -torch.tensor([1e-8]).log() - 1)  # 2 times 1/2 (-log 1e-8 - 1)


def test_hard_is_a_variance_above_the_mean_over_combinations_met() -> None:
    met = torch.tensor([9.0, 2.0, 4.0, 0.0])
    spread = torch.tensor([99.0, 2.0, 12.0, 0.0])  # means 1 and 3 of those met; "nothing" does not count
    assert hard_combinations(spread, met).tolist() == [False, False, True, False]
    assert not hard_combinations(torch.zeros(4), torch.zeros(4)).any()


@pytest.mark.parametrize("M", [2, 3])
def test_variances_are_gathered_by_combination_and_only_in_the_warm_up(M: int) -> None:
    data = toy(M, missing=0.2)
    batch = data.batch()
    model, method = dmrnet(M, missing=0.2, warmup=0.01)
    torch.manual_seed(0)
    embedding = model.embedding(batch.inputs, batch.present)
    torch.manual_seed(0)
    kept = draw_combination(batch.present)
    torch.manual_seed(0)
    method.losses(model, batch, embedding)
    _, logvar = model.fusion.distribution(torch.where(kept.unsqueeze(-1), embedding.z, 0.0), kept)
    kinds = subset_codes(kept)
    for kind in range(2**M):
        rows = kinds == kind
        assert method.met[kind] == rows.sum()
        torch.testing.assert_close(method.spread[kind], logvar[rows].double().exp().mean(-1).sum())
    spread, met = method.spread.clone(), method.met.clone()
    torch.manual_seed(0)
    method.losses(model, batch, embedding)
    torch.testing.assert_close(method.spread, 2 * spread)
    torch.testing.assert_close(method.met, 2 * met)
    method.end_epoch(model, data)
    step(model, method, batch)
    torch.testing.assert_close(method.met, 2 * met)


@pytest.mark.parametrize("epoch", [0, 1])
def test_the_terms_by_hand(epoch: int) -> None:
    data = toy(2)
    batch = data.batch()
    model, method = dmrnet(2, warmup=0.01, kl=0.5, hard=0.3)
    method.epoch.fill_(epoch)
    method.met.copy_(torch.tensor([0.0, 1.0, 1.0, 1.0]))
    method.spread.copy_(torch.tensor([0.0, 1.0, 5.0, 0.5]))  # {1} alone is hard
    embedding = model.embedding(batch.inputs, batch.present)
    torch.manual_seed(5)
    losses = method.losses(model, batch, embedding)
    torch.manual_seed(5)
    kept = draw_combination(batch.present)
    assert {1, 2, 3} == set(subset_codes(kept).tolist())
    fusion, z = model.fusion, torch.where(kept.unsqueeze(-1), embedding.z, 0.0)
    mu, logvar = fusion.distribution(z, kept)
    eps = torch.randn(mu.shape)
    drawn = fusion.head(mu + eps * (logvar / 2).exp())
    torch.testing.assert_close(losses["fused"], F.cross_entropy(drawn, batch.target))
    torch.testing.assert_close(losses["divergence"], 0.5 * divergence(mu, logvar).mean())
    each = F.cross_entropy(fusion.head(mu), batch.target, reduction="none")
    expected = 0.3 * each[subset_codes(kept) == 2].sum() / len(kept) if epoch else torch.tensor(0.0)
    torch.testing.assert_close(losses["hard"], expected)


def test_in_evaluation_the_path_is_the_mean() -> None:
    model, method = dmrnet(2)
    batch = toy(2).batch()
    model.eval(), method.eval()
    embedding = model.embedding(batch.inputs, batch.present)
    torch.manual_seed(5)
    fused = method.losses(model, batch, embedding)["fused"]
    torch.manual_seed(5)
    said = model.decode(embedding.z, draw_combination(batch.present))
    torch.testing.assert_close(fused, F.cross_entropy(said, batch.target))


def test_class_weights_reach_both_paths() -> None:
    data = toy(2, class_weight=torch.tensor([1.0, 0.0, 0.0]))
    model, method = ready("dmrnet", data, options={"dmrnet": {"warmup": 0}})
    method.met.fill_(1)
    method.spread[2] = 5.0
    before = step(model, method, data.batch())
    other = data.batch()
    other.target = torch.where(other.target == 1, 2, other.target)  # moves samples between weightless classes only
    after = step(model, method, other)
    assert before["hard"] > 0
    torch.testing.assert_close(after, before)


def test_above_five_modalities_a_size_is_a_combination() -> None:
    data = toy(7, missing=0.3)
    batch = data.batch()
    model, method = dmrnet(7, missing=0.3, warmup=0.01)
    assert len(method.met) == 8
    torch.manual_seed(3)
    kept = draw_combination(batch.present)
    step(model, method, batch, seed=3)
    torch.testing.assert_close(method.met, kept.sum(1).bincount(minlength=8).double())


def test_one_modality_is_never_hard() -> None:
    model, method = dmrnet(1, warmup=0.01)
    batch = toy(1).batch()
    step(model, method, batch)
    method.epoch += 1
    assert method.met.tolist() == [0, len(batch.target)]
    assert step(model, method, batch)["hard"] == 0


def test_samples_with_nothing_are_neither_hard_nor_compressed() -> None:
    data = toy(2)
    data.present[::3] = False
    model, method = ready("dmrnet", data, options={"dmrnet": {"warmup": 0, "kl": 1.0, "hard": 1.0}})
    method.met.fill_(1)
    method.spread.copy_(torch.tensor([9.0, 1.0, 5.0, 0.5]))
    batch = data.batch()
    embedding = model.embedding(batch.inputs, batch.present)
    torch.manual_seed(5)
    losses = method.losses(model, batch, embedding)
    torch.manual_seed(5)
    kept = draw_combination(batch.present)
    mu, logvar = model.fusion.distribution(torch.where(kept.unsqueeze(-1), embedding.z, 0.0), kept)
    some = kept.any(1)
    torch.testing.assert_close(losses["divergence"], divergence(mu, logvar)[some].mean())
    each = F.cross_entropy(model.fusion.head(mu), batch.target, reduction="none")
    torch.testing.assert_close(losses["hard"], each[subset_codes(kept) == 2].sum() / len(kept))
    data.present[:] = False
    empty = step(model, method, data.batch())
    assert empty["divergence"] == empty["hard"] == 0
    assert empty["fused"].isfinite()


def test_the_divergence_is_finite_in_half_precision_and_for_a_single_sample() -> None:
    data = toy(2)
    model, method = dmrnet(2)
    batch = data.batch(slice(0, 1))
    with torch.autocast("cpu", torch.bfloat16):
        losses = method.losses(model, batch, model.embedding(batch.inputs, batch.present))
    assert losses["divergence"].dtype == torch.float32
    assert all(term.isfinite() for term in losses.values())
    assert model.fusion.norm.running_mean.abs().sum() == 0  # one sample has no variance to learn from


def test_a_chained_method_may_decode_subsets_in_the_same_step() -> None:
    data = toy(3, missing=0.3)
    model, chain = ready("unimodal+dmrnet", data)
    assert all(term.isfinite() for term in step(model, chain, data.batch()).values())


def test_resuming_within_and_after_the_warm_up_is_bit_for_bit() -> None:
    data, options = toy(3, missing=0.3), {"dmrnet": {"warmup": 0.02}}
    for at in (1, 3):
        model, method = ready("dmrnet", data, options=options)
        steps = optimiser(model, method)
        train(model, method, data, range(at), steps)
        saved = copy.deepcopy((model.state_dict(), method.state_dict(), steps.state_dict()))
        train(model, method, data, range(at, 4), steps)
        again, resumed = ready("dmrnet", data, options=options)
        steps = optimiser(again, resumed)
        for part, state in zip((again, resumed, steps), saved, strict=True):
            part.load_state_dict(state)
        train(again, resumed, data, range(at, 4), steps)
        torch.testing.assert_close(again.state_dict(), model.state_dict(), rtol=0, atol=0)
        assert hard_combinations(method.spread, method.met).any()


def test_rows_with_nothing_leave_batch_statistics_alone_and_use_is_deterministic() -> None:
    model, _ = dmrnet(2)
    fusion = model.fusion.train()
    z, present = torch.randn(6, 2, model.width), torch.ones(6, 2, dtype=torch.bool)
    present[4:] = False
    mu, logvar = fusion.distribution(torch.where(present.unsqueeze(-1), z, 0.0), present)
    x = fusion.moments(z[:4].flatten(1))
    torch.testing.assert_close(fusion.norm.running_mean, 0.1 * x.mean(0))
    both = torch.cat([mu, logvar], 1)
    torch.testing.assert_close(both[:4], (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt())
    settled = fusion.eval().norm(fusion.moments(torch.zeros(2, 2 * model.width)))
    torch.testing.assert_close(both[4:], settled)
    said = fusion.train()(torch.zeros(2, 2, model.width), present[4:])
    torch.testing.assert_close(said, fusion.head(settled[:, : model.width]))
    fusion.eval()
    torch.testing.assert_close(
        fusion(z, present), fusion.head(fusion.norm(fusion.moments(z.flatten(1))).chunk(2, -1)[0])
    )
