from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_records import assert_same, drawn

from robustmm.auditing.store import DAMAGE_ERRORS
from robustmm.evaluation.records import ARRAYS, FACTS, Records, join_records, load_records


def kept(records: Records) -> Records:
    file = BytesIO()
    records.write(file)
    file.seek(0)
    return load_records(file)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("n", [1, 7])
def test_what_is_written_is_read_bit_for_bit(n: int, exact: bool) -> None:
    records = drawn(n, exact=exact)
    records.snr[0] = [-np.inf, np.nan]
    records.empty_value[0] = [-0.0, 5e-324]
    assert_same(kept(records), records)


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_ids_are_any_text(ids: list[str]) -> None:
    records = drawn(len(ids))
    records.ids = ids
    assert kept(records).ids == ids


@pytest.mark.parametrize("text", ["a\0", "\udcff", "é😀\u2028\n", ""])
def test_ids_that_no_file_name_has(text: str) -> None:
    records = drawn(2)
    records.ids = [text, "b"]
    assert kept(records).ids == [text, "b"]


@pytest.mark.parametrize("n", [1, 3, 8])
def test_arrays_stand_where_the_processor_reads_them_and_may_be_written(n: int) -> None:
    for name in ARRAYS:
        found = getattr(kept(drawn(n)), name)
        assert found.flags.aligned
        assert found.flags.writeable
        assert found.flags.c_contiguous


def test_rows_in_another_order() -> None:
    records = drawn(5)
    rows = np.array([3, 0, 3])
    some = records.take(rows)
    assert some.ids == ["s0-3", "s0-0", "s0-3"]
    assert len(some) == 3
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(some, name), getattr(records, name)[rows], err_msg=name)
    assert [getattr(some, name) for name in FACTS] == [getattr(records, name) for name in FACTS]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_parts_in_order_are_the_whole(sizes: list[int]) -> None:
    parts = [drawn(n, seed=seed) for seed, n in enumerate(sizes)]
    whole = join_records(parts)
    assert len(whole) == sum(sizes)
    for part, (start, end) in zip(parts, pairwise(np.cumsum([0, *sizes]).tolist()), strict=True):
        found = whole.take(np.arange(start, end))
        found.residual, found.untouched = part.residual, part.untouched
        assert_same(found, part)
    assert whole.residual == max(part.residual for part in parts)
    assert whole.untouched == sum(part.untouched for part in parts)
    assert join_records([drawn(2, exact=False)]).exact is False


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "records"
    with path.open("wb") as file:
        drawn(3).write(file)
    whole = path.read_bytes()
    other, pickled = BytesIO(), BytesIO()
    np.savez(other, ids=np.array(["a"]))
    np.savez(pickled, ids=np.array([{}], dtype=object))
    line, _, rest = whole.partition(b"\n")
    heads = [b"[" * 100_000 + b"]" * 100_000, b"7", b"{}", line.replace(b"<f8", b"<f4", 1)]
    heads += [line.replace(b"[3, ", f"[{number}, ".encode(), 1) for number in (-3, 4, 2**31, 10**40)]
    spoilt = [head + b"\n" + rest for head in heads]
    spoilt += [b"", b"text", whole[:200], whole[:-1], whole + b"\0", other.getvalue(), pickled.getvalue()]
    for content in spoilt:
        path.write_bytes(content)
        with path.open("rb") as file, pytest.raises(DAMAGE_ERRORS):
            load_records(file)
