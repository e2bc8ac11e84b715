"""Clean accuracy that is certainly worse than answers without inputs."""

import numpy as np
import pytest
from numpy.typing import NDArray
from random_records import drawn

from robustmm.evaluation.chance import doubt_accuracy

CLASSES = ["ant", "bee", "cat"]


def doubted(answer: NDArray[np.int64], target: NDArray[np.int64], foreign: bool = True) -> list[str]:
    records = drawn(len(target))
    records.target, records.probabilities = target, np.eye(3)[answer]
    return doubt_accuracy(records, CLASSES, foreign)


def test_classes_in_another_order_are_asked_about() -> None:
    target = np.arange(90) % 3
    (said,) = doubted((target + 1) % 3, target)
    assert said == (
        "Clean accuracy, 0.0% [0.0, 4.1], is certainly below chance (33.3%): are `classes` in the output's order?"
    )
    assert doubted((target + 1) % 3, target, foreign=False)[0].endswith(": was the model trained for this data?")
    assert doubted(target, target) == []


@pytest.mark.parametrize("n", [6, 600])
def test_it_is_said_only_where_it_is_certain(n: int) -> None:
    """A fifth is right: of 6 samples that is no sign."""
    target = np.arange(n) % 3
    answer = np.where(np.arange(n) % 5 == 0, target, (target + 1) % 3)
    assert bool(doubted(answer, target)) == (n == 600)


def test_chance_answers_are_not_doubted_and_rarer_ones_are_held_against_the_commonest_class() -> None:
    rng = np.random.default_rng(0)
    target = np.where(np.arange(1000) < 970, 0, 1 + np.arange(1000) % 2)
    assert doubted(rng.permutation(np.arange(999) % 3), np.arange(999) % 3) == []
    careful = np.where(np.arange(1000) % 10 == 0, 1, target)
    (said,) = doubted(careful, target)
    assert 'below that of always answering "ant" (97.0%)' in said
    assert "chance" not in said
    turned = np.where(target == 0, 1, 0)
    assert "below chance (33.3%)" in doubted(turned, target)[0]
