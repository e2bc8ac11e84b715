"""DMRNet: the divergence against torch.distributions, hard combinations by hand, dropped features for real."""

import pytest
import torch
import torch.nn.functional as F
from toys import ready, step, toy

from robustmm.methods.combinations import codes, kept_at_random
from robustmm.methods.dmrnet import DMRNet, divergence, hardest
from robustmm.model import FusionModel


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
    assert divergence(torch.zeros(1, 2), torch.full((1, 2), -1e4)).isfinite().all()


def test_hard_is_a_variance_above_the_mean_over_combinations_met() -> None:
    met = torch.tensor([9.0, 2.0, 4.0, 0.0])
    spread = torch.tensor([99.0, 2.0, 12.0, 0.0])  # means 1 and 3 of those met; "nothing" does not count
    assert hardest(spread, met).tolist() == [False, False, True, False]
    assert not hardest(torch.zeros(4), torch.zeros(4)).any()


@pytest.mark.parametrize("M", [2, 3])
def test_variances_are_gathered_by_combination_and_only_in_the_warm_up(M: int) -> None:
    data = toy(M, missing=0.2)
    batch = data.batch()
    model, method = dmrnet(M, missing=0.2, warmup=1)
    torch.manual_seed(0)
    embedding = model.embedding(batch.inputs, batch.present)
    torch.manual_seed(0)
    kept = kept_at_random(batch.present)
    torch.manual_seed(0)
    method.losses(model, batch, embedding)
    _, logvar = model.fusion.distribution(torch.where(kept.unsqueeze(-1), embedding.z, 0.0), kept)
    kinds = codes(kept)
    for kind in range(2**M):
        rows = kinds == kind
        assert method.met[kind] == rows.sum()
        torch.testing.assert_close(method.spread[kind], logvar[rows].double().exp().mean(-1).sum())
    method.end_epoch(model, data)
    before = method.met.clone()
    step(model, method, batch)
    assert torch.equal(method.met, before)


@pytest.mark.parametrize("epoch", [0, 1])
def test_the_terms_by_hand(epoch: int) -> None:
    data = toy(2)
    batch = data.batch()
    model, method = dmrnet(2, warmup=1, kl=0.5, hard=0.3)
    method.epoch.fill_(epoch)
    method.met.copy_(torch.tensor([0.0, 1.0, 1.0, 1.0]))
    method.spread.copy_(torch.tensor([0.0, 1.0, 5.0, 0.5]))  # {1} alone is hard
    embedding = model.embedding(batch.inputs, batch.present)
    torch.manual_seed(5)
    losses = method.losses(model, batch, embedding)
    torch.manual_seed(5)
    kept = kept_at_random(batch.present)
    assert {1, 2, 3} == set(codes(kept).tolist())
    fusion, z = model.fusion, torch.where(kept.unsqueeze(-1), embedding.z, 0.0)
    mu, logvar = fusion.distribution(z, kept)
    eps = torch.randn(mu.shape)
    drawn = fusion.head(mu + eps * (logvar / 2).exp())
    torch.testing.assert_close(losses["fused"], F.cross_entropy(drawn, batch.target))
    torch.testing.assert_close(losses["divergence"], 0.5 * divergence(mu, logvar).mean())
    each = F.cross_entropy(fusion.head(mu), batch.target, reduction="none")
    expected = 0.3 * each[codes(kept) == 2].sum() / len(kept) if epoch else torch.tensor(0.0)
    torch.testing.assert_close(losses["hard"], expected)


def test_rows_with_nothing_leave_batch_statistics_alone_and_use_is_deterministic() -> None:
    model, _ = dmrnet(2)
    fusion = model.fusion.train()
    z, present = torch.randn(6, 2, model.width), torch.ones(6, 2, dtype=torch.bool)
    present[4:] = False
    fusion.distribution(torch.where(present.unsqueeze(-1), z, 0.0), present)
    x = fusion.moments(z[:4].flatten(1))
    torch.testing.assert_close(fusion.norm.running_mean, 0.1 * x.mean(0))
    fusion.eval()
    torch.testing.assert_close(
        fusion(z, present), fusion.head(fusion.norm(fusion.moments(z.flatten(1))).chunk(2, -1)[0])
    )
