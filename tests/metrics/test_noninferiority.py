"""Whether a share of clean accuracy is kept: by hand, against other tests, and on planted truths."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from robustmm.metrics.noninferiority import Pairs, count_pairs, judge_retention, retention_interval, retention_score
from robustmm.metrics.power import paired_samples_to_decide
from robustmm.metrics.statistics import wilson

Z = float(norm.ppf(0.975))
COUNTS = st.tuples(*[st.integers(0, 60)] * 4).filter(lambda counts: sum(counts[:3]) > 0)


def test_pairs_by_hand() -> None:
    assert count_pairs([1, 1, 0, 0, 1], [1, 0, 1, 0, 1]) == (2, 1, 1, 1)
    with pytest.raises(ValueError, match="two of one shape"):
        count_pairs([1, 0], [1])
    with pytest.raises(ValueError, match="at least one sample"):
        count_pairs([], [])


def by_likelihood(pairs: Pairs, share: float) -> float:
    """The score from its definition: the variance at the likeliest proportions under the hypothesis, searched for."""
    a, b, c = pairs[:3]
    n, seen = sum(pairs), a + b + c

    def spread(t: float) -> tuple[float, float, float]:  # p11, p10, p01 of the samples that are ever right
        return (1 - (1 + share) * t) / share, (t - (1 - share)) / share, t

    def lack(t: float) -> float:
        return -sum(k * math.log(max(p, 1e-300)) for k, p in zip((a, b, c), spread(t), strict=True) if k)

    found = minimize_scalar(
        lack, bounds=(max(0.0, 1 - share), 1 / (1 + share)), method="bounded", options={"xatol": 1e-13}
    )
    p11, p10, p01 = (p * seen / n for p in spread(found.x))
    variance = p11 * (1 - share) ** 2 + p10 + p01 * share**2
    return float((a + b - share * (a + c)) / math.sqrt(n * variance))


@pytest.mark.parametrize("pairs", [(50, 3, 7, 10), (20, 10, 10, 5), (5, 1, 9, 0), (90, 1, 20, 3)])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_the_closed_form_is_the_score_at_the_likeliest_proportions(pairs: tuple[int, ...], share: float) -> None:
    assert retention_score(Pairs(*pairs), share) == pytest.approx(by_likelihood(Pairs(*pairs), share), rel=1e-4)


@given(COUNTS)
@settings(max_examples=100, deadline=None)
def test_at_a_share_of_one_it_is_mcnemars_test(counts: tuple[int, ...]) -> None:
    _, b, c, _ = counts
    expected = (b - c) / math.sqrt(b + c) if b + c else 0.0
    assert retention_score(Pairs(*counts), 1.0) == pytest.approx(expected, abs=1e-6)


@given(COUNTS, st.floats(0.2, 3))
@settings(max_examples=100, deadline=None)
def test_the_other_way_round_the_share_is_its_inverse(counts: tuple[int, ...], share: float) -> None:
    a, b, c, d = counts
    there, back = retention_score(Pairs(a, b, c, d), share), retention_score(Pairs(a, c, b, d), 1 / share)
    assert there == pytest.approx(-back, abs=1e-6)


def test_where_all_are_right_twice_it_takes_as_many_samples_as_wilsons_interval() -> None:
    """A bootstrap of these differences has no width: it would call 5 samples proof."""
    for n in range(1, 80):
        verdict = judge_retention(Pairs(n, 0, 0, 0), 0.9)
        assert (verdict.outcome == "holds") == (wilson(n, n).low >= 0.9), n
        if verdict.outcome == "undecided":
            assert verdict.samples == 35


@given(COUNTS.filter(lambda counts: counts[0] + counts[2] > 0))
@settings(max_examples=100, deadline=None)
def test_the_interval_is_what_the_score_does_not_reject(counts: tuple[int, ...]) -> None:
    pairs = Pairs(*counts)
    low, high = retention_interval(pairs)
    ratio = (counts[0] + counts[1]) / (counts[0] + counts[2])
    assert low <= ratio + 1e-9
    assert ratio <= high + 1e-9
    assert retention_score(pairs, high) == pytest.approx(-Z, abs=1e-5)
    for share in (0.3, 0.9, 1.0):
        outcome = judge_retention(pairs, share).outcome
        assert outcome == ("holds" if share <= low else "fails" if share >= high else "undecided")


def test_nothing_to_keep_decides_nothing() -> None:
    assert judge_retention(Pairs(0, 0, 0, 9), 0.9) == ("undecided", math.inf)
    assert all(math.isnan(bound) for bound in retention_interval(Pairs(0, 3, 0, 9)))
    assert judge_retention(Pairs(0, 0, 9, 9), 0.0).outcome == "holds", "of a share of nothing nothing is asked"


def test_a_change_of_one_answer_on_126_samples() -> None:
    """Clean 103 right, one fewer under JPEG: it holds, and an interval of accuracy alone would have said "breaks"."""
    assert judge_retention(Pairs(100, 2, 3, 21), 0.9).outcome == "holds"
    assert wilson(102, 126).low < 0.9 * 103 / 126
    assert judge_retention(Pairs(89, 4, 14, 19), 0.9).outcome == "undecided"
    assert judge_retention(Pairs(60, 4, 43, 19), 0.9).outcome == "fails"


def test_as_many_samples_as_were_said_decide() -> None:
    pairs = Pairs(89, 6, 14, 17)
    verdict = judge_retention(pairs, 0.9)
    assert verdict.outcome == "undecided"
    more = verdict.samples / sum(pairs)
    scaled = [1e6 * count for count in pairs]  # whole numbers of the same proportions
    assert retention_score(Pairs(*(round(c * more) for c in scaled)), 0.9) == pytest.approx(1e3 * Z, rel=0.02)
    assert paired_samples_to_decide(126, Z) == 126
    assert paired_samples_to_decide(100, -Z / 2) == 400
    assert paired_samples_to_decide(100, 0) == math.inf
    with pytest.raises(ValueError, match="at least 1 sample"):
        paired_samples_to_decide(0, 1.0)


@pytest.mark.parametrize("n", [60, 126, 500])
@pytest.mark.parametrize("lost", [0.05, 0.15, 0.3])
@pytest.mark.parametrize("clean", [0.6, 0.82, 0.97])
def test_on_planted_truths_the_interval_covers_and_neither_error_is_common(n: int, lost: float, clean: float) -> None:
    """Exactly 90 % of clean accuracy is kept: `holds` and `fails` are wrong alike, each in about 2.5 % of the draws."""
    share = 0.9
    p01 = max(lost * clean, (1 - share) * clean)
    p10 = p01 - (1 - share) * clean
    both, neither = clean - p01, 1 - clean - p10
    if min(both, neither) < 0:
        pytest.skip("no such proportions")
    drawn = np.random.default_rng(0).multinomial(n, [both, p10, p01, neither], 4000)
    outcomes = [judge_retention(Pairs(*map(int, counts)), share).outcome for counts in drawn]
    for wrong in ("holds", "fails"):
        assert outcomes.count(wrong) / 4000 < 0.045, wrong
    assert 0.93 < outcomes.count("undecided") / 4000 < 0.985
