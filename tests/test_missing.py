"""Presence tables: exact, nested, and a matter of (seed, id, modality) alone."""

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustmm.errors import UsageError
from robustmm.missing import rates, table

IDS = [f"s{i}" for i in range(200)]
NAMES = ("image", "audio", "text")


@pytest.mark.parametrize("n", [1, 7, 10, 99, 200])
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.29, 1 / 3, 0.5, 0.7, 0.999, 1.0])
def test_exactly_that_share_loses_the_modality(n: int, rate: float) -> None:
    present = table(IDS[:n], NAMES, {"audio": rate}, 0)
    assert present.shape == (n, 3)
    assert (~present).sum(0).tolist() == [0, int(n * rate + 1e-9), 0]


def test_shares_that_floating_point_misses_are_exact() -> None:
    assert 100 * 0.29 < 29, "the product alone would lose a sample"
    assert (~table(IDS[:100], ["a"], {"a": 0.29}, 0)).sum() == 29


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_tables_are_nested_in_the_rate(one: float, other: float, seed: int) -> None:
    low, high = sorted((one, other))
    few, many = (table(IDS, ["a"], {"a": rate}, seed) for rate in (low, high))
    assert (many <= few).all()


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_row_order_and_other_modalities_do_not_matter(rate: float) -> None:
    every = {"image": rate, "audio": rate, "text": 0.9}
    whole = table(IDS, NAMES, every, 3)
    order = np.random.default_rng(0).permutation(len(IDS))
    assert (table([IDS[i] for i in order], NAMES, every, 3) == whole[order]).all()
    assert (table(IDS, NAMES[::-1], every, 3) == whole[:, ::-1]).all()
    assert (table(IDS, ["audio"], {"audio": rate}, 3)[:, 0] == whole[:, 1]).all()


def test_seeds_and_modalities_draw_independently() -> None:
    ids = [str(i) for i in range(4000)]
    both = table(ids, ["a", "b"], {"a": 0.5, "b": 0.5}, 0)
    assert abs((both[:, 0] & both[:, 1]).mean() - 0.25) < 0.03
    again = table(ids, ["a", "b"], {"a": 0.5, "b": 0.5}, 1)
    assert abs((both[:, 0] == again[:, 0]).mean() - 0.5) < 0.03
    assert (table(ids, ["a", "b"], {"a": 0.5, "b": 0.5}, 0) == both).all()


def test_strange_ids_and_no_ids() -> None:
    assert table(["", "a\0b", "🎈", "n" * 10_000], ["a"], {"a": 0.5}, 0).sum() == 2
    assert table([], NAMES, {"audio": 0.5}, 0).shape == (0, 3)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], {}),
        (["audio=0.3"], {"audio": 0.3}),
        (["audio=0.3", "text=1"], {"audio": 0.3, "text": 1.0}),
        (["0.5"], {"image": 0.5, "audio": 0.5, "text": 0.5}),
        (["0.5", "audio=0"], {"image": 0.5, "audio": 0.0, "text": 0.5}),
        (["audio=.1", "audio=1e-1"], {"audio": 0.1}),
    ],
)
def test_rates_by_modality(options: list[str], found: Mapping[str, float]) -> None:
    assert rates(options, NAMES) == found


@pytest.mark.parametrize("option", ["audio=1.1", "audio=-0.1", "audio=nan", "audio=inf", "audio=", "audio", "", "="])
def test_what_is_no_rate_is_said(option: str) -> None:
    with pytest.raises(UsageError, match=r"a missing rate is MODALITY=RATE with a rate in \[0, 1\], found"):
        rates([option], NAMES)


@pytest.mark.parametrize("option", ["adio=0.3", "=0.3", "audio=x=0.3"])
def test_unknown_modalities_are_met_with_a_guess(option: str) -> None:
    with pytest.raises(UsageError, match=r"there is no modality .*\(known: audio, image, text\)") as error:
        rates([option], NAMES)
    if option.startswith("adio"):
        assert 'did you mean "audio"?' in str(error.value)
