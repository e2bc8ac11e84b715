"""Missing inputs as a plan has them: patterns, stored tables, bursts and fills."""

from pathlib import Path

import numpy as np
import pytest

from robustmm.conditions import missing, plan
from robustmm.conditions.condition import Condition, Noise
from robustmm.conditions.plan import KEPT_FAULTS, Plan
from robustmm.corruptions import pairs
from robustmm.data.manifest import Manifest
from robustmm.errors import DataError, UsageError
from robustmm.evaluation.evaluate import evaluate
from robustmm.runtime.session import Session


def plan_of(session: Session, rows: Manifest, condition: Condition) -> Plan:
    return Plan(condition, session.modalities, rows, 0, "error")


def test_present_keeps_those_and_no_other(session: Session, rows: Manifest) -> None:
    kept = plan_of(session, rows, Condition("c", present=("series",))).present
    assert kept[:, 1].all()
    assert not kept[:, 0].any()
    with pytest.raises(UsageError, match='no modality "seris", did you mean "series"'):
        plan_of(session, rows, Condition("c", present=("seris",)))


def test_a_stored_table_is_what_was_written(session: Session, rows: Manifest, tmp_path: Path) -> None:
    present = missing.draw_presence_table(rows.ids, ["series"], {"series": 0.4}, 7)
    path = tmp_path / "mask.csv"
    path.write_text(missing.format_presence_table(rows.ids, ["series"], present))
    kept = plan_of(session, rows, Condition("c", table=str(path))).present
    assert kept[:, 0].all()
    assert np.array_equal(kept[:, 1], present[:, 0])
    (records,), _ = evaluate(session, rows, [Condition("c", table=str(path))])
    assert np.array_equal(records.present, kept)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", 'should have the columns "id"'),
        ("name,series\ns1,1\n", 'should have the columns "id"'),
        ("id,serie\ns1,1\n", 'has a column "serie", did you mean "series"'),
        ("id,series\nnobody,1\n", "has no row for the sample"),
        ("id,series\n{first},2\n", 'line 2, series: expected 0 or 1, found "2"'),
        ("id,series\n{first}\n", "line 2, series: expected 0 or 1"),
    ],
)
def test_a_stored_table_that_cannot_be_used(
    session: Session, rows: Manifest, tmp_path: Path, content: str, sentence: str
) -> None:
    path = tmp_path / "mask.csv"
    path.write_text(content.format(first=rows.ids[0]))
    with pytest.raises(DataError, match=sentence):
        plan_of(session, rows, Condition("c", table=str(path)))
    with pytest.raises(DataError, match=r"none\.csv cannot be read"):
        missing.read_presence_table(tmp_path / "none.csv", rows.ids, session.names)


def test_bursts_are_neighbours_and_the_count_is_exact() -> None:
    ids = [f"r{i}" for i in range(100)]
    lost = ~missing.draw_presence_table(ids, ["a"], {"a": 0.3}, 0, burst=10)[:, 0]
    assert lost.sum() == 30
    assert np.flatnonzero(np.diff(np.concatenate([[0], lost, [0]]))).size <= 6, "at most three runs"
    more = ~missing.draw_presence_table(ids, ["a"], {"a": 0.5}, 0, burst=10)[:, 0]
    assert (more | ~lost).all()


def signals(session: Session, rows: Manifest, name: str) -> list[np.ndarray]:
    m = session.modality(name)
    return [np.asarray(m.read(cell, rows.folder)) for cell in rows.column(name)]


def test_masked_tells_the_model_and_the_others_do_not(session: Session, rows: Manifest) -> None:
    here = np.ones((len(rows), 2), bool)
    for fill in ("masked", "zero", "stale"):
        condition = Condition("c", missing={"series": 0.5}, fill=fill)  # type: ignore[arg-type]
        plan = plan_of(session, rows, condition)
        mask = plan.presence_mask(here, slice(0, len(rows)))
        assert np.array_equal(mask, plan.present if fill == "masked" else here)
        assert plan.changed_modalities == ([] if fill == "masked" else ["series"])


def test_zeros_stand_in_or_the_last_sample_that_was_there(session: Session, rows: Manifest) -> None:
    own, m = signals(session, rows, "series"), session.modality("series")
    zero = plan_of(session, rows, Condition("c", missing={"series": 0.5}, fill="zero"))
    stale = plan_of(session, rows, Condition("c", missing={"series": 0.5}, fill="stale"))
    last: np.ndarray = np.zeros(m.shape, np.float32)
    lost = 0
    for row, sample in enumerate(rows.ids):
        zeroed = np.asarray(zero.build_corrupter(m)(row, sample, own[row]))
        held = np.asarray(stale.build_corrupter(m)(row, sample, own[row]))
        if zero.present[row, 1]:
            assert np.array_equal(zeroed, own[row])
            assert np.array_equal(held, own[row])
            last = own[row]
        else:
            assert not zeroed.any()
            assert np.array_equal(held, last)
            lost += 1
    assert lost == len(rows) // 2


def test_a_noise_met_by_half_of_the_samples_leaves_the_other_half_as_it_was(session: Session, rows: Manifest) -> None:
    half = Condition("c", (Noise("gaussian", 1.0, ("series",), probability=0.5),))
    (records,), _ = evaluate(session, rows, [half])
    own, m = signals(session, rows, "series"), session.modality("series")
    apply = plan_of(session, rows, half).build_corrupter(m)
    same = sum(
        np.array_equal(np.asarray(apply(i, s, x)), x) for i, (s, x) in enumerate(zip(rows.ids, own, strict=True))
    )
    assert records.untouched == same
    assert 0.3 * len(rows) < same < 0.7 * len(rows)


def test_what_a_condition_does_is_told_apart_from_its_name(session: Session, rows: Manifest) -> None:
    def define(name: str = "c", **more: object) -> list[object]:
        return plan_of(session, rows, Condition(name, **more)).define()  # type: ignore[arg-type]

    noise = (Noise("gaussian", 0.5),)
    assert define("a", noises=noise) == define("b", noises=noise)
    assert define(noises=noise) == define(noises=(Noise("gaussian", 0.5, ("vector", "series")),)), "all that it serves"
    assert define(missing={"series": 0.0}) == define()
    others = [
        define(), define(noises=noise), define(noises=(Noise("gaussian", 0.4),)),
        define(noises=(Noise("gaussian", 0.5, ("series",)),)), define(noises=(Noise("gaussian", 0.5, (), 0.5),)),
        define(missing={"series": 0.5}), define(missing={"series": 0.5}, burst=2), define(present=("series",)),
        define(missing={"series": 0.5}, fill="zero"),
    ]  # fmt: skip
    assert len({repr(each) for each in others}) == len(others)


def test_what_happens_to_a_whole_sample_is_drawn_once_for_all_its_modalities(
    session: Session, rows: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it is what every modality would have drawn for itself, however many samples come between."""
    condition = Condition("c", (Noise("gaussian", 0.5), Noise("swap-other-class", 1.0)))
    drawn: list[int] = []
    plain = pairs.SampleCorruption.__call__

    def counted(self: pairs.SampleCorruption, sample: pairs.Sample, level: float, seed: int) -> dict[str, pairs.Fault]:
        drawn.append(sample.row)
        return plain(self, sample, level, seed)

    monkeypatch.setattr(pairs.SampleCorruption, "__call__", counted)
    for kept, times in ((KEPT_FAULTS, 1), (0, 2)):
        monkeypatch.setattr(plan, "KEPT_FAULTS", kept)
        here, found = plan_of(session, rows, condition), []
        drawn.clear()
        for m in session.modalities:
            own = [m.read(cell, rows.folder) for cell in rows.cells(m)]
            corrupter = here.build_corrupter(m)
            found += [corrupter(row, rows.ids[row], own[row]) for row in range(20)]
        assert sorted(drawn) == sorted(times * list(range(20)))
        if kept:
            first = found
    assert all(np.array_equal(a, b) for a, b in zip(first, found, strict=True))
