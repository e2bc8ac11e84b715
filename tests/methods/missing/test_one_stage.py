"""One-stage distillation against double loops, torch.distributions and the paper's two-stream formulas."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Categorical, kl_divergence
from toys import CLASSES, WIDTH, Toy, ready, step, toy

from robustmm.methods.base import Batch
from robustmm.methods.missing import one_stage
from robustmm.methods.missing.one_stage import OneStage, divergence, maximum_mean_discrepancy
from robustmm.methods.missing.translation import Translation, concat_others
from robustmm.model.fusion_model import FusionModel


def built(data: Toy, **options: object) -> tuple[FusionModel, OneStage, Translation]:
    model, method = ready("one-stage", data, options={"one-stage": options})
    assert isinstance(method, OneStage)
    assert isinstance(model.fusion, Translation)
    return model, method, model.fusion


def keeping(monkeypatch: pytest.MonkeyPatch, *modalities: int) -> None:
    """K = these modalities, where the sample has them."""

    def kept(present: Tensor) -> Tensor:
        return present & torch.tensor([m in modalities for m in range(present.shape[1])])

    monkeypatch.setattr(one_stage, "draw_combination", kept)


def terms(model: FusionModel, method: OneStage, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
    embedding = model.embedding(batch.inputs, batch.present)
    return method.losses(model, batch, embedding), embedding.z


def reference_mmd(x: Tensor, y: Tensor) -> float:
    """The definition, pair by pair."""
    n, rows = len(x), [*x.detach(), *y.detach()]
    pairs = list(itertools.permutations(range(2 * n), 2))
    b = sum(float((rows[i] - rows[j]).square().sum()) for i, j in pairs) / ((2 * n) ** 2 - 2 * n) / 4

    def k(i: int, j: int) -> float:
        d = float((rows[i] - rows[j]).square().sum())
        return sum(math.exp(-d / (b * 2**e)) for e in range(5))

    return sum(k(i, j) + k(n + i, n + j) - k(i, n + j) - k(n + i, j) for i in range(n) for j in range(n)) / n**2


# the two distances


@pytest.mark.parametrize("n", [2, 3, 7])
def test_mmd_is_its_definition(n: int) -> None:
    x, y = torch.randn(n, 4), 2 * torch.randn(n, 4) + 1
    assert float(maximum_mean_discrepancy(x, y)) == pytest.approx(reference_mmd(x, y), rel=1e-4)


def test_mmd_is_zero_for_identical_and_for_too_small_sets_and_grows_with_the_distance() -> None:
    x = torch.randn(6, 4)
    assert float(maximum_mean_discrepancy(x, x.flip(0))) == pytest.approx(0, abs=1e-6)
    assert float(maximum_mean_discrepancy(torch.ones(3, 4), torch.ones(3, 4))) == 0
    for n in (0, 1):
        assert float(maximum_mean_discrepancy(torch.randn(n, 4), torch.randn(n, 4))) == 0
    near, far = (float(maximum_mean_discrepancy(x, torch.randn(6, 4) + shift)) for shift in (1, 5))
    assert 0 < near < far


def test_the_gradient_of_mmd_leaves_the_bandwidth_alone() -> None:
    x, y = torch.randn(4, 3, dtype=torch.float64).float().requires_grad_(), torch.randn(4, 3)
    maximum_mean_discrepancy(x, y).backward()
    both = torch.cat([x.detach(), y])
    b = (both[:, None] - both[None]).square().sum() / 56 / 4  # 8 rows have 56 ordered pairs
    expected = torch.zeros(4, 3)
    for i, j in itertools.product(range(4), range(8)):
        d = x.detach()[i] - both[j]
        slope = sum(-torch.exp(-d.square().sum() / (b * 2**e)) / (b * 2**e) for e in range(5))
        expected[i] += (1 if j < 4 else -1) * slope * 4 * d / 16  # each pair stands twice, and d|d|^2 = 2 d
    assert x.grad is not None
    torch.testing.assert_close(x.grad, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("T", [1.0, 2.0, 5.0])
def test_the_answers_divergence_is_torchs(T: float) -> None:
    teacher, student = torch.randn(6, CLASSES), torch.randn(6, CLASSES)
    expected = T**2 * kl_divergence(Categorical(logits=teacher / T), Categorical(logits=student / T))
    torch.testing.assert_close(divergence(teacher, student, T), expected)
    assert divergence(teacher, teacher + 3, T).abs().max() < 1e-5


# the fusion


def block(fusion: Translation, m: int, x: Tensor) -> Tensor:
    return F.relu(x @ fusion.weight[m].T + fusion.bias[m])


def test_two_modalities_are_translated_by_the_papers_formulas(monkeypatch: pytest.MonkeyPatch) -> None:
    data = toy(2)
    model, method, fusion = built(data)
    keeping(monkeypatch, 0)
    batch = data.batch()
    found, z = terms(model, method, batch)
    z_a, z_h = z[:, 0], fusion.hallucinators[1](z[:, 0])
    h_a, a_to_h = block(fusion, 0, z_a), block(fusion, 1, z_a)
    h_h, h_to_a = block(fusion, 1, z_h), block(fusion, 0, z_h)
    fused = fusion.head(torch.cat([(h_a + h_to_a) / 2, (h_h + a_to_h) / 2], 1))
    auxiliary = [fusion.head(torch.cat(pair, 1)) for pair in ((h_a, a_to_h), (h_to_a, h_h))]
    torch.testing.assert_close(found["fused"], F.cross_entropy(fused, batch.target))
    expected = sum(F.cross_entropy(logits, batch.target) for logits in auxiliary)
    torch.testing.assert_close(found["auxiliary"], expected)
    only = torch.tensor([True, False]).expand(len(z), 2)
    torch.testing.assert_close(model.decode(z, only), fused)  # and the model is used as it was trained


def test_a_hallucination_reads_the_others_and_nothing_of_its_own() -> None:
    z = torch.arange(24.0).view(2, 3, 4)
    assert concat_others(z, 1).tolist() == torch.cat([z[:, 0], z[:, 2]], 1).tolist()
    _, _, fusion = built(toy(3))
    z = torch.randn(5, 3, WIDTH, requires_grad=True)
    for m in range(3):
        (gradient,) = torch.autograd.grad(fusion.hallucinate(z)[:, m].sum(), z)
        assert (gradient.abs().sum((0, 2)) == 0).tolist() == [k == m for k in range(3)]


@pytest.mark.parametrize("M", [1, 2, 3])
def test_what_is_there_takes_its_place_and_what_is_not_is_made_up_for(M: int) -> None:
    _, _, fusion = built(toy(M))
    for held in itertools.product([False, True], repeat=M):
        present = torch.tensor([held] * 4)
        z = torch.where(present.unsqueeze(-1), torch.randn(4, M, WIDTH), 0.0)
        made = [
            z[:, m] if held[m] else fusion.hallucinators[m](concat_others(z, m)) if M > 1 else torch.zeros(4, WIDTH)
            for m in range(M)
        ]
        streams = [fusion.head(torch.cat([block(fusion, m, x) for m in range(M)], 1)) for x in made]
        torch.testing.assert_close(fusion(z, present), torch.stack(streams).mean(0))  # the head is affine


# the method


def test_the_adaptation_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    data = toy(3)
    data.present[::2, 1] = False  # of the two that K drops, modality 1 is there for every other sample only
    model, method, fusion = built(data, jda=0.5, mmd=3.0, kl=0.7, temperature=4.0)
    keeping(monkeypatch, 0)
    batch = data.batch(slice(0, 12))
    found, z = terms(model, method, batch)
    seen = torch.zeros_like(z)
    seen[:, 0] = z[:, 0]
    expected = torch.zeros(())
    for m, rows in ((1, slice(1, None, 2)), (2, slice(None))):
        h, real, g = fusion.hallucinators[m](concat_others(seen, m))[rows], z[rows, m], method.classifiers[m]
        answers = kl_divergence(Categorical(logits=g(real) / 4), Categorical(logits=g(h) / 4)).mean()
        expected = expected + 0.5 * (3.0 * reference_mmd(h, real) + 0.7 * 16 * answers)
    torch.testing.assert_close(found["distillation"], expected, rtol=1e-4, atol=1e-6)
    taught = [(0, slice(None)), (1, slice(1, None, 2)), (2, slice(None))]
    teacher = sum(F.cross_entropy(method.classifiers[m](z[rows, m]), batch.target[rows]) for m, rows in taught)
    torch.testing.assert_close(found["teacher"], teacher)


def test_only_the_student_learns_from_the_adaptation(monkeypatch: pytest.MonkeyPatch) -> None:
    data = toy(2)
    model, method, fusion = built(data)
    keeping(monkeypatch, 0)
    names = list(model.modalities)
    found, _ = terms(model, method, data.batch())
    found["distillation"].backward(retain_graph=True)
    assert all(p.grad is None for p in method.classifiers.parameters())
    assert all(p.grad is None or not p.grad.any() for p in model.encoders[names[1]].parameters())
    for learns in (model.encoders[names[0]], fusion.hallucinators[1]):
        assert all(p.grad is not None and p.grad.any() for p in learns.parameters())
    found["teacher"].backward()
    for learns in (method.classifiers, model.encoders[names[1]]):
        assert all(p.grad is not None and p.grad.any() for p in learns.parameters())


def test_either_distance_teaches_the_hallucination(monkeypatch: pytest.MonkeyPatch) -> None:
    data = toy(2)
    keeping(monkeypatch, 0)
    for options in ({"kl": 0.0}, {"mmd": 0.0}):
        model, method, fusion = built(data, **options)
        terms(model, method, data.batch())[0]["distillation"].backward()
        assert all(p.grad is not None and p.grad.any() for p in fusion.hallucinators[1].parameters())


def test_nothing_is_adapted_where_nothing_was_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    data = toy(2)
    data.present[:, 1] = False
    model, method, _ = built(data)
    assert float(terms(model, method, data.batch())[0]["distillation"].detach()) == 0  # K is all there is
    data.present[:1, 1] = True
    keeping(monkeypatch, 0)
    model, method, _ = built(data, kl=0.0)
    assert float(terms(model, method, data.batch())[0]["distillation"].detach()) == 0  # one row has no distribution


def test_what_k_dropped_reaches_the_answer_in_no_other_way() -> None:
    data = toy(3, missing=0.3)
    model, method, _ = built(data)
    batch = data.batch()
    torch.manual_seed(5)
    kept = one_stage.draw_combination(batch.present)
    assert (kept != batch.present).any()
    embedding = model.embedding(batch.inputs, batch.present)
    torch.manual_seed(5)
    found = method.losses(model, batch, embedding)
    expected = F.cross_entropy(model.decode(embedding.z, kept), batch.target)
    torch.testing.assert_close(found["fused"], expected)


def test_one_modality_is_trained_plainly() -> None:
    data = toy(1)
    model, method, _ = built(data)
    losses = step(model, method, data.batch())
    embedding = model.embedding(data.inputs, data.present)
    plain = F.cross_entropy(model.decode(embedding.z, data.present), data.target)
    assert [float(losses[term].detach()) for term in method.terms] == pytest.approx([float(plain.detach()), 0, 0, 0])


def test_samples_that_lack_everything_are_answered_from_nothing() -> None:
    data = toy(3)
    data.present[:8] = False
    model, method, _ = built(data)
    losses = step(model, method, data.batch(slice(0, 8)))
    assert all(term.isfinite() for term in losses.values())
    assert float(losses["teacher"].detach()) == float(losses["distillation"].detach()) == 0
    said = model.decode(torch.full((2, 3, WIDTH), torch.nan), torch.zeros(2, 3, dtype=torch.bool))
    assert said.isfinite().all()
    torch.testing.assert_close(said[0], said[1])


def test_it_says_that_it_is_a_reconstruction() -> None:
    assert "reconstruction" in (one_stage.__doc__ or "")
    assert "Reconstruction" in (OneStage.__doc__ or "")
