import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import ready, toy

from robustmm.methods.coalitions import all_coalitions
from robustmm.metrics.contribution import subset_masks
from robustmm.metrics.interaction import additive_projection, cross_modal_gap, information_confidence
from robustmm.model.fusion_model import Coalitions

QUICK = settings(deadline=None, max_examples=50)
SEEDS = st.integers(0, 2**32 - 1)


def pairings(model, modalities):
    """[m, i, j] = model(modality m of sample i, the others of sample j), one pairing at a time."""
    n = len(modalities[0])
    pairings = [[[model(*(x[i if k == m else j] for k, x in enumerate(modalities))) for j in range(n)]
                 for i in range(n)] for m in range(len(modalities))]  # fmt: skip
    return np.array(pairings, dtype=float)


def clean(model, modalities):
    return np.array([model(*sample) for sample in zip(*modalities, strict=True)], dtype=float)


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def xor(a, b):
    agree = a * b
    return [agree, -agree]


SIGNS = np.array([-1, -1, 1, 1]), np.array([-1, 1, -1, 1])


def test_xor_is_all_gap():
    target = (SIGNS[0] != SIGNS[1]).astype(int)
    cross, outputs = pairings(xor, SIGNS), clean(xor, SIGNS)
    assert (additive_projection(cross) == 0).all()
    assert cross_modal_gap(outputs, cross, target) == (1.0, 0.5, 0.5)


def test_projection_by_hand():
    # f(a, b) = a b + a + 2 b of a in (0, 2), b in (1, 5): rows a = 0: 2, 10; a = 2: 6, 22
    cross = pairings(lambda a, b: [a * b + a + 2 * b], ([0, 2], [1, 5]))
    # sample 0: mean over b (2 + 10)/2 = 6, mean over a (2 + 6)/2 = 4; sample 1: 14 and 16; everything 10
    assert additive_projection(cross).tolist() == [[6 + 4 - 10], [14 + 16 - 10]]


@QUICK
@given(SEEDS, st.integers(2, 4), st.integers(1, 6), st.integers(2, 4))
def test_an_additive_model_is_its_own_projection_and_has_no_gap(seed, M, n, classes):
    rng = np.random.default_rng(seed)
    says = rng.normal(size=(M, n, classes))
    modalities = [range(n)] * M

    def model(*rows):
        return sum(says[m, row] for m, row in enumerate(rows))

    cross, outputs, target = pairings(model, modalities), clean(model, modalities), rng.integers(classes, size=n)
    np.testing.assert_allclose(additive_projection(cross), outputs, atol=1e-12)
    full, projected, gap = cross_modal_gap(outputs, cross, target)
    assert full == projected == pytest.approx((outputs.argmax(axis=1) == target).mean())
    assert gap == 0


@QUICK
@given(SEEDS, st.integers(2, 6))
def test_of_two_modalities_it_is_the_nearest_additive_model(seed, n):
    """Least squares over all pairings, with an unknown a value of either modality (Hessel & Lee 2020, section 3)."""
    outputs = np.random.default_rng(seed).normal(size=(n, n, 3))
    i, j = np.divmod(np.arange(n * n), n)
    design = np.hstack([np.eye(n)[i], np.eye(n)[j]])
    fitted = design @ np.linalg.lstsq(design, outputs.reshape(-1, 3), rcond=None)[0]
    cross = np.stack([outputs, outputs.transpose(1, 0, 2)])
    np.testing.assert_allclose(additive_projection(cross), fitted.reshape(n, n, 3)[range(n), range(n)], atol=1e-9)


def test_of_three_modalities_the_others_are_drawn_jointly():
    """a b c with b = c: to a, the product of the others is their variance, so what is shared is taken for a's own."""
    a, b = np.array([-1.0, -1, 1, 1]), np.array([-1.0, 1, -1, 1])

    def product(a, b, c):
        return [a * b * c]

    assert additive_projection(pairings(product, (a, b, b)))[:, 0].tolist() == a.tolist()
    # of a with mean 1, what is everything depends on who is drawn alone: 1 for a, 0 for b and c, 1/3 in all
    projected = additive_projection(pairings(product, (a + 1, b, b)))[:, 0]
    np.testing.assert_allclose(projected, a + 1 - 2 / 3)
    eight = subset_masks(3) * 2.0 - 1  # all independent: nothing of the interaction is anyone's own
    assert (additive_projection(pairings(product, eight.T)) == 0).all()


def test_a_pairwise_interaction_of_independent_modalities_is_left_out():
    eight = subset_masks(3).T * 2.0 - 1
    cross = pairings(lambda a, b, c: [a * b + 3 * c + a], eight)
    np.testing.assert_allclose(additive_projection(cross)[:, 0], 3 * eight[2] + eight[0])


@QUICK
@given(SEEDS, st.integers(2, 3))
def test_log_probabilities_and_logits_predict_alike(seed, M):
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(4,) * M + (3,))

    def model(*rows):
        return table[rows]

    cross, outputs, target = (
        pairings(model, [range(4)] * M),
        clean(model, [range(4)] * M).reshape(4, 3),
        rng.integers(3, size=4),
    )
    shift = additive_projection(cross) - additive_projection(log_softmax(cross))
    np.testing.assert_allclose(shift, shift[:, :1].repeat(3, axis=1), atol=1e-12)
    probabilities = np.exp(log_softmax(outputs))
    assert cross_modal_gap(outputs, cross, target) == cross_modal_gap(probabilities, log_softmax(cross), target)


def test_half_precision_is_summed_in_double():
    cross = np.zeros((2, 4, 4, 1), np.float16) + np.array([2000, 2001, 2000, 2001], np.float16)[:, None]
    assert additive_projection(cross).tolist() == [[2000.5]] * 4  # which half precision cannot say


def test_pairings_that_are_none_are_a_sentence():
    for shape in ((2, 3, 4, 2), (1, 3, 3, 2), (3, 3, 3), (2, 3, 3, 2, 2), (2, 0, 0, 2)):
        with pytest.raises(ValueError, match=r"of at least two modalities, got shape"):
            additive_projection(np.zeros(shape))
    for wrong in (np.nan, -np.inf):
        with pytest.raises(ValueError, match="finite logits or log-probabilities"):
            additive_projection(np.full((2, 3, 3, 2), wrong))
    cross = np.zeros((2, 3, 3, 2))
    for outputs, target in ((np.zeros((4, 2)), np.zeros(4, int)), (np.zeros((3, 2)), np.zeros((3, 1), int))):
        with pytest.raises(ValueError, match=r"outputs \(3, 2\) and target \(3,\)"):
            cross_modal_gap(outputs, cross, target)
    with pytest.raises(ValueError, match="finite outputs"):
        cross_modal_gap(np.full((3, 2), np.nan), cross, np.zeros(3, int))


def softmax(logits):
    return np.exp(log_softmax(logits))


def played(seed, M, samples=12, classes=3, missing=0.0, scale=2.0):
    """Logits (sample, 2**M, class) that know only what is present, targets and presence."""
    rng = np.random.default_rng(seed)
    present = rng.random((samples, M)) >= missing
    present[:, 0] |= ~present.any(axis=1)
    logits = scale * rng.normal(size=(samples, 2**M, classes))
    members = present @ (1 << np.arange(M))
    cut = np.take_along_axis(logits, (np.arange(2**M) & members[:, None])[..., None], axis=1)
    return cut, rng.integers(classes, size=samples), present


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("missing", [0.0, 0.5])
@pytest.mark.parametrize("M", [1, 2, 3, 5])
def test_it_is_what_the_method_cal_measures(M, missing, weight):
    """A second implementation: one step of training in torch, without the moving average."""
    logits, target, present = played(M, M, samples=96, missing=missing)
    data = toy(M)
    data.target, data.present = torch.from_numpy(target), torch.from_numpy(present)
    _, method = ready("cal", data, "concat", {"cal": {"beta": 0, "ema": 0, "mix": weight}})
    masks, weights, unimodal = (torch.from_numpy(each) for each in all_coalitions(M))
    method.update_contribution(
        Coalitions(masks, weights, unimodal, torch.from_numpy(logits).transpose(0, 1)), data.batch()
    )
    ours = information_confidence(softmax(logits), target, present, weight)
    np.testing.assert_allclose(ours, method.contribution.numpy(), atol=1e-12)
    assert ours.sum() == pytest.approx(1)


def test_contribution_by_hand():
    """Two classes, the second true. Of nothing .5; m0 says .9, m1 .6, both .96."""
    true_p = np.array([0.5, 0.9, 0.6, 0.96])
    p = np.stack([1 - true_p, true_p], axis=1)[None]
    u = np.log(true_p)
    phi = np.array([(u[1] - u[0] + u[3] - u[2]) / 2, (u[2] - u[0] + u[3] - u[1]) / 2])
    entropy = np.array([-(s * math.log(s) + (1 - s) * math.log(1 - s)) for s in (0.9, 0.6)])
    sure = 1 - entropy / math.log(2)
    information, confidence = phi / phi.sum(), sure / sure.sum()
    both = np.ones((1, 2), bool)
    np.testing.assert_allclose(information_confidence(p, [1], both, 1.0), information)
    np.testing.assert_allclose(information_confidence(p, [1], both, 0.0), confidence)
    np.testing.assert_allclose(information_confidence(p, [1], both), (information + confidence) / 2)
    np.testing.assert_allclose(information_confidence(p, [1], both, 0.2), 0.2 * information + 0.8 * confidence)


def test_a_modality_that_misleads_informs_nothing_however_sure():
    true_p = np.array([0.5, 0.9, 0.01, 0.5])
    p = np.stack([1 - true_p, true_p], axis=1)[None]
    both = np.ones((1, 2), bool)
    assert information_confidence(p, [1], both, 1.0).tolist() == [1, 0]
    sure, surer = information_confidence(p, [1], both, 0.0)
    assert surer > sure


def test_modalities_that_say_nothing_share_alike():
    p = np.full((4, 8, 5), 0.2)
    np.testing.assert_allclose(information_confidence(p, [0, 1, 2, 3], np.ones((4, 3), bool)), [1 / 3] * 3)
    having = np.array([[True, True, False]] * 4)
    assert information_confidence(p, [0, 1, 2, 3], having).tolist() == [0.5, 0.5, 0]  # no sample has the third


@QUICK
@given(SEEDS, st.floats(0, 1))
def test_what_is_absent_is_not_looked_at(seed, weight):
    logits, target, present = played(seed, 3, missing=0.5)
    p = softmax(logits)
    before = information_confidence(p, target, present, weight)
    holds_absent = (subset_masks(3)[None] & ~present[:, None]).any(axis=2)
    p[holds_absent] = np.nan
    p[:, 0] = np.nan
    np.testing.assert_array_equal(information_confidence(p, target, present, weight), before)


def test_half_precision_may_leave_the_unit_interval_a_little():
    p = np.array([[[0.5, 0.5], [-1e-4, 1.0], [0.4, 0.6], [0.0, 1.0]]])
    first, second = information_confidence(p, [1], np.ones((1, 2), bool))
    assert first > second > 0


def test_what_is_no_game_is_a_sentence():
    logits, target, present = played(0, 2)
    p = softmax(logits)
    for weight in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=f"weight between 0 and 1, got {weight}"):
            information_confidence(p, target, present, weight)
    with pytest.raises(ValueError, match="are these logits"):
        information_confidence(logits, target, present)
    with pytest.raises(ValueError, match="a sample with a modality, got 3 and 0 present"):
        information_confidence(p, target, np.zeros_like(present))
    with pytest.raises(ValueError, match="expected two classes"):
        information_confidence(p[..., :1], np.zeros_like(target), present)
    with pytest.raises(ValueError, match="expected present of shape"):
        information_confidence(p, target, np.ones((len(target), 3), bool))
    with pytest.raises(ValueError, match="2\\*\\*M subsets"):
        information_confidence(p[:, :3], target, present)
    with pytest.raises(ValueError, match=r"expected \(sample, subset, class\)"):
        information_confidence(p[:, 1], target, present)
