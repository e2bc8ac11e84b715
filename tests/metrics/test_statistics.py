import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, false_discovery_control

from robustmm.metrics import statistics
from robustmm.metrics.statistics import benjamini_hochberg, paired_bootstrap, resampled_means, swapped_means, wilson

QUICK = settings(deadline=None, max_examples=50)
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@QUICK
@given(st.integers(1, 500), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_agrees_with_scipy(n, share, confidence):
    successes = round(share * n)
    expected = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    np.testing.assert_allclose(wilson(successes, n, confidence), expected, atol=1e-12)


def test_wilson_stays_open_at_the_ends():
    for n in range(1, 300):
        assert wilson(0, n).low == 0.0
        assert wilson(n, n).high == 1.0
    assert wilson(0, 20).high == pytest.approx(0.16113, abs=1e-5)
    assert wilson(20, 20).low == pytest.approx(1 - 0.16113, abs=1e-5)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_impossible_counts(successes, n):
    with pytest.raises(ValueError, match=f"got {successes} of {n}"):
        wilson(successes, n)


@QUICK
@given(P_VALUES)
def test_benjamini_hochberg_agrees_with_scipy(p):
    np.testing.assert_allclose(benjamini_hochberg(p), false_discovery_control(p, method="bh"))


def test_benjamini_hochberg_by_hand():
    np.testing.assert_allclose(benjamini_hochberg([0.04, 0.01, 0.03, 0.5]), [0.16 / 3, 0.04, 0.16 / 3, 0.5])
    assert benjamini_hochberg([]).shape == (0,)
    for wrong in ([0.1, 1.1], [-0.1], [np.nan], [[0.1]]):
        with pytest.raises(ValueError, match=r"p-values in \[0, 1\]"):
            benjamini_hochberg(wrong)


def pair(seed, n=100, shift=0.0, binary=False):
    rng = np.random.default_rng(seed)
    if binary:
        return (rng.random(n) < 0.7 + shift).astype(float), (rng.random(n) < 0.7).astype(float)
    common = rng.normal(size=n)
    return common + rng.normal(size=n) + shift, common + rng.normal(size=n)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("statistic", [np.mean, np.median])
def test_one_seed_gives_one_answer(binary, statistic):
    a, b = pair(0, shift=0.1, binary=binary)
    first = paired_bootstrap(a, b, seed=3, statistic=statistic)
    assert first == paired_bootstrap(a, b, seed=3, statistic=statistic)
    assert first.value == pytest.approx(statistic(a) - statistic(b))
    if not binary:
        assert first != paired_bootstrap(a, b, seed=4, statistic=statistic)


def draw_means(values, seed):
    return resampled_means(values, 2000, np.random.default_rng(seed))


@pytest.mark.parametrize("statistic", [np.mean, np.median])
def test_chunking_does_not_change_the_answer(statistic, monkeypatch):
    a, b = pair(0, shift=0.1)
    whole = paired_bootstrap(a, b, seed=3, statistic=statistic), draw_means(a[:, None], 3)
    sizes = []
    draws = statistics._draw_integers

    def watched(*args):
        for chunk in draws(*args):
            sizes.append(chunk.size)
            yield chunk

    monkeypatch.setattr(statistics, "MAX_KEPT", 0)
    monkeypatch.setattr(statistics, "CHUNK", 777)
    monkeypatch.setattr(statistics, "_draw_integers", watched)
    again = paired_bootstrap(a, b, seed=3, statistic=statistic), draw_means(a[:, None], 3)
    np.testing.assert_allclose(again[0], whole[0], rtol=1e-12)
    np.testing.assert_allclose(again[1], whole[1], rtol=1e-12)
    assert max(sizes) <= 777  # memory is bounded
    assert sum(sizes) == 3 * 2000 * 100


@pytest.mark.parametrize(("kept", "draws"), [(0, 6), (2000 * 100, 2)])
def test_what_is_drawn_is_kept_for_the_next_quantity_and_changes_none(monkeypatch, kept, draws):
    """Other values, another order, and a generator that goes on: as if every quantity had drawn for itself."""
    (a, b), (c, d) = pair(0, shift=0.1), pair(1)

    def ask():
        first, second = paired_bootstrap(a, b, seed=3), paired_bootstrap(c, d, seed=3)
        rng = np.random.default_rng(3)
        return first, second, resampled_means(a[:, None], 2000, rng).tolist(), swapped_means(c, 2000, rng).tolist()

    monkeypatch.setattr(statistics, "MAX_KEPT", 0)
    alone = ask()
    calls, drawing = [], statistics._draw_integers
    monkeypatch.setattr(statistics, "MAX_KEPT", kept)
    monkeypatch.setattr(statistics, "_KEPT", {})
    monkeypatch.setattr(statistics, "_draw_integers", lambda *args: calls.append(args) or drawing(*args))
    assert ask() == alone
    assert len(calls) == draws


def test_draws_of_another_seed_or_number_are_not_taken(monkeypatch):
    a, b = pair(0, shift=0.1)
    asked = [(a, b, 3), (a, b, 4), (a[:90], b[:90], 4), (a, b, 3)]
    monkeypatch.setattr(statistics, "MAX_KEPT", 0)
    alone = [paired_bootstrap(x, y, seed=seed) for x, y, seed in asked]
    monkeypatch.setattr(statistics, "MAX_KEPT", 2000 * 100)
    assert [paired_bootstrap(x, y, seed=seed) for x, y, seed in asked] == alone
    assert paired_bootstrap(a, b, seed=3, resamples=500) == paired_bootstrap(a, b, seed=3, resamples=500)
    assert len(statistics._KEPT) == 2, "counts and signs, of the last quantity"


def test_counts_of_few_values_are_the_same_distribution_as_indices(monkeypatch):
    a, b = pair(1, n=300, shift=0.08, binary=True)
    counted = paired_bootstrap(a, b, seed=0, resamples=20_000)
    monkeypatch.setattr(statistics, "MAX_DISTINCT", 0)
    indexed = paired_bootstrap(a, b, seed=0, resamples=20_000)
    np.testing.assert_allclose(counted, indexed, atol=0.005)
    assert 0.001 < counted.p < 0.5


def test_columns_of_a_sample_stay_together():
    x = np.random.default_rng(0).normal(size=100)
    drawn = draw_means(np.stack([x, 1 - x, x + (1 - x)], axis=1), 0)
    np.testing.assert_allclose(drawn[:, 2], 1.0)
    np.testing.assert_allclose(drawn[:, 1], 1 - drawn[:, 0])
    np.testing.assert_allclose(drawn[:, 0].std(), x.std() / 10, rtol=0.05)


@pytest.mark.parametrize("binary", [False, True])
def test_coverage_and_false_alarms_are_near_nominal(binary):
    covered = alarms = 0
    for seed in range(400):
        a, b = pair(seed, n=60, binary=binary)
        difference = paired_bootstrap(a, b, seed=seed, resamples=400)
        covered += difference.low <= 0 <= difference.high
        alarms += difference.p <= 0.05
    assert 0.9 <= covered / 400 <= 0.985
    assert alarms / 400 <= 0.075


def test_a_large_difference_is_found_and_signed():
    a, b = pair(0, n=200, shift=1.0)
    there, back = paired_bootstrap(a, b, seed=0), paired_bootstrap(b, a, seed=0)
    assert there.low > 0.5
    assert there.p == back.p == 1 / 2001  # never 0
    assert back == pytest.approx((-there.value, -there.high, -there.low, back.p))


def test_pairing_is_used():
    common = 100 * np.random.default_rng(0).normal(size=200)
    difference = paired_bootstrap(common + 0.1 * np.arange(200) % 3, common, seed=0)
    assert difference.high - difference.low < 1


def test_p_is_mcnemars_on_zeros_and_ones():
    a, b = np.zeros(200), np.zeros(200)
    a[:8], b[8:10] = 1, 1  # 8 against 2 discordant
    assert paired_bootstrap(a, b, seed=0, resamples=20_000).p == pytest.approx(binomtest(2, 10).pvalue, abs=0.01)
    b[8:10] = 0
    assert paired_bootstrap(a, b, seed=0, resamples=20_000).p == pytest.approx(2 / 2**8, abs=0.003)


@pytest.mark.parametrize("statistic", [np.mean, np.median])
def test_nothing_between_equals(statistic):
    x = np.random.default_rng(0).normal(size=100)
    assert paired_bootstrap(x, x, seed=0, statistic=statistic) == (0, 0, 0, 1)


def test_any_statistic_goes_the_way_of_the_mean():
    a, b = pair(2, shift=0.3)
    mean = paired_bootstrap(a, b, seed=0)
    same = paired_bootstrap(a, b, seed=0, statistic=lambda x, axis: x.mean(axis=axis))
    np.testing.assert_allclose(same, mean, rtol=1e-12)
    assert 0.001 < mean.p < 0.2


def test_median_differences_shift_with_the_data():
    a, b = pair(2, n=300)
    difference = paired_bootstrap(b + 0.5, b, seed=0, statistic=np.median)
    assert difference.low == pytest.approx(0.5) == difference.high
    assert paired_bootstrap(a, b, seed=0, statistic=np.median).p > 0.05
    assert paired_bootstrap(a + 1, b, seed=0, statistic=np.median).p < 0.01


def test_what_cannot_be_resampled_is_a_sentence():
    with pytest.raises(ValueError, match="at least one sample in a, got shape"):
        paired_bootstrap([], [], seed=0)
    with pytest.raises(ValueError, match="finite values of at least one sample in b"):
        paired_bootstrap([1.0], [np.nan], seed=0)
    with pytest.raises(ValueError, match=r"one shape \(sample,\), got \(2,\) and \(3,\)"):
        paired_bootstrap([1.0, 2.0], [1.0, 2.0, 3.0], seed=0)
    with pytest.raises(ValueError, match="at least 1 resample, got 0"):
        paired_bootstrap([1.0], [1.0], seed=0, resamples=0)
    for confidence in (0.0, 1.0, 95):
        with pytest.raises(ValueError, match=f"confidence between 0 and 1, got {confidence}"):
            wilson(1, 2, confidence)
