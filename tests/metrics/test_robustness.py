import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustmm.metrics.contribution import subset_masks
from robustmm.metrics.robustness import (
    area_under_rates,
    evenness,
    mean_corruption_error,
    relative_mean_corruption_error,
    retention,
)

QUICK = settings(deadline=None, max_examples=50)
SHARE = st.floats(0, 1)
WRONG = ([], [np.nan], [-0.1], [1.1], [[0.5]], 0.5)


def test_retention_by_hand():
    assert retention([0.8, 0.6, 0.4], 0.8) == pytest.approx((1 + 0.75 + 0.5) / 3)
    assert retention([0.9], 0.6) == pytest.approx(1.5)  # corruption may help
    assert retention([0.0, 0.0], 0.6) == 0


@QUICK
@given(st.lists(SHARE, min_size=1, max_size=8), st.floats(0.01, 1))
def test_retention_is_the_mean_of_ratios(accuracies, clean):
    assert retention(accuracies, clean) == pytest.approx(np.mean([a / clean for a in accuracies]))


def test_mean_corruption_error_by_hand():
    errors, reference = [[0.2, 0.4], [0.1, 0.2]], [[0.4, 0.8], [0.1, 0.1]]
    measured = mean_corruption_error(errors, reference)
    assert measured.by_corruption == pytest.approx([0.6 / 1.2, 0.3 / 0.2])
    assert measured.mean == pytest.approx((0.5 + 1.5) / 2)  # corruptions count alike, however hard


def test_mean_corruption_error_is_a_ratio_of_sums_not_a_mean_of_ratios():
    alexnet = [0.695, 0.825, 0.936, 0.981, 0.995]  # its errors under gaussian noise, whose mean is .886
    assert mean_corruption_error([[0.443] * 5], [alexnet]).mean == pytest.approx(0.443 / 0.8864)


def test_relative_mean_corruption_error_by_hand():
    measured = relative_mean_corruption_error([[0.2, 0.4], [0.1, 0.3]], 0.1, [[0.5, 0.6], [0.4, 0.6]], 0.3)
    assert measured.by_corruption == pytest.approx([(0.1 + 0.3) / (0.2 + 0.3), (0 + 0.2) / (0.1 + 0.3)])
    assert measured.mean == pytest.approx((0.8 + 0.5) / 2)
    assert relative_mean_corruption_error([[0.05, 0.05]], 0.1, [[0.5, 0.5]], 0.3).mean == pytest.approx(-0.1 / 0.4)


@QUICK
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 5))
def test_the_reference_measured_against_itself_is_one(seed, corruptions, levels):
    errors = np.random.default_rng(seed).uniform(0.3, 1, size=(corruptions, levels))
    for measured in (mean_corruption_error(errors, errors), relative_mean_corruption_error(errors, 0.2, errors, 0.2)):
        assert measured.by_corruption == pytest.approx(np.ones(corruptions))
        assert measured.mean == pytest.approx(1)


def test_without_a_reference_nothing_is_computed():
    for reference in (None, [[]], [[0.5]], [[0.5, 0.5]] * 2, [[np.nan, 0.5]]):
        with pytest.raises(ValueError, match="reference"):
            mean_corruption_error([[0.5, 0.5]], reference)
        with pytest.raises(ValueError, match="reference"):
            relative_mean_corruption_error([[0.5, 0.5]], 0.1, reference, 0.1)


def test_a_reference_that_never_errs_is_none():
    with pytest.raises(ValueError, match="a reference that errs"):
        mean_corruption_error([[0.5], [0.5]], [[0.2], [0.0]])
    for clean in (0.4, 0.5):  # as good or better under corruption
        with pytest.raises(ValueError, match="more than when clean"):
            relative_mean_corruption_error([[0.5], [0.5]], 0.1, [[0.6], [0.4]], clean)


def test_area_by_hand():
    assert area_under_rates([0, 0.5, 1], [0.9, 0.7, 0.1]) == pytest.approx(0.5 * 0.8 + 0.5 * 0.4)
    assert area_under_rates([0, 0.2, 1], [0.9, 0.7, 0.1]) == pytest.approx(0.2 * 0.8 + 0.8 * 0.4)
    assert area_under_rates([0.1, 0.5], [0.9, 0.7]) == pytest.approx(0.8)  # over the span that was measured
    assert area_under_rates([0.3, 0.5, 0.9], [0.6] * 3) == pytest.approx(0.6)


@QUICK
@given(SHARE, SHARE, st.floats(0.1, 0.9))
def test_a_point_on_the_line_does_not_change_the_area(start, end, rate):
    on_line = start + rate * (end - start)
    assert area_under_rates([0, rate, 1], [start, on_line, end]) == pytest.approx((start + end) / 2)


def test_area_wants_a_curve():
    with pytest.raises(ValueError, match="at least two rates, got 1 for 1"):
        area_under_rates([0.5], [0.5])
    with pytest.raises(ValueError, match="got 3 for 2"):
        area_under_rates([0, 1], [0.5, 0.5, 0.5])
    for rates in ([0, 0, 1], [0, 0.5, 0.2]):
        with pytest.raises(ValueError, match="rising rates"):
            area_under_rates(rates, [0.5, 0.5, 0.5])


def additive(*gains):
    return 0.1 + subset_masks(len(gains)) @ np.array(gains)


def test_evenness_by_hand():
    assert evenness(additive(0.2, 0.2)) == pytest.approx(1)
    assert evenness(additive(0.2, 0.2, 0.2)) == pytest.approx(1)
    assert evenness(additive(*[0.1] * 5)) <= 1  # which log 5 / log 5, summed, is not
    assert evenness(additive(0.3, 0)) == pytest.approx(0)
    quarters = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25)) / np.log(2)
    assert evenness(additive(0.3, 0.1)) == pytest.approx(quarters)
    assert evenness(additive(0.3, 0.1, 0)) == pytest.approx(quarters * np.log(2) / np.log(3))
    assert evenness(additive(0.3, 0.1, -0.1)) == pytest.approx(quarters * np.log(2) / np.log(3))  # harm counts as 0
    assert evenness([0.5, 0.6, 0.2, 0.3]) == 0  # however great


def test_evenness_weighs_all_subsets_alike():
    # gains of 0: .4, .1 (with 1), .2 (with 2), .1 (with both); of 1: .3, .0, .4, .3; of 2: .1, -.1, .2, .2
    v = np.array([0.2, 0.6, 0.5, 0.6, 0.3, 0.5, 0.7, 0.8])
    p = np.array([0.8, 1.0, 0.4]) / 2.2
    assert evenness(v) == pytest.approx(-(p * np.log(p)).sum() / np.log(3))


@QUICK
@given(st.lists(SHARE, min_size=8, max_size=8))
def test_evenness_is_a_share_whatever_the_modalities_are_called(values):
    v = np.array(values)
    renamed = v[subset_masks(3)[:, [2, 0, 1]] @ [1, 2, 4]]
    value = evenness(v)
    assert value is None or 0 <= value <= 1
    assert evenness(renamed) == (None if value is None else pytest.approx(value, abs=1e-6))


def test_where_nothing_contributes_there_is_nothing_to_spread():
    assert evenness([0.5, 0.5, 0.5, 0.5]) is None
    assert evenness([0.5, 0.4, 0.3, 0.2]) is None
    assert evenness([0.3, 0.1, 0.1, 0.3]) is None  # -.2 alone and +.2 together
    assert evenness([0.6, 0.8, 0.3, 0.1]) is None  # so too, but for rounding


def test_evenness_wants_every_subset_of_two_or_more():
    with pytest.raises(ValueError, match=r"2\*\*M subsets"):
        evenness([0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="at least two modalities"):
        evenness([0.1, 0.2])


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_list_of_fractions_is_a_sentence(wrong):
    for name, measure in {
        "accuracies": lambda: retention(wrong, 0.5),
        "rates": lambda: area_under_rates(wrong, [0.5]),
        "accuracies ": lambda: area_under_rates([0, 1], wrong),
        "accuracies  ": lambda: evenness(wrong),
    }.items():
        with pytest.raises(ValueError, match=rf"expected {name.strip()} in \[0, 1\] with 1 dimensions"):
            measure()
    with pytest.raises(ValueError, match="expected errors in"):
        mean_corruption_error([wrong, wrong], [[0.5], [0.5]])


@pytest.mark.parametrize("clean", [np.nan, -0.1, 1.1, [0.5]])
def test_clean_is_one_fraction(clean):
    with pytest.raises(ValueError, match=r"clean accuracy in \[0, 1\]"):
        retention([0.5], clean)
    with pytest.raises(ValueError, match="expected clean error in"):
        relative_mean_corruption_error([[0.5]], clean, [[0.5]], 0.1)
    with pytest.raises(ValueError, match="reference's clean error in"):
        relative_mean_corruption_error([[0.5]], 0.1, [[0.5]], clean)
    with pytest.raises(ValueError, match="clean accuracy above 0"):
        retention([0.5], 0.0)
