"""Which rows a limit takes: a stratified random sample, the same whatever the order of the table."""

import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustmm.data.sample import describe_vanished, hash_order, sample_rows

IDS = [str(i) for i in range(200)]
ORDERS = {
    "alternating": [["no", "yes"][i % 2] for i in range(200)],
    "sorted": ["no"] * 100 + ["yes"] * 100,
    "every fourth": [["no", "no", "no", "yes"][i % 4] for i in range(200)],
    "three with a rare one": ["rare" if i % 50 == 7 else ["a", "b"][i % 2] for i in range(200)],
}


def picked(labels: list[str], limit: int) -> Counter[str]:
    return Counter(labels[row] for row in sample_rows(IDS, labels, limit))


def test_the_classes_keep_their_proportions() -> None:
    """Evenly spaced rows would take 50 of "no" and none of "yes" where the classes alternate."""
    assert picked(ORDERS["alternating"], 50) == {"no": 25, "yes": 25}
    assert picked(ORDERS["sorted"], 50) == {"no": 25, "yes": 25}
    assert picked(ORDERS["every fourth"], 50) == {"no": 38, "yes": 12} or picked(ORDERS["every fourth"], 50) == {
        "no": 37, "yes": 13
    }  # fmt: skip
    assert picked(ORDERS["three with a rare one"], 50) == {"a": 25, "b": 24, "rare": 1}, "100, 96 and 4 of 200"


@pytest.mark.parametrize("labels", ORDERS.values(), ids=ORDERS)
def test_the_sample_does_not_depend_on_the_order_of_the_table_or_the_names_of_the_classes(labels: list[str]) -> None:
    expected = {IDS[row] for row in sample_rows(IDS, labels, 31)}
    shuffled = np.random.default_rng(0).permutation(200)
    ids, moved = [IDS[i] for i in shuffled], [labels[i] for i in shuffled]
    assert {ids[row] for row in sample_rows(ids, moved, 31)} == expected
    renamed = [{"no": "z", "a": "y"}.get(label, label) for label in labels]
    assert {IDS[row] for row in sample_rows(IDS, renamed, 31)} == expected


def test_of_every_class_those_whose_hashes_come_first() -> None:
    def digest(row: int) -> bytes:
        return hashlib.blake2b(IDS[row].encode()).digest()

    assert hash_order(IDS) == sorted(range(200), key=digest)
    assert hash_order(["\ud800", "a"]) in ([0, 1], [1, 0]), "half a character is no reason to stop"
    labels = ORDERS["three with a rare one"]
    found = sample_rows(IDS, labels, 20)
    for label in set(labels):
        members = sorted((row for row in range(200) if labels[row] == label), key=digest)
        taken = [row for row in found if labels[row] == label]
        assert sorted(taken) == sorted(members[: len(taken)])


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=60), st.integers(1, 70))
@settings(max_examples=100, deadline=None)
def test_largest_remainder(labels: list[str], limit: int) -> None:
    rows = sample_rows(IDS[: len(labels)], labels, limit)
    assert rows == sorted(set(rows))
    assert len(rows) == min(limit, len(labels))
    whole, part = Counter(labels), Counter(labels[row] for row in rows)
    for label, count in whole.items():
        quota = count * len(rows) / len(labels)
        assert quota - 1 < part[label] < quota + 1, "within the quota's whole numbers"


def test_a_class_that_vanishes_is_told() -> None:
    labels = ORDERS["three with a rare one"]
    rows = sample_rows(IDS, labels, 10)
    assert describe_vanished(labels, rows) == ['1 of 3 classes have no row among the 10 of 200 sampled: "rare"']
    assert describe_vanished(labels, sample_rows(IDS, labels, None)) == []
    many = [f"c{i:03d}" for i in range(200)]
    (told,) = describe_vanished(many, sample_rows(IDS, many, 50))
    assert told.startswith("150 of 200 classes have no row among the 50 of 200 sampled: ")
    assert told.endswith(" and 145 more")
