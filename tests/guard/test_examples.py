"""What the guard learns from: faults of the catalogue, one or two at a time, each on samples that have the modality."""

import numpy as np
import pytest
from numpy.typing import NDArray
from worlds import SIX

from robustmm.corruptions import LEVELS
from robustmm.guard.examples import (
    BATCH,
    CORRUPTED,
    FEWEST,
    MISMATCHED,
    Encoded,
    Fault,
    combine,
    corrupt_modality,
    count_signals,
    encode_signals,
    list_corruptions,
    mismatch,
    name_family,
)
from robustmm.modalities import Features

VECTOR = Features(name="v", length=4, mean=(0.0,) * 4, std=(1.0,) * 4)


def encoded(M: int, samples: int, faults: int, share: float = 0.5) -> list[list[Encoded]]:
    rng = np.random.default_rng(M)

    def one(m: int, k: int) -> Encoded:
        rows = np.flatnonzero(rng.random(samples) < share)
        return Encoded(Fault("abcdef"[m], "noise", f"n{k}", 1.0), rows, np.zeros((len(rows), 2), np.float32))

    return [[one(m, k) for k in range(faults)] for m in range(M)]


@pytest.mark.parametrize("M", [2, 3, 6])
def test_every_sample_clean_then_one_fault_then_two_of_the_same_sample(M: int) -> None:
    faults = encoded(M, 30, 4)
    found = combine(faults, 30, 100_000)
    number = np.array([[k >= 0 for k in example.faults] for example in found]).sum(1)
    assert [e.row for e in found[:30]] == list(range(30))
    assert (number[:30] == 0).all()
    assert (number[30:] > 0).all()
    for example in found:
        for m, k in enumerate(example.faults):
            assert k < 0 or example.row in faults[m][k].rows, "the fault has an encoding of this very sample"
    single = [example for example, n in zip(found, number, strict=True) if n == 1]
    assert len(set(single)) == len(single) == sum(len(each.rows) for fs in faults for each in fs), "each once"
    double = (number == 2).sum()
    assert 0 < double <= len(single) // 3
    assert number.max() == 2
    assert {tuple(k >= 0 for k in e.faults) for e, n in zip(found, number, strict=True) if n == 2} == {
        tuple(bool(x) for x in np.isin(np.arange(M), pair)) for pair in zip(*np.triu_indices(M, 1), strict=True)
    }
    assert combine(faults, 30, 100_000) == found


def test_of_too_many_a_part_is_taken_and_clean_ones_stay() -> None:
    faults = encoded(2, 50, 20)
    found = combine(faults, 50, 130)
    single = [e for e in found if sum(k >= 0 for k in e.faults) == 1]
    assert len(single) == 3 * (130 - 50) // 4
    assert len({e.faults for e in single}) > 20, "of every fault some"
    assert len(found) <= 130
    assert len(combine(faults, 50, 10)) == 50


def test_where_no_sample_has_both_none_has_two_faults() -> None:
    none = Encoded(Fault("b", "x", "x", 1.0), np.array([], np.int64), np.zeros((0, 2), np.float32))
    found = combine([encoded(1, 10, 2)[0], [none]], 10, 1000)
    assert all(example.faults[1] == -1 for example in found)


def corrupted(present: NDArray[np.bool_], advance: list[int]) -> list[Encoded]:
    rng = np.random.default_rng(0)
    signals = [rng.normal(size=4).astype(np.float32) if here else None for here in present]
    ids = [f"s{i}" for i in range(len(present))]
    return corrupt_modality(VECTOR, ids, signals, lambda name, x: x.astype(np.float32), advance.append)


def test_every_corruption_at_every_level_on_samples_that_have_the_modality() -> None:
    present = np.arange(60) % 3 > 0
    steps: list[int] = []
    found = corrupted(present, steps)
    names = list_corruptions(VECTOR)
    assert {each.fault.name for each in found} == set(names)
    for name in names:
        mine = [each for each in found if each.fault.name == name]
        assert [each.fault.level for each in mine] == list(LEVELS)
        rows = np.concatenate([each.rows for each in mine])
        assert len(set(rows.tolist())) == len(rows) == count_signals(40, len(names)) == 40
        assert present[rows].all()
    assert sum(steps) == sum(len(each.rows) for each in found)
    noise = {each.fault.level: each for each in found if each.fault.name == "gaussian"}
    clean = np.random.default_rng(0).normal(size=(40, 4))
    place = np.cumsum(present) - 1
    off = [np.abs(each.z - clean[place[each.rows]]).mean() for each in noise.values()]
    assert off == sorted(off), "more at a higher level, and of the sample's own signal"
    again = corrupted(present, [])
    assert all((one.z == other.z).all() for one, other in zip(found, again, strict=True))


def test_a_modality_of_few_samples_or_none() -> None:
    assert corrupted(np.zeros(5, bool), []) == []
    one = corrupted(np.arange(5) == 3, [])
    assert {tuple(each.rows) for each in one} == {(3,)}
    swapped = mismatch("v", np.zeros((5, 2), np.float32), np.zeros(5, bool), 3)
    assert len(swapped.rows) == 0


def test_a_mismatch_is_the_embedding_of_another_sample_that_has_it() -> None:
    z = np.arange(200, dtype=np.float32)[:, None]
    here = np.arange(200) % 2 == 0
    found = mismatch("v", z, here, 50)
    assert (found.fault.family, found.fault.name) == (MISMATCHED, MISMATCHED)
    assert len(set(found.rows.tolist())) == len(found.rows) == 50
    assert here[found.rows].all()
    assert here[found.z[:, 0].astype(int)].all()
    assert (found.z[:, 0] != found.rows).mean() > 0.9


@pytest.mark.parametrize("modality", SIX, ids=lambda m: m.kind)
def test_every_kind_has_corruptions_in_more_than_one_family(modality) -> None:  # type: ignore[no-untyped-def]
    found = list_corruptions(modality)
    families = {name_family(name, modality) for name in found}
    assert len(found) > 5
    assert len(families) > 2
    if modality.kind == "features":
        assert families == set(found), "where a kind has one family, each corruption is one"


def test_how_many_signals() -> None:
    assert count_signals(10, 3) == 10
    assert count_signals(100_000, 16) == CORRUPTED // 16
    assert count_signals(100_000, 10_000) == FEWEST


def test_signals_are_encoded_in_batches_and_order() -> None:
    sizes: list[int] = []
    signals = [np.full(4, i, np.float32) for i in range(BATCH + 5)]
    signals[3] = None  # type: ignore[call-overload]

    def encode(name: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
        sizes.append(len(x))
        return x[:, :1]

    z = encode_signals(VECTOR, signals, encode)
    assert sizes == [BATCH, 5]
    expected = np.arange(BATCH + 5, dtype=np.float32)
    expected[3] = VECTOR.blank_input()[0]
    np.testing.assert_array_equal(z[:, 0], expected)
