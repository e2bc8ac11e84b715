"""Presence tables: exact, nested, and a matter of (seed, id, modality) alone."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustmm.conditions.missing import draw_presence_table, format_presence_table, parse_rates, read_presence_table
from robustmm.errors import DataError, UsageError

IDS = [f"s{i}" for i in range(200)]
NAMES = ("image", "audio", "text")


@pytest.mark.parametrize("n", [1, 7, 10, 99, 200])
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.29, 1 / 3, 0.5, 0.7, 0.999, 1.0])
def test_exactly_that_share_loses_the_modality(n: int, rate: float) -> None:
    present = draw_presence_table(IDS[:n], NAMES, {"audio": rate}, 0)
    assert present.shape == (n, 3)
    assert (~present).sum(0).tolist() == [0, int(n * rate + 1e-9), 0]


def test_shares_that_floating_point_misses_are_exact() -> None:
    assert 100 * 0.29 < 29, "the product alone would lose a sample"
    assert (~draw_presence_table(IDS[:100], ["a"], {"a": 0.29}, 0)).sum() == 29


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_tables_are_nested_in_the_rate(one: float, other: float, seed: int) -> None:
    low, high = sorted((one, other))
    few, many = (draw_presence_table(IDS, ["a"], {"a": rate}, seed) for rate in (low, high))
    assert (many <= few).all()


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_row_order_and_other_modalities_do_not_matter(rate: float) -> None:
    every = {"image": rate, "audio": rate, "text": 0.9}
    whole = draw_presence_table(IDS, NAMES, every, 3)
    order = np.random.default_rng(0).permutation(len(IDS))
    assert (draw_presence_table([IDS[i] for i in order], NAMES, every, 3) == whole[order]).all()
    assert (draw_presence_table(IDS, NAMES[::-1], every, 3) == whole[:, ::-1]).all()
    assert (draw_presence_table(IDS, ["audio"], {"audio": rate}, 3)[:, 0] == whole[:, 1]).all()


def test_seeds_and_modalities_draw_independently() -> None:
    ids = [str(i) for i in range(4000)]
    both = draw_presence_table(ids, ["a", "b"], {"a": 0.5, "b": 0.5}, 0)
    assert abs((both[:, 0] & both[:, 1]).mean() - 0.25) < 0.03
    again = draw_presence_table(ids, ["a", "b"], {"a": 0.5, "b": 0.5}, 1)
    assert abs((both[:, 0] == again[:, 0]).mean() - 0.5) < 0.03
    assert (draw_presence_table(ids, ["a", "b"], {"a": 0.5, "b": 0.5}, 0) == both).all()


def test_a_key_is_not_the_sum_of_its_parts() -> None:
    """Seed 1 on "1a" is not seed 11 on "a": the parts of a draw's key are kept apart."""
    ids, others = [f"{i}" for i in range(300)], [f"1{i}" for i in range(300)]
    here, there = draw_presence_table(ids, ["1a"], {"1a": 0.5}, 1), draw_presence_table(ids, ["a"], {"a": 0.5}, 11)
    assert not np.array_equal(here, there)
    assert not np.array_equal(
        draw_presence_table(others, ["a"], {"a": 0.5}, 0), draw_presence_table(ids, ["a1"], {"a1": 0.5}, 0)
    )


@pytest.mark.parametrize("n", [1, 40, 43])
@pytest.mark.parametrize("burst", [2, 5, 60])
def test_a_burst_is_that_many_neighbours_from_a_fixed_grid(n: int, burst: int) -> None:
    for rate in (0.1, 0.35, 0.8, 1.0):
        lost = ~draw_presence_table(IDS[:n], ["a"], {"a": rate}, 0, burst)[:, 0]
        assert lost.sum() == int(n * rate + 1e-9)
        blocks = [lost[i : i + burst] for i in range(0, n, burst)]
        cut = [block for block in blocks if block.any() and not block.all()]
        assert len(cut) <= 1, "only the last outage may be cut"
        assert all((np.diff(block.astype(int)) <= 0).all() for block in cut), "from its end"


def test_strange_ids_and_no_ids() -> None:
    assert draw_presence_table(["", "a\0b", "🎈", "n" * 10_000], ["a"], {"a": 0.5}, 0).sum() == 2
    assert draw_presence_table([], NAMES, {"audio": 0.5}, 0).shape == (0, 3)


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
    assert parse_rates(options, NAMES) == found


@pytest.mark.parametrize("option", ["audio=1.1", "audio=-0.1", "audio=nan", "audio=inf", "audio=", "audio", "", "="])
def test_what_is_no_rate_is_said(option: str) -> None:
    with pytest.raises(UsageError, match=r"a missing rate is MODALITY=RATE with a rate in \[0, 1\], found"):
        parse_rates([option], NAMES)


@pytest.mark.parametrize("option", ["adio=0.3", "=0.3", "audio=x=0.3"])
def test_unknown_modalities_are_met_with_a_guess(option: str) -> None:
    with pytest.raises(UsageError, match=r"there is no modality .*\(known: audio, image, text\)") as error:
        parse_rates([option], NAMES)
    if option.startswith("adio"):
        assert 'did you mean "audio"?' in str(error.value)


CSV = "id,audio,image\ns1,0,1\ns0,1,0\n"


def test_a_stored_table_is_read_by_id_and_column(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for text in (CSV, "\ufeff" + CSV, CSV.replace("\n", "\r\n")):
        path.write_text(text, encoding="utf-8", newline="")
        found = read_presence_table(path, ["s0", "s1"], NAMES)
        assert found.tolist() == [[False, True, True], [True, False, True]], "text has no column: it is complete"


def test_what_is_written_is_read_again_to_the_byte(tmp_path: Path) -> None:
    ids = ["plain", 'with "quotes", commas', "two\nlines", "🎈"]
    present = draw_presence_table(ids, NAMES, dict.fromkeys(NAMES, 0.5), 0)
    text = format_presence_table(ids, NAMES, present)
    (tmp_path / "t.csv").write_text(text, encoding="utf-8", newline="")
    assert (read_presence_table(tmp_path / "t.csv", ids, NAMES) == present).all()
    assert format_presence_table(["s1", "s0"], ["audio", "image"], np.array([[False, True], [True, False]])) == CSV
    with pytest.raises(ValueError, match="shorter"):
        format_presence_table(ids, NAMES, present[:2])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", r't\.csv should have the columns "id" and modalities, found ""'),
        ("name,audio\ns0,1\n", 'found "name, audio"'),
        ("id,adio\ns0,1\n", r't\.csv has a column "adio", did you mean "audio"'),
        ("id,audio,audio\ns0,1,0\n", "header has a column twice: id, audio, audio"),
        ("id,audio\ns1,1\n", r't\.csv has no row for the sample "s0"'),
        ("id,audio\n", r't\.csv has no row for the sample "s0"'),
        ("id,audio\ns1,1\n\ns0,yes\n", 'line 4, audio: expected 0 or 1, found "yes"'),
        ("id,audio\ns0\n", 'line 2, audio: expected 0 or 1, found ""'),
        ("id,audio\ns0,\n", 'line 2, audio: expected 0 or 1, found ""'),
        ("id,audio\ns0,1,0\n", "line 2: expected 2 cells, found more"),
        ("id,audio\ns1,1\ns0,1\ns0,0\n", 'line 4: a second row for the sample "s0"'),
        ("id,audio\ns0,\x00\udcff\n", r"t\.csv cannot be read"),
    ],
)
def test_a_stored_table_that_cannot_be_used_is_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=sentence):
        read_presence_table(path, ["s0"], NAMES)
    with pytest.raises(DataError, match=r"none\.csv cannot be read \(.*No such file"):
        read_presence_table(tmp_path / "none.csv", ["s0"], NAMES)
