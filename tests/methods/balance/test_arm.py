"""ARM against values by hand, brute force over samples, and what may not reach the exported graph."""

import math

import pytest
import torch
import torch.nn.functional as F
from toys import CLASSES, SAMPLES, SIZE, Toy, optimiser, ready, step, toy, train

from robustmm.errors import UsageError
from robustmm.methods.balance.arm import ARM, Scaling, contributions, mean_of_others, sampling_weights, scales
from robustmm.methods.coalitions import unimodal_and_fused
from robustmm.model.fusion_model import FusionModel


def arm(data: Toy, fusion: str = "concat", **options: object) -> tuple[FusionModel, ARM]:
    model, method = ready("arm", data, fusion, {"arm": options})
    assert isinstance(method, ARM)
    return model, method


def logits(model: FusionModel, z: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    return model.decode(z, kept.expand(len(z), -1))


def test_two_modalities_have_the_codes_contributions_and_ratios() -> None:
    p_f, p_a, p_v, ce_a, ce_v, ce = 0.7, 0.6, 0.4, 0.5, 0.9, 0.3
    C = 3
    nmi = [1 - x / math.log(C) for x in (ce_a, ce_v)]
    ncmi = [(rest - ce) / math.log(C) for rest in (ce_v, ce_a)]
    pc = [p_f * nmi[0] + p_v * (nmi[0] - ncmi[0]), p_f * nmi[1] + p_a * (nmi[1] - ncmi[1])]
    means = torch.tensor([[p_a, p_v], [p_f, p_f], [ce_a, ce_v], [ce_v, ce_a], [ce, ce]])
    found = contributions(means, torch.tensor([True, True]), C)
    assert found.tolist() == pytest.approx([max(x, 0.0) for x in pc])
    ratio = (0.5 + float(found[1])) / (0.5 + float(found[0]))
    assert scales(found).tolist() == pytest.approx([ratio, 1 / ratio])


def test_information_is_cut_to_zero_and_one_and_contributions_to_zero() -> None:
    seen = torch.tensor([True, True])
    worse = torch.tensor([[0.5, 0.5], [1.0, 1.0], [9.0, 9.0], [0.2, 0.2], [0.9, 0.9]])  # both bounds negative
    assert contributions(worse, seen, 3).tolist() == [0, 0]
    much = torch.tensor([[0.5, 0.5], [1.0, 1.0], [0.0, 0.0], [9.0, 0.0], [0.0, 0.0]])
    assert contributions(much, seen, 3).tolist() == pytest.approx([1.0, 1.5])  # 1 + .5 (1 - 1), 1 + .5 (1 - 0)


def test_scales_are_the_others_mean_over_ones_own_with_a_prior() -> None:
    assert scales(torch.tensor([1.0, 0.5, 0.25])).tolist() == pytest.approx([0.875 / 1.5, 1.125, 1.25 / 0.75])
    assert scales(torch.tensor([2.0, 0.0])).tolist() == pytest.approx([0.2, 5.0])  # no two can be further apart
    assert scales(torch.tensor([0.3])).tolist() == [1]
    seen = torch.tensor([True, False, True])
    assert mean_of_others(torch.tensor([2.0, torch.nan, 4.0]), seen).tolist() == [4, 3, 2]
    assert mean_of_others(torch.tensor([2.0]), torch.tensor([True])).tolist() == [0]


def answer(model: FusionModel, z: torch.Tensor, kept: torch.Tensor, y: int) -> tuple[float, float]:
    """Probability and cross-entropy of one sample's class; nothing at all is a blind guess."""
    p = float(logits(model, z, kept)[0].detach().softmax(0)[y])
    return p, -math.log(p) if kept.any() else math.log(CLASSES)


@pytest.mark.parametrize("fusion", ["concat", "gated"])
@pytest.mark.parametrize("missing", [0.0, 0.5])
def test_a_step_measures_every_sample_before_the_scaling(fusion: str, missing: float) -> None:
    data = toy(3, missing=missing)
    model, method = arm(data, fusion, ema=0.0, warmup=0)
    train(model, method, data, range(6), optimiser(model, method))
    model.bottleneck.scale = torch.tensor([0.5, 2.0, 3.0])
    batch = data.batch()
    method.update_contribution(model, batch, model.embedding(batch.inputs, batch.present))
    z = model.encode(data.inputs, data.present).detach()
    sums, counts = torch.zeros(5, 3, dtype=torch.float64), torch.zeros(3)
    for b, y in enumerate(data.target.tolist()):
        has = data.present[b]

        for m in has.nonzero()[:, 0].tolist():
            one = torch.zeros(3, dtype=torch.bool)
            one[m] = True
            alone, rest, whole = (answer(model, z[b : b + 1], kept, y) for kept in (one, has & ~one, has))
            sums[:, m] += torch.tensor([alone[0], whole[0], alone[1], rest[1], whole[1]])
            counts[m] += 1
    expected = contributions(sums / counts, torch.ones(3, dtype=torch.bool), CLASSES)
    assert expected.min() > 0.001  # the floor hides nothing
    torch.testing.assert_close(method.contribution, expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(model.bottleneck.scale, scales(expected).float(), rtol=1e-4, atol=1e-6)


def test_contributions_move_slowly_and_scales_wait_for_the_warm_up() -> None:
    data = toy(2)
    model, method = arm(data, ema=0.75, warmup=0.01)
    method.contribution.copy_(torch.tensor([0.5, 0.25]))
    step(model, method, data.batch())
    other, now = arm(data, ema=0.0)
    step(other, now, data.batch())
    torch.testing.assert_close(method.contribution, torch.tensor([0.375, 0.1875]).double() + 0.25 * now.contribution)
    assert model.bottleneck.scale.tolist() == [1, 1]
    method.end_epoch(model, data)
    step(model, method, data.batch())
    torch.testing.assert_close(model.bottleneck.scale, scales(method.contribution).float())
    assert model.bottleneck.scale.tolist() != [1, 1]


def test_a_modality_nobody_has_keeps_its_contribution() -> None:
    data = toy(3)
    data.present[:, 1] = False
    model, method = arm(data, warmup=0)
    method.contribution.copy_(torch.tensor([0.5, 0.3, 0.4]))
    step(model, method, data.batch())
    assert float(method.contribution[1]) == pytest.approx(0.3)
    assert method.contribution[0] != 0.5


def test_scaled_gradients_are_those_of_the_scale_the_step_used() -> None:
    data = toy(2)
    model, method = arm(data, warmup=0, weight=0.0, mi=0.0)
    model.bottleneck.scale = torch.tensor([0.5, 3.0])
    step(model, method, data.batch())
    found = model.encoders["m1"][0].weight.grad.clone()
    model.zero_grad()
    z = model.encode(data.inputs, data.present) * torch.tensor([0.5, 3.0])[:, None]
    F.cross_entropy(model.decode(z, data.present), data.target).backward()
    torch.testing.assert_close(found, model.encoders["m1"][0].weight.grad)


def test_the_bottleneck_scales_each_column_by_a_constant_of_its_own() -> None:
    data = toy(3)
    model, method = arm(data, warmup=0, resample=False)
    train(model, method, data, range(2), optimiser(model, method))
    model.eval()
    assert isinstance(model.bottleneck, Scaling)
    assert len(set(model.bottleneck.scale.tolist())) == 3
    z = model.embed(data.inputs)
    for m, name in enumerate(model.modalities):
        torch.testing.assert_close(model.embed_one(name, data.inputs[name]), z[:, m])
    torch.testing.assert_close(z, model.encode(data.inputs) * model.bottleneck.scale[:, None])
    few = {name: x[:1] for name, x in data.inputs.items()}  # no labels are asked for, and mates change nothing
    torch.testing.assert_close(model.embed(few), z[:1])


@pytest.mark.parametrize("missing", [0.0, 0.4])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_min_max_term_by_hand(missing: float, weighted: bool) -> None:
    classes = torch.tensor([0.5, 1.0, 4.0]) if weighted else None
    data = toy(3, missing=missing, class_weight=classes)
    for form in ("weakest", "range"):
        model, method = arm(data, minmax=form, weight=2.0)
        losses = step(model, method, data.batch())
        z = model.embed(data.inputs, data.present)
        w = torch.ones(SAMPLES) if classes is None else classes[data.target]
        C, errors = [], []
        for m in range(3):
            rows = data.present[:, m]
            said = logits(model, z, torch.eye(3, dtype=torch.bool)[m])[rows]
            p = said.softmax(1).gather(1, data.target[rows, None])[:, 0]
            C.append((w[rows] * p).sum() / w[rows].sum())
            errors.append(F.cross_entropy(said, data.target[rows], weight=classes))
        C = torch.stack(C)
        expected = errors[int(C.argmin())] if form == "weakest" else C.max() - C.min()
        torch.testing.assert_close(losses["minmax"], 2 * expected)


def test_the_range_term_lowers_the_best_and_lifts_the_worst() -> None:
    data = toy(2)
    model, method = arm(data, minmax="range")
    alone = torch.zeros(2, SAMPLES, CLASSES)
    alone[0, torch.arange(SAMPLES), data.target] = 2.0
    alone.requires_grad_()
    batch = data.batch()
    method.minmax_loss(model, batch, model.embedding(batch.inputs, batch.present), alone, alone[0]).backward()
    own = alone.grad.gather(-1, data.target.expand(2, -1).unsqueeze(-1))
    assert (own[0] > 0).all()
    assert (own[1] < 0).all()


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_the_information_term_by_a_loop_over_samples(missing: float) -> None:
    classes = torch.tensor([0.5, 1.0, 4.0])
    data = toy(3, missing=missing, class_weight=classes)
    model, method = arm(data, minmax="information", weight=2.0, mi=3.0)
    losses = step(model, method, data.batch())
    z = model.embed(data.inputs, data.present)
    nmi, ncmi, total = torch.zeros(3), torch.zeros(3), torch.zeros(3)
    for b, y in enumerate(data.target.tolist()):
        has, w = data.present[b], float(classes[y])
        for m in has.nonzero()[:, 0].tolist():
            one = torch.arange(3) == m
            alone, rest, whole = (answer(model, z[b : b + 1], kept, y)[1] for kept in (one, has & ~one, has))
            nmi[m] += w * (1 - alone / math.log(CLASSES))
            ncmi[m] += w * (rest - whole) / math.log(CLASSES)
            total[m] += w
    nmi, ncmi = nmi / total, ncmi / total
    torch.testing.assert_close(losses["minmax"], 2 * (ncmi.max() - ncmi.min()) - 3 * nmi.mean(), rtol=1e-4, atol=1e-5)


def test_the_information_term_raises_information_where_a_cut_would_stop_it_and_narrows_the_conditional() -> None:
    data = toy(2)
    batch = data.batch()
    for weight, mi in ((0.0, 1.0), (1.0, 0.0)):
        model, method = arm(data, minmax="information", weight=weight, mi=mi, warmup=1.0)
        for p in model.fusion.parameters():
            p.data *= 20  # sure and wrong: CE above log C, information below 0
        steps = torch.optim.SGD(model.parameters(), lr=1e-3)
        found = []
        for _ in range(20):
            embedding = model.embedding(batch.inputs, batch.present)
            unimodal, fused = unimodal_and_fused(model, embedding)
            nmi, ncmi = method.information(model, batch, embedding, unimodal, fused)
            found.append((float(nmi.detach().mean()), float((ncmi.max() - ncmi.min()).detach())))
            steps.zero_grad()
            method.minmax_loss(model, batch, embedding, unimodal, fused).backward()
            steps.step()
        assert found[0][0] < 0
        assert found[-1][0] > found[0][0] if mi else found[-1][1] < found[0][1]


@pytest.mark.parametrize("M", [2, 3])
def test_scales_stay_off_their_limits_beside_a_modality_that_knows_nothing(M: int) -> None:
    data = toy(M)
    torch.manual_seed(0)
    data.inputs[f"m{M - 1}"] = torch.randn(SAMPLES, SIZE)  # noise
    model, method = arm(data, warmup=0)
    train(model, method, data, range(15), optimiser(model, method))
    assert isinstance(model.bottleneck, Scaling)
    scale = model.bottleneck.scale.tolist()
    assert max(scale) == scale[-1] > 1.2  # the weak one is enlarged
    assert max(scale) < 4
    assert min(scale) > 0.3
    assert method.contribution[:-1].min() > 0.5, "and the others are not starved for it"


@pytest.mark.parametrize("form", ["weakest", "range"])
def test_with_nothing_to_compare_there_is_no_min_max_term(form: str) -> None:
    lone = toy(3)
    lone.present[:, :2] = False
    for data in (toy(1), lone):
        model, method = arm(data, minmax=form)
        assert step(model, method, data.batch())["minmax"] == 0


def test_the_weakest_is_chosen_among_those_present() -> None:
    data = toy(3)
    data.present[:, 2] = False
    model, method = arm(data, minmax="weakest")
    losses = step(model, method, data.batch())
    z = model.embed(data.inputs, data.present)
    alone = [logits(model, z, torch.eye(3, dtype=torch.bool)[m]).detach() for m in range(2)]
    errors = [F.cross_entropy(said, data.target) for said in alone]
    said = [float(each.softmax(1).gather(1, data.target[:, None]).mean()) for each in alone]
    torch.testing.assert_close(losses["minmax"], 0.5 * errors[int(said[1] < said[0])])


def test_worth_is_the_probability_of_a_right_answer_and_zero_of_a_wrong_one() -> None:
    data = toy(2)
    _, method = arm(data)
    batch = data.batch(slice(0, 4))
    batch.index = torch.tensor([7, 3, 5, 3])  # 3 twice
    batch.target = torch.tensor([0, 1, 2, 1])
    fused = torch.tensor([[2.0, 0, 0], [0, 3.0, 0], [1.0, 0, 0], [0, 0.5, 0]])
    method.worth.fill_(0.25)
    method.record_sample_values(fused, batch)
    p = fused.softmax(1)
    assert float(method.worth[7]) == pytest.approx(float(p[0, 0]))
    assert float(method.worth[5]) == 0
    assert float(method.worth[3]) == pytest.approx(float(p[3, 1]))  # the lesser
    assert float(method.worth[0]) == 0.25


def test_worth_is_the_sum_of_shapley_values_which_pass_the_thresholds_their_mean_never_does() -> None:
    v_empty, v_a, v_v, v_full = 0.0, 0.9, 0.3, 0.95
    c_a = 0.5 * (v_a - v_empty) + 0.5 * (v_full - v_v)
    c_v = 0.5 * (v_v - v_empty) + 0.5 * (v_full - v_a)
    assert c_a + c_v == pytest.approx(v_full)
    assert sampling_weights(torch.tensor([c_a + c_v])).tolist() == [2]
    assert sampling_weights(torch.tensor([(c_a + c_v) / 2])).tolist() == [4]
    assert sampling_weights(torch.tensor([0.0, 0.49, 0.5, 0.89, 0.9, 1.0])).tolist() == [4, 4, 3, 3, 2, 2]


def test_samples_are_drawn_anew_after_the_warm_up_and_once_seen() -> None:
    data = toy(2)
    model, method = arm(data, warmup=0.02)
    step(model, method, data.batch())
    assert method.sample_weights(0) is method.sample_weights(1) is None
    weights = method.sample_weights(2)
    assert weights is not None
    torch.testing.assert_close(weights, sampling_weights(method.worth))
    assert method.worth.max() > 0
    assert arm(data, warmup=0)[1].sample_weights(0) is None
    assert arm(data, warmup=0)[1].sample_weights(1) is not None
    assert arm(data, resample=False)[1].sample_weights(9) is None


def test_it_is_refused_beside_another_bottleneck() -> None:
    with pytest.raises(UsageError, match="bottleneck"):
        ready("arm+cal", toy(2))
