"""RedCore against its formulas by hand, torch.distributions and what may not reach an imputation."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from toys import CLASSES, WIDTH, Toy, optimiser, ready, step, toy, train

from robustmm.methods.bottleneck import VariationalBottleneck
from robustmm.methods.missing.redcore import Imputation, RedCore, relative_advantage, update_beta
from robustmm.methods.missing.translation import concat_others
from robustmm.model.fusion_model import Embedding, FusionModel


def built(data: Toy, **options: object) -> tuple[FusionModel, RedCore, Imputation]:
    model, method = ready("redcore", data, options={"redcore": options})
    assert isinstance(method, RedCore)
    assert isinstance(model.fusion, Imputation)
    return model, method, model.fusion


def terms(data: Toy, **options: object) -> tuple[dict[str, Tensor], Embedding, RedCore, Imputation]:
    model, method, fusion = built(data, **options)
    batch = data.batch()
    embedding = model.embedding(batch.inputs, batch.present)
    return method.losses(model, batch, embedding), embedding, method, fusion


def moved(method: RedCore, *rec: float, seen: tuple[bool, ...] | None = None) -> list[float]:
    worth = torch.tensor(rec, dtype=torch.float64)
    method.update_weights(worth, torch.tensor(seen or [True] * len(rec)))
    found: list[float] = method.beta.tolist()
    return found


# the weights


def test_relative_advantage_by_hand() -> None:
    r = relative_advantage(torch.tensor([1.0, 2.0, 6.0], dtype=torch.float64))
    assert r.tolist() == pytest.approx([2 / 3, 1 / 3, -1.0])  # their mean is 3
    assert relative_advantage(torch.tensor([1.0, 0.0, 3.0])).tolist() == pytest.approx([0.5, 0, -0.5])
    assert relative_advantage(torch.zeros(2)).tolist() == [0, 0]
    assert relative_advantage(torch.ones(1)).tolist() == [0]


def test_beta_moves_away_from_the_advantage_keeps_a_floor_and_has_length_one() -> None:
    beta, r = torch.tensor([1.0, 1.0]), torch.tensor([0.5, -0.5])
    expected = torch.tensor([0.95, 1.05])
    torch.testing.assert_close(update_beta(beta, r, 0.1), expected / expected.norm())
    low = torch.tensor([0.1, 3.0])
    torch.testing.assert_close(update_beta(beta, 4 * r, 1.0), low / low.norm())


def test_the_average_weighs_the_newest_by_the_rate_and_forgets_nobody() -> None:
    _, method, _ = built(toy(2), rate=0.7)
    moved(method, 2.0, 4.0)
    assert method.average.tolist() == pytest.approx([1.4, 2.8])
    moved(method, 1.0, 0.0, seen=(True, False))
    assert method.average.tolist() == pytest.approx([0.3 * 1.4 + 0.7, 2.8])


def test_beta_moves_every_few_steps_from_the_first() -> None:
    _, method, _ = built(toy(2), every=3, rate=1.0, eta=0.1, growth=1)
    first = moved(method, 1.0, 3.0)  # r = .5, -.5
    assert first == pytest.approx((torch.tensor([0.95, 1.05]) / torch.tensor([0.95, 1.05]).norm()).tolist())
    assert moved(method, 3.0, 1.0) == first
    assert moved(method, 3.0, 1.0) == first
    now = torch.tensor(first) - 0.1 * torch.tensor([-0.5, 0.5])
    assert moved(method, 3.0, 1.0) == pytest.approx((now / now.norm()).tolist())


@pytest.mark.parametrize(("steps", "times"), [(0, 1), (498, 1), (501, 2), (1000, 3), (10**9, 20)])
def test_eta_grows_every_500_steps_from_the_very_first(steps: int, times: int) -> None:
    _, method, _ = built(toy(2), every=1, rate=1.0, eta=1e-4)
    method.step.fill_(steps)
    expected = torch.ones(2) - 1e-4 * 1.5**times * torch.tensor([0.5, -0.5])
    assert moved(method, 1.0, 3.0) == pytest.approx((expected / expected.norm()).tolist(), rel=1e-6)


def test_the_modality_that_is_imputed_worst_weighs_most() -> None:
    _, method, _ = built(toy(3))
    for _ in range(12):
        beta = moved(method, 1.0, 4.0, 2.0)
    assert beta[0] < beta[2] < beta[1]
    assert float(method.beta.norm()) == pytest.approx(1)


# the fusion


def test_an_imputation_reads_the_others_and_nothing_of_its_own() -> None:
    _, _, fusion = built(toy(3))
    z = torch.randn(5, 3, WIDTH, requires_grad=True)
    for m in range(3):
        (gradient,) = torch.autograd.grad(fusion.impute(z)[:, m].sum(), z)
        assert (gradient.abs().sum((0, 2)) == 0).tolist() == [k == m for k in range(3)]


@pytest.mark.parametrize("blocks", [1, 3])
def test_an_imputer_is_a_cascade_of_residual_autoencoders(blocks: int) -> None:
    _, _, fusion = built(toy(3), blocks=blocks)
    imputer, z = fusion.imputers[1], torch.randn(4, 3, WIDTH)
    x = imputer.enter(concat_others(z, 1))
    assert len(imputer.blocks) == blocks
    for encode, _, decode in imputer.blocks:
        assert encode.out_features < WIDTH
        x = x + decode(F.relu(encode(x)))
    into, _, out = imputer.leave
    torch.testing.assert_close(fusion.impute(z)[:, 1], out(F.relu(into(x))))


@pytest.mark.parametrize("M", [1, 2, 3])
def test_what_is_there_is_kept_and_what_is_not_is_imputed(M: int) -> None:
    _, _, fusion = built(toy(M))
    for held in itertools.product([False, True], repeat=M):
        present = torch.tensor([held] * 4)
        z = torch.where(present.unsqueeze(-1), torch.randn(4, M, WIDTH), 0.0)
        x = [
            z[:, m] if held[m] else fusion.imputers[m](concat_others(z, m)) if M > 1 else torch.zeros(4, WIDTH)
            for m in range(M)
        ]
        torch.testing.assert_close(fusion(z, present), fusion.head(torch.cat(x, 1)))


# the terms


def imputation(fusion: Imputation, z: Tensor, m: int) -> Tensor:
    made: Tensor = fusion.imputers[m](concat_others(z, m))
    return made


def test_the_terms_by_hand() -> None:
    data = toy(3, missing=0.4)
    data.present[:6] = torch.tensor([True, False, False])  # nothing to impute from
    data.present[6:9] = False
    found, embedding, method, fusion = terms(data, kl=0.5, rec=2.0, eta=0.3)
    z = torch.where(data.present.unsqueeze(-1), embedding.z, 0.0)
    x = [torch.where(data.present[:, m, None], z[:, m], imputation(fusion, z, m)) for m in range(3)]
    torch.testing.assert_close(found["fused"], F.cross_entropy(fusion.head(torch.cat(x, 1)), data.target))
    alone = sum(F.cross_entropy(method.classifiers[m](x[m]), data.target) for m in range(3))
    torch.testing.assert_close(found["unimodal"], alone)

    assert embedding.mean is not None
    assert embedding.logvar is not None
    kl = kl_divergence(Normal(embedding.mean, (embedding.logvar / 2).exp()), Normal(0.0, 1.0)).sum(-1)
    torch.testing.assert_close(found["bottleneck"], 0.5 * sum(kl[data.present[:, m], m].mean() for m in range(3)))

    rec = []
    for m in range(3):
        rows = data.present[:, m] & (data.present.sum(1) > 1)
        rec.append(float((imputation(fusion, z, m) - z[:, m])[rows].detach().square().sum(1).mean()))
    level = sum(rec) / 3
    beta = torch.tensor([1 - 0.45 * (level - loss) / level for loss in rec])
    expected = 2.0 * (beta / beta.norm() * torch.tensor(rec)).sum()
    assert float(found["imputation"].detach()) == pytest.approx(float(expected), rel=1e-4)
    assert method.average.tolist() == pytest.approx([0.7 * loss for loss in rec], rel=1e-4)
    assert int(method.step) == 1


def test_the_label_supervises_what_was_imputed() -> None:
    data = toy(2)
    data.present[:, 1] = False
    for term in ("fused", "unimodal"):
        found, *_, fusion = terms(data)
        found[term].backward()
        assert all(p.grad is not None and p.grad.any() for p in fusion.imputers[1].leave.parameters())


def test_reconstruction_reaches_both_of_its_sides() -> None:
    data = toy(2)
    model, method, fusion = built(data)
    embedding = model.embedding(data.inputs, data.present)
    embedding.z.retain_grad()
    method.losses(model, data.batch(), embedding)["imputation"].backward()
    assert embedding.z.grad is not None
    weight = method.beta.float() * method.rec * 2 / len(data.target)
    z = embedding.z.detach().requires_grad_()
    gap = torch.stack([imputation(fusion, z, m) - z[:, m] for m in range(2)], 1).detach()
    through = torch.autograd.grad(fusion.impute(z), z, weight[:, None] * gap)[0]
    torch.testing.assert_close(embedding.z.grad, through - weight[:, None] * gap)


def test_with_complete_data_the_imputers_learn_from_reconstruction() -> None:
    data = toy(2)
    model, method, fusion = built(data)
    before = fusion.imputers[0].leave[2].bias.detach().clone()
    assert float(step(model, method, data.batch())["imputation"].detach()) > 0
    grads = [p.grad for p in fusion.imputers.parameters()]
    assert all(grad is not None and grad.any() for grad in grads)
    train(model, method, data, range(1), optimiser(model, method))
    assert not torch.equal(before, fusion.imputers[0].leave[2].bias)


def test_one_modality_is_a_variational_bottleneck_with_nothing_to_impute() -> None:
    data = toy(1)
    found, _, method, _ = terms(data)
    assert float(found["imputation"].detach()) == 0
    assert method.beta.tolist() == [1]
    assert method.average.tolist() == [0]


def test_a_modality_nobody_has_neither_moves_the_others_nor_loses_its_place() -> None:
    data = toy(3)
    data.present[:, 2] = False
    found, _, method, _ = terms(data)
    assert all(term.isfinite() for term in found.values())
    two = update_beta(torch.ones(3).double(), relative_advantage(method.average), 0.15)
    torch.testing.assert_close(method.beta, two)
    assert float(method.average[2]) == 0
    assert float(method.beta[0] + method.beta[1]) == pytest.approx(2 * float(method.beta[2]))  # r_1 + r_2 = 0, r_3 = 0


def test_both_places_are_filled_and_a_sample_without_anything_is_answered() -> None:
    model, _, _ = built(toy(3))
    assert isinstance(model.bottleneck, VariationalBottleneck)
    model.eval()
    said = model.decode(torch.full((2, 3, WIDTH), torch.nan), torch.zeros(2, 3, dtype=torch.bool))
    assert said.shape == (2, CLASSES)
    assert said.isfinite().all()
