import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, norm

from robustmm.metrics.power import minimum_detectable_effect, required_samples, samples_to_decide
from robustmm.metrics.statistics import paired_bootstrap, wilson

QUICK = settings(deadline=None, max_examples=100)
SHARES = st.floats(0.02, 1)


def found(n, discordant, effect, alpha=0.05):
    """Probability that McNemar's exact two-sided test is significant, summed over all tables."""
    power = 0.0
    for differing in range(1, n + 1):
        better = np.arange(differing + 1)
        p = 2 * binom.cdf(np.minimum(better, differing - better), differing, 0.5)
        chance = binom.pmf(better, differing, (discordant + effect) / (2 * discordant))
        power += binom.pmf(differing, n, discordant) * chance[p <= alpha].sum()
    return power


@pytest.mark.parametrize("power", [0.5, 0.8, 0.9])
@pytest.mark.parametrize("alpha", [0.01, 0.05])
@pytest.mark.parametrize(("n", "discordant"), [(100, 0.4), (200, 0.3), (400, 0.1), (300, 1.0)])
def test_the_exact_test_finds_the_effect_as_often_as_was_asked(n, discordant, alpha, power):
    effect = minimum_detectable_effect(n, discordant, alpha=alpha, power=power)
    assert -0.005 < found(n, discordant, effect, alpha) - power < 0.04


@pytest.mark.parametrize(("n", "discordant"), [(100, 0.1), (200, 0.05), (200, 0.1), (50, 0.3)])
def test_with_few_differences_it_errs_on_the_safe_side(n, discordant):
    assert 0.8 < found(n, discordant, minimum_detectable_effect(n, discordant)) < 0.95


def test_simulated_runs_are_told_apart_as_often_as_was_asked():
    """Through the test that `attack` reports: the paired randomisation of two runs' answers."""
    n, discordant, repeats = 200, 0.2, 300
    effect = minimum_detectable_effect(n, discordant)
    table = [(discordant + effect) / 2, (discordant - effect) / 2, 1 - discordant]
    rng = np.random.default_rng(0)
    significant = 0
    for seed in range(repeats):
        kind = rng.choice(3, size=n, p=table)
        p = paired_bootstrap((kind != 1).astype(float), (kind != 0).astype(float), seed=seed, resamples=400).p
        significant += p <= 0.05
    assert significant / repeats == pytest.approx(0.8, abs=3 * (0.8 * 0.2 / repeats) ** 0.5)


def test_the_equation_by_hand():
    """n = 400, of which 10 % differ: z(.975) = 1.95996, z(.8) = .84162."""
    e = minimum_detectable_effect(400, 0.1)
    assert e == pytest.approx(0.046651, abs=1e-6)
    assert e - 1 / 400 == pytest.approx((1.95996 * 0.1**0.5 + 0.84162 * (0.1 - e**2) ** 0.5) / 20, abs=1e-6)
    # power one half: z = 0 leaves the test's own threshold, 1.95996 sqrt(.1 / 400) + 1 / 400
    assert minimum_detectable_effect(400, 0.1, power=0.5) == pytest.approx(0.033490, abs=1e-6)
    # all differ: K = 1.95996 + .84162 sqrt(1 - .04) = 2.78457, K^2 / .04 = 193.8, and 2 / .2 more for whole counts
    assert required_samples(0.2, 1.0) == 204


@QUICK
@given(st.integers(20, 10**6), SHARES, st.sampled_from([0.001, 0.05, 0.1]), st.sampled_from([0.5, 0.8, 0.95]))
def test_effect_and_samples_are_inverse(n, discordant, alpha, power):
    effect = minimum_detectable_effect(n, discordant, alpha=alpha, power=power)
    if effect == math.inf:
        assert required_samples(discordant, discordant, alpha=alpha, power=power) > n
    else:
        assert 0 < effect <= discordant * (1 + 1e-9)
        assert required_samples(min(effect, discordant), discordant, alpha=alpha, power=power) in {n, n + 1}


@QUICK
@given(st.floats(0.001, 1), st.floats(0, 1))
def test_one_sample_less_detects_only_more(discordant, share):
    effect = discordant * max(share, 0.01)
    n = required_samples(effect, discordant)
    assert minimum_detectable_effect(n, discordant) <= effect * (1 + 1e-9)
    if n > 1:
        assert minimum_detectable_effect(n - 1, discordant) > effect * (1 - 1e-9)


@QUICK
@given(st.integers(30, 10**5), st.floats(0.3, 0.9))
def test_more_of_anything_costs_what_it_should(n, discordant):
    base = minimum_detectable_effect(n, discordant)
    assert minimum_detectable_effect(n + 10, discordant) < base
    assert minimum_detectable_effect(n, discordant + 0.1) > base
    assert minimum_detectable_effect(n, discordant, power=0.9) > base
    assert minimum_detectable_effect(n, discordant, alpha=0.01) > base
    assert required_samples(-0.1, discordant) == required_samples(0.1, discordant)


def test_too_few_differences_detect_nothing():
    assert minimum_detectable_effect(100, 0.05) == math.inf  # five differences: even 5 to 0 has p = 1/16
    assert binomtest(5, 5).pvalue == 1 / 16
    assert minimum_detectable_effect(3, 1.0) == math.inf
    assert minimum_detectable_effect(1000, 0.05) < 0.05


@QUICK
@given(
    st.integers(0, 200),
    st.integers(1, 200),
    st.floats(0, 1, allow_subnormal=False).filter(lambda x: x == 0 or x > 1e-9),
    st.sampled_from([0.8, 0.95, 0.99]),
)
def test_decided_is_when_wilson_says_so(successes, n, threshold, confidence):
    p = min(successes, n) / n
    low, high = wilson(min(successes, n), n, confidence)
    needed = samples_to_decide(p, threshold, confidence)
    z = norm.ppf((1 + confidence) / 2)
    edge = z**2 * threshold * (1 - threshold)
    if p != threshold and abs(n * (p - threshold) ** 2 - edge) > 1e-9:  # at the edge itself rounding decides
        assert (needed <= n) == (not low <= threshold <= high)


def test_samples_to_decide_by_hand():
    # 0.9 against 0.85: 1.95996^2 x .85 x .15 / .05^2 = 195.9
    assert samples_to_decide(0.9, 0.85) == 196
    assert wilson(round(0.9 * 200), 200).low > 0.85 > wilson(round(0.9 * 190), 190).low
    assert samples_to_decide(0.8, 0.85) == 196  # to fail takes as many as to pass
    assert samples_to_decide(0.9, 0.85, confidence=0.99) == 339  # 2.57583^2 in place of 1.95996^2
    assert samples_to_decide(0.85, 0.85) == math.inf
    assert samples_to_decide(1.0, 1.0) == math.inf
    assert samples_to_decide(0.5, 1.0) == 1  # one error is enough
    assert samples_to_decide(0.5, 0.0) == 1


def test_nonsense_is_a_sentence():
    for discordant in (0, -0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=f"discordant share above 0 and at most 1, got {discordant}"):
            minimum_detectable_effect(100, discordant)
        with pytest.raises(ValueError, match="discordant share"):
            required_samples(0.01, discordant)
    for effect in (0, 0.11, -0.11, math.nan):
        with pytest.raises(ValueError, match=rf"not 0 and at most the discordant 0.1, got {effect}"):
            required_samples(effect, 0.1)
    with pytest.raises(ValueError, match="at least 1 sample, got 0"):
        minimum_detectable_effect(0, 0.1)
    for alpha in (0, 1):
        with pytest.raises(ValueError, match=f"alpha between 0 and 1, got {alpha}"):
            minimum_detectable_effect(100, 0.1, alpha=alpha)
    for power in (0.49, 1):
        with pytest.raises(ValueError, match=rf"power from 0.5 to below 1, got {power}"):
            required_samples(0.05, 0.1, power=power)
    with pytest.raises(ValueError, match=r"share between 0 and 1, got 1.1"):
        samples_to_decide(1.1, 0.5)
    with pytest.raises(ValueError, match=r"threshold between 0 and 1, got -0.1"):
        samples_to_decide(0.5, -0.1)
    for confidence in (0, 1):
        with pytest.raises(ValueError, match=f"confidence between 0 and 1, got {confidence}"):
            samples_to_decide(0.5, 0.4, confidence)
