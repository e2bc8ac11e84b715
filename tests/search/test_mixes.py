"""Coordinate ascent on little tables whose best mix is known, and where a simpler ascent would stop short."""

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from linear import fade, weak

from robustmm.search import mixes
from robustmm.search.choices import Choice
from robustmm.search.mixes import Mix, search_mixes

QUARTERS = (0.25, 0.5, 0.75, 1.0)


class Table:
    """A board whose score is a function of the choices' numbers."""

    def __init__(self, arms: list[list[Choice]], score: Callable[..., float]) -> None:
        self.arms, self.score = arms, score
        self.bank = SimpleNamespace(target=np.zeros(10))

    def total_level(self, mix: Mix) -> float:
        return sum(self.arms[m][a].level for m, a in enumerate(mix))

    def worst_mix(self, listed: Iterable[Mix]) -> Mix:
        return min(listed, key=lambda mix: (self.score(*mix), self.total_level(mix), mix))


def table(score: Callable[..., float], modalities: int = 2, levels: tuple[float, ...] = QUARTERS) -> Any:
    return Table([[Choice(), *(Choice(fade, x) for x in levels)] for _ in range(modalities)], score)


def ascended(board: Any, budget: float, starts: list[Mix], seed: int = 0) -> Mix:
    found, way = search_mixes(board, [range(len(each)) for each in board.arms], budget, starts, seed)
    assert way == "coordinate ascent"
    assert board.total_level(found) <= budget + 1e-9
    return found


@pytest.fixture
def single(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ascent from the given starts alone."""
    monkeypatch.setattr(mixes, "EXHAUSTIVE_LIMIT", 0)
    monkeypatch.setattr(mixes, "RANDOM_STARTS", 0)


@pytest.mark.usefixtures("single")
def test_a_budget_that_is_spent_moves_to_another_modality() -> None:
    """Both levels do damage, the second ten times as much; none may go down without loss."""
    assert ascended(table(lambda a, b: -a - 10 * b), 1.0, [(4, 0)]) == (0, 4)


@pytest.mark.usefixtures("single")
def test_a_donor_gives_no_more_than_is_needed() -> None:
    """Damage is the product, and a little from the first alone: a donor that gives all gains nothing."""
    assert ascended(table(lambda a, b: -a * b - 0.01 * a), 1.0, [(4, 0)]) == (2, 2)
    assert ascended(table(lambda a, b: -a * b - 0.01 * b), 1.0, [(0, 4)]) == (2, 2)


@pytest.mark.usefixtures("single")
def test_a_donor_keeps_its_own_corruption() -> None:
    """Modality 0 has two corruptions; only the one it has (choices 3 and 4) works together with modality 1."""
    arms = [
        [Choice(), Choice(weak, 0.5), Choice(weak, 1.0), Choice(fade, 0.5), Choice(fade, 1.0)],
        [Choice(), Choice(fade, 0.5)],
    ]
    board: Any = Table(arms, lambda a, b: {(4, 0): -1.0, (3, 1): -2.0}.get((a, b), 0.0))
    assert ascended(board, 1.0, [(4, 0)]) == (3, 1)


@pytest.mark.usefixtures("single")
def test_sweeps_go_on_until_nothing_changes() -> None:
    scores = {(0, 1): -1.0, (1, 1): -2.0, (1, 2): -3.0, (2, 2): -4.0}
    board = table(lambda a, b: scores.get((a, b), 0.0))
    assert ascended(board, 2.0, [(0, 0)]) == (2, 2)


@pytest.mark.usefixtures("single")
def test_the_best_of_all_starts_is_returned() -> None:
    """Two peaks, at (1, 1) and (4, 4), with nothing between."""
    board = table(lambda a, b: {(1, 1): -1.0, (4, 4): -2.0}.get((a, b), 0.0))
    assert ascended(board, 2.0, [(1, 1)]) == (1, 1)
    assert ascended(board, 2.0, [(1, 1), (4, 4)]) == (4, 4)
    assert ascended(board, 2.0, [(4, 4), (1, 1)]) == (4, 4)


def test_random_starts_find_what_the_given_ones_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixes, "EXHAUSTIVE_LIMIT", 0)
    board = table(lambda a, b: {(0, 0): -1.0, (4, 4): -2.0, (4, 3): -1.5, (3, 4): -1.5}.get((a, b), 0.0))
    found = [ascended(board, 2.0, [(0, 0)], seed) for seed in range(20)]
    assert set(found) == {(0, 0), (4, 4)}
    assert found == [ascended(board, 2.0, [(0, 0)], seed) for seed in range(20)]


def test_random_starts_fit_the_budget_and_reach_every_mix_that_does() -> None:
    rng = np.random.default_rng(0)
    board = table(lambda *mix: 0.0, modalities=3)
    spaces = [range(5), range(5), [0, 2]]
    drawn = {mixes._draw_mix(board, spaces, 1.0, rng) for _ in range(3000)}
    fitting = {(a, b, c) for a in range(5) for b in range(5) for c in (0, 2) if a + b + c <= 4}
    assert drawn == fitting
    fixed = {mixes._draw_mix(board, [[1], [2], [0, 4]], 1.0, rng) for _ in range(20)}
    assert fixed == {(1, 2, 0)}


def test_all_are_tried_where_they_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    peak = {(3, 1): -2.0, (4, 4): -9.0}
    board = table(lambda a, b: peak.get((a, b), 0.0))
    spaces = [range(5), range(5)]
    assert search_mixes(board, spaces, 1.0, [], 0) == ((3, 1), "exhaustive")
    monkeypatch.setattr(mixes, "EXHAUSTIVE_LIMIT", 25 * 10)
    assert search_mixes(board, spaces, 1.0, [(0, 0)], 0)[1] == "exhaustive"
    monkeypatch.setattr(mixes, "EXHAUSTIVE_LIMIT", 25 * 10 - 1)
    assert search_mixes(board, spaces, 1.0, [(0, 0)], 0)[1] == "coordinate ascent"
    assert search_mixes(board, spaces, 0.75, [(0, 0)], 0)[1] == "exhaustive"  # a level of 1 no longer fits
