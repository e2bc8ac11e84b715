import shutil
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audits import forget

from robustmm.auditing import cells
from robustmm.auditing.cells import EvaluationPass, Piece, current_pass, divide_pass, run_pass
from robustmm.auditing.spec import Spec, open_spec
from robustmm.conditions.condition import Condition, Noise
from robustmm.errors import DataError
from robustmm.evaluation.evaluate import evaluate
from robustmm.evaluation.records import Records
from robustmm.runtime.session import Session
from robustmm.workers.processes import WorkerPool

CONDITIONS = (
    Condition("clean"),
    Condition("noisy", (Noise("gaussian", 0.5),)),
    Condition("gone", (), {"series": 0.5}),
    Condition("stale", (), {"vector": 0.3}, fill="stale", burst=2),
)


@pytest.fixture
def asked(world_model: Path, world_manifest: Path) -> Spec:
    forget()
    return Spec(world_model, world_manifest, seed=3)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every call of an encoder: the modality and the rows."""
    calls: list[tuple[str, int]] = []
    plain = Session.embed

    def embed(self: Session, name: str, x: Any) -> Any:
        calls.append((name, len(x)))
        return plain(self, name, x)

    monkeypatch.setattr(Session, "embed", embed)
    return calls


def list_pieces(asked: Spec) -> list[Piece]:
    return divide_pass(len(CONDITIONS), len(open_spec(asked).chunks))


def whole(asked: Spec, folder: Path) -> EvaluationPass:
    with WorkerPool(1) as pool:
        return run_pass(pool, asked, CONDITIONS, folder, lambda steps: None, list_pieces(asked))


def assert_same(a: Records, b: Records, *but: str) -> None:
    for name in {f.name for f in fields(Records)} - {*but}:
        x, y = getattr(a, name), getattr(b, name)
        np.testing.assert_array_equal(x, y, err_msg=name)


def test_the_records_are_the_evaluations_in_the_manifests_order(asked: Spec, tmp_path: Path) -> None:
    found = whole(asked, tmp_path)
    expected, _ = evaluate(open_spec(asked).session, open_spec(asked).rows, CONDITIONS, seed=3, batch=72)
    for number, records in enumerate(expected):
        got = found.read_records(number)
        assert got.ids == open_spec(asked).rows.ids
        assert_same(got, records, "additive", "residual")
        assert got.residual < 1e-12
        measured = got.present.all(1) & CONDITIONS[number].is_clean
        assert not np.isnan(got.additive[measured]).any()
        assert np.isnan(got.additive[~measured]).all()
    assert found.clean_records() is found.clean_records()
    assert_same(found.clean_records(), found.read_records(0))


@pytest.mark.parametrize("batch", [1, 2, 7, 31])
def test_cells_do_not_depend_on_the_batch(asked: Spec, tmp_path: Path, batch: int) -> None:
    one, other = whole(asked, tmp_path / "a"), whole(replace(asked, batch=batch), tmp_path / "b")
    for keys, others in zip(one.keys, other.keys, strict=True):
        assert keys == others
        for key in keys:
            assert one.store.path(key).read_bytes() == other.store.path(key).read_bytes()


@pytest.mark.parametrize("baseline", ["mean", "permuted"])
def test_baselines_are_of_a_chunk_whatever_the_batch(asked: Spec, tmp_path: Path, baseline: Any) -> None:
    one = whole(replace(asked, baseline=baseline), tmp_path / "a")
    other = whole(replace(asked, baseline=baseline, batch=5), tmp_path / "b")
    for number in range(len(CONDITIONS)):
        assert_same(one.read_records(number), other.read_records(number))
    assert not np.array_equal(
        one.read_records(0).phi_accuracy, whole(asked, tmp_path / "c").read_records(0).phi_accuracy
    )


def test_only_what_is_wanting_is_made(asked: Spec, tmp_path: Path, counted: list[tuple[str, int]]) -> None:
    found = whole(asked, tmp_path)
    everything = [found.read_records(k) for k in range(4)]
    assert found.missing_cells(1) == []
    first = len(counted)
    assert sorted(set(counted)) == [(name, rows) for name in ("series", "vector") for rows in (8, 32)]
    forget()
    assert whole(asked, tmp_path).missing_cells(0) == []
    assert len(counted) == first, "no encoder is called for what is there"
    found.store.path(found.keys[1][2]).unlink()
    found.store.path(found.keys[2][0]).unlink()
    assert [found.missing_cells(chunk) for chunk in range(3)] == [[2], [], [1]]
    counted.clear()
    forget()
    again = whole(asked, tmp_path)
    assert sorted(counted) == [("series", 8), ("series", 32), ("vector", 8), ("vector", 32)]
    for number, records in enumerate(everything):
        assert_same(again.read_records(number), records)


def test_a_cell_that_is_damaged_is_made_again(asked: Spec, tmp_path: Path) -> None:
    found = whole(asked, tmp_path)
    expected = found.read_records(1)
    first, second, third = (found.store.path(key) for key in found.keys[1])
    contents = [path.read_bytes() for path in (first, second, third)]
    first.write_bytes(contents[0][:100])
    second.write_bytes(contents[1].replace(b"residual", b"Residual"))
    third.unlink()
    assert_same(found.read_records(1), expected)
    assert [path.read_bytes() for path in (first, second, third)] == contents


def test_progress_counts_every_cell_once(asked: Spec, tmp_path: Path) -> None:
    for workers, gone in ((1, 0), (1, 3), (2, 5), (1, 12)):
        steps: list[int] = []
        forget()
        paths = sorted(tmp_path.glob("*/*.cell"))
        for path in paths[:gone]:
            path.unlink()
        with WorkerPool(workers) as pool:
            run_pass(pool, asked, CONDITIONS, tmp_path, steps.append, list_pieces(asked))
        assert sum(steps) == 12
        assert steps[0] == len(paths[gone:])
    assert len(list(tmp_path.glob("*/*.cell"))) == 12


def test_a_pass_is_opened_once(asked: Spec, tmp_path: Path) -> None:
    one = current_pass(asked, CONDITIONS, tmp_path)
    assert current_pass(asked, CONDITIONS, tmp_path) is one
    for other in (
        current_pass(asked, CONDITIONS, tmp_path / "b"),
        current_pass(asked, CONDITIONS[:2], tmp_path),
        current_pass(replace(asked, seed=4), CONDITIONS, tmp_path),
    ):
        assert other is not one
    assert len(cells._CURRENT) == 1, "two passes at once would hold two sets of plans"


@pytest.fixture
def torn(asked: Spec, tmp_path: Path) -> Spec:
    """Rows 15 and 112 to 114 of a copy of the data cannot be read."""
    shutil.copytree(asked.manifest.parent, tmp_path / "data")
    path = tmp_path / "data" / "manifest.csv"
    text = path.read_text()
    for row, name in ((15, "vector"), (15, "series"), *((k, "series") for k in (112, 113, 114))):
        old = f"{name}.npy#{row}" + (",s" if name == "vector" else "\n")
        assert old in text
        text = text.replace(old, old.replace(f"{name}.npy", "gone\x1c\x85\u2028.npy"))
    path.write_text(text)
    return replace(asked, manifest=path, on_bad="missing")


def test_what_cannot_be_read_is_told_in_the_manifests_order(torn: Spec, tmp_path: Path) -> None:
    found = whole(torn, tmp_path / "cells")
    lines = [int(sentence.partition(" line ")[2].split()[0]) for sentence in found.bad_inputs()]
    assert lines == [17, 17, 114, 115, 116]
    assert ["vector" in sentence for sentence in found.bad_inputs()] == [True, False, False, False, False]
    assert all("gone\x1c\x85\u2028.npy" in sentence for sentence in found.bad_inputs())
    expected = evaluate(open_spec(torn).session, open_spec(torn).rows, CONDITIONS[:1], on_bad="missing")[1]
    assert sorted(found.bad_inputs()) == sorted(expected)
    assert not found.read_records(0).present[open_spec(torn).rows.ids.index("s015")].any()


def test_what_was_told_may_be_lost_too(torn: Spec, tmp_path: Path) -> None:
    found = whole(torn, tmp_path / "cells")
    expected, written = found.bad_inputs(), sorted((tmp_path / "cells").glob("*/*.bad.json"))
    contents = [path.read_bytes() for path in written]
    assert len(written) == 3
    written[0].unlink()
    written[1].write_text("[")
    written[2].write_text("{}")
    assert found.bad_inputs() == expected
    assert [path.read_bytes() for path in written] == contents


def test_an_input_that_cannot_be_read_stops_all(torn: Spec, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line \d+ \(id 's\d+', (series|vector)\)"):
        whole(replace(torn, on_bad="error"), tmp_path / "cells")
    assert list((tmp_path / "cells").rglob("*.part")) == []
