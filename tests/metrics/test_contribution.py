from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustmm.metrics.contribution import (
    EXACT_LIMIT,
    accuracy_game,
    draw_orders,
    effective_subsets,
    efficiency_residual,
    leave_one_out,
    log_probability_game,
    probability_game,
    shapley,
    shapley_interaction,
    shapley_sampled,
    shares,
    subset_masks,
    unimodal_values,
)

QUICK = settings(deadline=None, max_examples=50)
SEEDS = st.integers(0, 2**32 - 1)
PLAYERS = st.integers(1, 6)


def game(M, value):
    """The game (2**M,) that pays `value(set of modalities)`."""
    return np.array([value({m for m in range(M) if k >> m & 1}) for k in range(2**M)], dtype=float)


def random_game(seed, M, *batch):
    return np.random.default_rng(seed).normal(size=(*batch, 2**M))


GLOVES = game(3, lambda s: 0 in s and bool(s & {1, 2}))  # one left glove, two right ones


def test_subsets_are_bitmasks():
    assert subset_masks(2).tolist() == [[False, False], [True, False], [False, True], [True, True]]
    assert subset_masks(5)[0b10110].tolist() == [False, True, True, False, True]


@pytest.mark.parametrize(
    ("v", "phi"),
    [
        (GLOVES, [2 / 3, 1 / 6, 1 / 6]),
        (game(3, lambda s: sum([0.5, 0.3, 0.2][m] for m in s)), [0.5, 0.3, 0.2]),  # additive
        (game(5, lambda s: len(s) >= 3), [0.2] * 5),  # majority
        (game(3, lambda s: sum([4, 2, 1][m] for m in s) >= 5), [2 / 3, 1 / 6, 1 / 6]),  # weighted vote
        (game(3, lambda s: max([[1, 2, 4][m] for m in s], default=0)), [1 / 3, 5 / 6, 17 / 6]),  # airport
        (game(4, lambda s: s == {0, 1, 2, 3}), [0.25] * 4),  # unanimity
        (game(2, lambda s: {(): -0.7, (0,): -0.3, (1,): -0.6, (0, 1): -0.1}[tuple(sorted(s))]), [0.45, 0.15]),
        (game(1, lambda s: 3 + 4 * len(s)), [4]),
    ],
)
def test_games_solved_by_hand(v, phi):
    np.testing.assert_allclose(shapley(v), phi)


@QUICK
@given(SEEDS, PLAYERS)
def test_axioms(seed, M):
    v, other = random_game(seed, M, 3), random_game(seed + 1, M, 3)
    phi = shapley(v)
    np.testing.assert_allclose(efficiency_residual(v, phi), 0, atol=1e-12)
    np.testing.assert_allclose(shapley(2 * v - 3 * other), 2 * phi - 3 * shapley(other), atol=1e-12)  # linearity
    np.testing.assert_allclose(shapley(v + 5), phi, atol=1e-12)
    renamed = np.random.default_rng(seed).permutation(M)
    to = (subset_masks(M)[:, renamed] @ (1 << np.arange(M))).astype(int)  # the subset whose member m was renamed[m]
    np.testing.assert_allclose(shapley(v[:, np.argsort(to)]), phi[:, renamed], atol=1e-12)  # symmetry
    np.testing.assert_allclose(
        shapley_interaction(v[:, np.argsort(to)]), shapley_interaction(v)[:, renamed][:, :, renamed], atol=1e-12
    )


@QUICK
@given(SEEDS, PLAYERS, st.data())
def test_a_null_player_gets_exactly_nothing(seed, M, data):
    null = data.draw(st.integers(0, M - 1))
    v = random_game(seed, M, 4)[:, np.arange(2**M) & ~(1 << null)]
    assert (shapley(v)[:, null] == 0).all()
    assert (shapley_interaction(v)[:, null] == 0).all()
    assert (leave_one_out(v)[:, null] == 0).all()
    assert (shapley_sampled(lambda s: v.T[s @ (1 << np.arange(M))], M, orders=6, seed=seed)[:, null] == 0).all()


@QUICK
@given(SEEDS, st.integers(1, 5))
def test_shapley_is_the_mean_over_all_orders(seed, M):
    v, phi = random_game(seed, M), np.zeros(M)
    orders = list(permutations(range(M)))
    for order in orders:
        members = 0
        for m in order:
            phi[m] += (v[members | 1 << m] - v[members]) / len(orders)
            members |= 1 << m
    np.testing.assert_allclose(shapley(v), phi, atol=1e-12)


@pytest.mark.filterwarnings("ignore")  # torch's and captum's own
def test_captum_agrees():
    torch = pytest.importorskip("torch")
    attr = pytest.importorskip("captum.attr")

    def toy(x):
        return x[:, 0] * x[:, 1] + torch.relu(x[:, 2] - x[:, 3]) + x[:, 1] * x[:, 2] * x[:, 3] - x[:, 0]

    x = torch.tensor([[1.5, -2.0, 3.0, 0.5], [0.3, 0.7, -1.1, 2.0]], dtype=torch.float64)
    members = torch.from_numpy(subset_masks(4)).to(x.dtype)
    v = toy((members * x[:, None]).reshape(-1, 4)).reshape(2, 16).numpy()
    np.testing.assert_allclose(shapley(v), attr.ShapleyValues(toy).attribute(x).numpy(), atol=1e-12)


def test_any_leading_shape():
    v = random_game(0, 3, 2, 5)
    assert shapley(v).shape == unimodal_values(v).shape == leave_one_out(v).shape == (2, 5, 3)
    assert shapley_interaction(v).shape == (2, 5, 3, 3)
    np.testing.assert_allclose(shapley(v)[1, 4], shapley(v[1, 4]))
    np.testing.assert_allclose(shapley(v.mean(axis=1)), shapley(v).mean(axis=1))


def test_interaction_of_two_is_the_surplus_over_each_alone():
    v = [1.0, 2.0, 4.0, 9.0]
    np.testing.assert_allclose(shapley_interaction(v), [[0, 4], [4, 0]])  # 9 - 2 - 4 + 1


def test_interaction_of_three_by_hand():
    v = game(3, lambda s: {(0,): 1, (1,): 2, (2,): 4, (0, 1): 8, (0, 2): 16, (1, 2): 32, (0, 1, 2): 64}.get(
        tuple(sorted(s)), 0
    ))  # fmt: skip
    pair_01 = ((8 - 1 - 2 + 0) + (64 - 16 - 32 + 4)) / 2
    pair_02 = ((16 - 1 - 4 + 0) + (64 - 8 - 32 + 2)) / 2
    pair_12 = ((32 - 2 - 4 + 0) + (64 - 8 - 16 + 1)) / 2
    np.testing.assert_allclose(
        shapley_interaction(v), [[0, pair_01, pair_02], [pair_01, 0, pair_12], [pair_02, pair_12, 0]]
    )
    np.testing.assert_allclose(shapley_interaction(GLOVES)[0], [0, 1 / 2, 1 / 2])  # complements
    np.testing.assert_allclose(shapley_interaction(GLOVES)[1, 2], -1 / 2)  # substitutes


def test_interaction_weights_four_players_by_size():
    v = game(4, lambda s: {0, 1} <= s and len(s) == 3)  # for the pair 0, 1: S empty 0, one other 1, both others 0
    np.testing.assert_allclose(shapley_interaction(v)[0, 1], 2 * (1 / 6))
    assert shapley_interaction([1.0, 2.0]).tolist() == [[0.0]]


@QUICK
@given(SEEDS)
def test_an_additive_game_has_no_interaction_and_one_score(seed):
    weights = np.random.default_rng(seed).normal(size=4)
    v = subset_masks(4) @ weights + 2
    np.testing.assert_allclose(shapley_interaction(v), np.zeros((4, 4)), atol=1e-12)
    for score in (shapley(v), leave_one_out(v), unimodal_values(v) - v[0]):
        np.testing.assert_allclose(score, weights, atol=1e-12)


def test_solo_and_leave_one_out_by_hand():
    v = game(3, lambda s: sum(10**m for m in s) + len(s) ** 2)
    assert unimodal_values(v).tolist() == [2, 11, 101]
    assert leave_one_out(v).tolist() == [1 + 5, 10 + 5, 100 + 5]
    assert efficiency_residual([1.0, 2.0, 3.0, 9.0], [1.0, 2.0]) == 5.0


def test_shares_show_the_positive_part():
    np.testing.assert_allclose(shares([3.0, 1.0, -2.0]), [0.75, 0.25, 0])
    np.testing.assert_allclose(shares([[-1.0, -2.0], [0.0, 5e-9], [0.0, 2e-8]]), [2 * [np.nan], 2 * [np.nan], [0, 1]])


PRIOR = np.array([0.2, 0.5, 0.3])


def outcomes(seed, M, n=6):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(3), size=(n, 2**M))
    p[:, 0] = np.nan  # nobody decodes the empty set
    return p, rng.integers(3, size=n), rng.random((n, M)) < 0.6


def test_games_by_hand():
    p = np.array([[[np.nan] * 3, [0.6, 0.3, 0.1], [0.1, 0.2, 0.7], [0.0, 1.0, 0.0]]] * 2)
    target = [0, 1]
    np.testing.assert_array_equal(accuracy_game(p, target, PRIOR), [[0, 1, 0, 0], [1, 0, 0, 1]])
    np.testing.assert_allclose(probability_game(p, target, PRIOR), [[0.2, 0.6, 0.1, 0], [0.5, 0.3, 0.2, 1]])
    np.testing.assert_allclose(
        log_probability_game(p, target, PRIOR), np.log([[0.2, 0.6, 0.1, 1e-12], [0.5, 0.3, 0.2, 1]])
    )
    np.testing.assert_array_equal(accuracy_game(10 * p - 5, target, PRIOR), accuracy_game(p, target, PRIOR))  # logits


def test_efficiency_runs_from_the_prior_to_the_whole_model():
    p, y, _ = outcomes(0, 3)
    phi = shapley(log_probability_game(p, y, PRIOR))
    np.testing.assert_allclose(phi.sum(axis=1), np.log(p[np.arange(6), -1, y]) - np.log(PRIOR[y]))


def test_effective_subsets():
    present = [[True, True, True], [True, False, True], [False, False, False]]
    np.testing.assert_array_equal(
        effective_subsets(np.arange(8), present), [range(8), [0, 1, 0, 1, 4, 5, 4, 5], [0] * 8]
    )
    np.testing.assert_array_equal(effective_subsets([3, 7], present), [[3, 7], [1, 5], [0, 0]])


@pytest.mark.parametrize("build", [accuracy_game, probability_game, log_probability_game])
@QUICK
@given(seed=SEEDS, M=st.integers(1, 4))
def test_absent_modalities_get_exactly_nothing_and_are_not_looked_at(build, seed, M):
    p, y, present = outcomes(seed, M)
    needs_absent = effective_subsets(np.arange(2**M), present) != np.arange(2**M)
    p[needs_absent] = np.nan
    v = build(p, y, PRIOR, present)
    phi = shapley(v)
    assert (phi[~present] == 0).all()
    np.testing.assert_allclose(efficiency_residual(v, phi), 0, atol=1e-12)
    for sample in range(len(y)):  # the game of the present modalities alone
        there = np.flatnonzero(present[sample])
        if len(there):
            smaller = v[sample][subset_masks(len(there)) @ (1 << there)]
            np.testing.assert_allclose(phi[sample, there], shapley(smaller), atol=1e-12)


@pytest.mark.parametrize("build", [accuracy_game, probability_game, log_probability_game])
def test_all_present_is_the_complete_game_and_samples_do_not_mix(build):
    p, y, present = outcomes(3, 3)
    np.testing.assert_array_equal(build(p, y, PRIOR), build(p, y, PRIOR, np.ones((6, 3), bool)))
    np.testing.assert_array_equal(build(p, y, PRIOR, present)[::-1], build(p[::-1], y[::-1], PRIOR, present[::-1]))
    one_by_one = [build(p[i : i + 1], y[i : i + 1], PRIOR, present[i : i + 1])[0] for i in range(6)]
    np.testing.assert_array_equal(build(p, y, PRIOR, present), one_by_one)


def test_what_is_no_game_is_a_sentence():
    p, y, _ = outcomes(0, 2)
    for wrong in (np.ones(3), np.ones(1), np.ones((2, 6)), 1.0):
        with pytest.raises(ValueError, match=r"values of 2\*\*M subsets"):
            shapley(wrong)
    with pytest.raises(ValueError, match=r"2\*\*M"):
        accuracy_game(p[:, :3], y, PRIOR)
    with pytest.raises(ValueError, match=r"got \(6, 4, 3\), \(5,\), \(3,\)"):
        accuracy_game(p, y[:5], PRIOR)
    with pytest.raises(ValueError, match=r"got \(6, 4, 3\), \(6,\), \(2,\)"):
        accuracy_game(p, y, PRIOR[:2])
    with pytest.raises(ValueError, match="integer targets from 0 to 2"):
        accuracy_game(p, y - 5, PRIOR)
    with pytest.raises(ValueError, match=r"present of shape \(6, 2\), got \(6, 3\)"):
        accuracy_game(p, y, PRIOR, np.ones((6, 3), bool))
    with pytest.raises(ValueError, match="are these logits"):
        log_probability_game(10 * p, y, PRIOR)
    p[1, 2] = np.nan
    for build in (accuracy_game, probability_game, log_probability_game):
        with pytest.raises(ValueError, match="NaN in 1/6 samples"):
            build(p, y, PRIOR)
    with pytest.raises(ValueError, match="at least 1 order, got 0"):
        draw_orders(3, 0, seed=0)


def test_orders_come_in_antithetic_pairs():
    orders = draw_orders(10, 7, seed=1)
    assert orders.shape == (7, 10)
    assert (np.sort(orders, axis=1) == np.arange(10)).all()
    np.testing.assert_array_equal(orders[1:6:2], orders[0:5:2, ::-1])
    assert not (orders[0] == orders[2]).all()
    np.testing.assert_array_equal(orders, draw_orders(10, 7, seed=1))
    assert (orders != draw_orders(10, 7, seed=2)).any()


def ten_player_game(s):
    """Two samples (coalition, 2): additive, and with a product of neighbours on top."""
    additive = s @ np.arange(10.0)
    return np.stack([additive, additive + 3 * (s[:, :-1] & s[:, 1:]).sum(axis=1)], axis=1)


def test_sampling_is_exact_where_it_can_be_and_close_elsewhere():
    assert EXACT_LIMIT < 10
    exact = shapley(ten_player_game(subset_masks(10)).T)
    sampled = shapley_sampled(ten_player_game, 10, orders=400, seed=0)
    assert sampled.shape == (2, 10)
    np.testing.assert_allclose(sampled[0], np.arange(10.0), atol=1e-12)  # additive: any order will do
    np.testing.assert_allclose(sampled[1], exact[1], atol=1e-12)  # pairwise: an order and its reverse will do
    squared = shapley(ten_player_game(subset_masks(10)).T[1] ** 2)
    close = shapley_sampled(lambda s: ten_player_game(s)[:, 1] ** 2, 10, orders=400, seed=0)
    np.testing.assert_allclose(close, squared, rtol=0.1, atol=0.02 * squared.max())
    assert (close != squared).any()


@QUICK
@given(SEEDS, st.integers(1, 9), st.integers(1, 9))
def test_sampled_values_are_efficient_whatever_the_orders(seed, orders, M):
    v = random_game(seed, M, 2)
    seen = []

    def value(coalitions):
        seen.append(coalitions)
        return v.T[coalitions @ (1 << np.arange(M))]

    phi = shapley_sampled(value, M, orders=orders, seed=seed)
    np.testing.assert_allclose(efficiency_residual(v, phi), 0, atol=1e-12)
    (coalitions,) = seen  # one call
    assert coalitions.dtype == bool
    assert len(np.unique(coalitions, axis=0)) == len(coalitions) <= 2 + orders * (M - 1)


def test_all_orders_sampled_is_the_exact_value(monkeypatch):
    v = random_game(0, 4)
    every = np.array(list(permutations(range(4))))
    monkeypatch.setattr("robustmm.metrics.contribution.draw_orders", lambda M, orders, seed: every)
    np.testing.assert_allclose(
        shapley_sampled(lambda s: v[s @ (1 << np.arange(4))], 4, orders=24, seed=0), shapley(v), atol=1e-12
    )
