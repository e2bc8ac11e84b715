"""Scores with the influence of each sample: values against scikit-learn, standard errors against repetition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.metrics import f1_score, roc_auc_score

from robustmm.metrics.classification import macro_f1
from robustmm.metrics.influence import auroc_influence, macro_f1_influence, rank
from robustmm.metrics.sampling import Sampling


@given(st.integers(0, 10_000), st.integers(2, 60))
def test_values_are_scikit_learns(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(4), n)
    y = rng.integers(0, 4, n)
    found = macro_f1_influence(p, y)
    assert found.value == pytest.approx(f1_score(y, p.argmax(1), average="macro"))
    assert found.value == pytest.approx(macro_f1(p, y))
    assert found.influence.mean() == pytest.approx(0, abs=1e-12)
    scores, positive = np.round(rng.random(n), 1), rng.random(n) < 0.5
    if 0 < positive.sum() < n:
        area = auroc_influence(scores, positive)
        assert area.value == pytest.approx(roc_auc_score(positive, scores))
        assert area.influence.mean() == pytest.approx(0, abs=1e-12)


@given(st.lists(st.integers(-3, 3).map(lambda k: k / 7), min_size=1, max_size=40))
def test_ranks_are_scipys(values: list[float]) -> None:
    assert rank(values).tolist() == rankdata(values).tolist()


def test_the_area_by_hand() -> None:
    found = auroc_influence([0.1, 0.4, 0.4, 0.8], [False, True, False, True])
    assert found.value == (0.5 + 1 + 1 + 1) / 4
    assert found.influence.tolist() == [4 / 2 * (1 - 0.875), 4 / 2 * (0.75 - 0.875), -0.25, 0.25]


@pytest.mark.parametrize("clustered", [False, True])
def test_intervals_hold_the_truth(clustered: bool) -> None:
    """Macro-F1 and the area of a planted model, over fresh samples or fresh clusters."""
    rng, cases = np.random.default_rng(0), 400

    def draw(groups: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        index = np.repeat(np.arange(groups), 8) if clustered else np.arange(8 * groups)
        y = rng.integers(0, 2, len(index))
        shift = rng.normal(0, 0.8, index.max() + 1)[index]
        logit = 1.5 * (y - 0.5) + shift + rng.normal(0, 0.6, len(index))
        return 1 / (1 + np.exp(-logit)), y, index

    p, y, _ = draw(40_000)
    truth = {"f1": f1_score(y, p > 0.5, average="macro"), "area": roc_auc_score(y, p)}
    held = {"f1": 0, "area": 0}
    for _ in range(cases):
        p, y, index = draw(50)
        sampling = Sampling(index) if clustered else Sampling()
        for name, found in (
            ("f1", macro_f1_influence(np.column_stack([1 - p, p]), y)),
            ("area", auroc_influence(p, y == 1)),
        ):
            _, low, high = sampling.interval(*found)
            held[name] += bool(low <= truth[name] <= high)
    assert 0.92 < held["f1"] / cases < 0.975
    assert 0.92 < held["area"] / cases < 0.975


def test_one_class_has_no_area() -> None:
    with pytest.raises(ValueError, match="positive and negative samples, got 2 and 0"):
        auroc_influence([0.1, 0.2], [True, True])
