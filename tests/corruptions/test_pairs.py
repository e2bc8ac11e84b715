"""Corruptions of whole samples: what is drawn together, whose signal is carried, and what does not depend on order."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from robustmm.conditions.condition import Condition, Noise
from robustmm.conditions.plan import Plan
from robustmm.corruptions import corrupt, find_corruption, kinds, pairs
from robustmm.corruptions.pairs import TOGETHER, Fault, Pool, Sample, find_sample_corruption
from robustmm.data.manifest import Manifest
from robustmm.errors import UsageError
from robustmm.modalities import Audio, Image, Modality, Series, Text
from robustmm.runtime.session import Session

MODALITIES: tuple[Modality, ...] = (
    Audio(name="audio", rate=8000, seconds=1),
    Image(name="image", size=(16, 16, 3)),
    Series(name="series", steps=50, channels=2, mean=(0.0, 0.0), std=(1.0, 1.0)),
)
N = 400
IDS = [f"s{i}" for i in range(N)]
LABELS = [str(i % 4) for i in range(N)]
POOL = Pool(IDS, LABELS, lambda modality, row: True)


def faults(
    name: str, level: float = 1.0, pool: Pool = POOL, seed: int = 0, **options: object
) -> list[dict[str, Fault]]:
    """What the modalities it serves meet, by row."""
    chosen = find_sample_corruption(name).with_options(**options)
    able = tuple(m for m in MODALITIES if m.kind in chosen.kinds)
    return [chosen(Sample(row, able, pool), level, seed) for row in range(len(pool.ids))]


def test_there_are_at_least_six() -> None:
    assert len(pairs.names()) >= 6


@pytest.mark.parametrize("name", pairs.names())
def test_each_is_a_function_of_seed_and_sample_and_nothing_at_level_zero(name: str) -> None:
    assert not any(faults(name, 0))
    assert any(faults(name, 0.2))
    assert faults(name) == faults(name)
    assert faults(name) != faults(name, seed=1)
    assert find_sample_corruption(name).doc
    assert find_sample_corruption(name).unit
    assert find_sample_corruption(name).source
    assert find_sample_corruption(name)(Sample(0, (), POOL), 1.0, 0) == {}, "a sample that has nothing"


@pytest.mark.parametrize("name", pairs.names())
def test_more_samples_or_more_strength_at_a_higher_level(name: str) -> None:
    def total(level: float) -> float:
        """Strength summed over samples; a carried signal counts one."""
        found = [f for sample in faults(name, level) for f in sample.values()]
        return sum(1.0 if isinstance(f, int) else f[1] for f in found)

    strengths = [total(level) for level in (0.2, 0.4, 0.6, 0.8, 1.0)]
    assert all(a < b for a, b in pairwise(strengths))


@pytest.mark.parametrize("name", ["stale", "swap-same-class", "swap-other-class"])
def test_the_samples_struck_at_a_level_are_struck_at_a_higher_one(name: str) -> None:
    mild, harsh = faults(name, 0.4), faults(name, 0.8)
    assert all(not a or a == b for a, b in zip(mild, harsh, strict=True))
    assert np.mean([bool(a) for a in mild]) == pytest.approx(0.4, abs=0.06)


def test_no_corruption_strikes_the_samples_that_another_does() -> None:
    names = ("stale", "swap-same-class", "swap-other-class")
    struck = np.array([[bool(sample) for sample in faults(name, 0.4)] for name in names], float)
    assert (np.abs(np.corrcoef(struck) - np.eye(3)) < 0.2).all()


@pytest.mark.parametrize("name", list(TOGETHER))
def test_one_event_strikes_all_its_modalities_at_one_strength(name: str) -> None:
    parts = TOGETHER[name][1]
    reached = {m.name: parts[m.kind] for m in MODALITIES if m.kind in parts}
    levels = []
    for sample in faults(name, 0.8):
        found = {m: f for m, f in sample.items() if not isinstance(f, int)}
        assert {m: part for m, (part, _) in found.items()} == reached
        (level,) = {level for _, level in found.values()}
        assert 0.4 <= level <= 0.8
        levels.append(level)
    np.testing.assert_allclose(np.quantile(levels, [0, 0.25, 0.5, 0.75, 1]), [0.4, 0.5, 0.6, 0.7, 0.8], atol=0.03)
    for kind, part in parts.items():
        assert kind in kinds(part)


def test_one_fault_travels() -> None:
    found = faults("travelling", 0.6)
    assert all(len(sample) == 1 for sample in found)
    struck = [next(iter(sample)) for sample in found]
    assert {m: struck.count(m) / N for m in set(struck)} == pytest.approx({m.name: 1 / 3 for m in MODALITIES}, abs=0.08)
    assert {f for sample in found for f in sample.values()} == {("blank", 0.6)}
    only = faults("travelling", fault="fog")
    assert {name for sample in only for name in sample} == {"image"}
    deaf = Sample(0, MODALITIES[::2], POOL)
    assert find_sample_corruption("travelling").with_options(fault="fog")(deaf, 1.0, 0) == {}, (
        "nothing that fog could meet"
    )


def test_desynchronise_delays_one_modality_in_time_by_what_it_says() -> None:
    found = faults("desynchronise", 0.5)
    assert {name for sample in found for name in sample} == {"audio", "series"}
    assert find_sample_corruption("desynchronise").strength(0.5) == pytest.approx(0.075)
    for level in (0.1, 0.2, 0.4, 0.55, 0.6, 0.8, 1.0):
        (late,) = faults("desynchronise", level)[0].values()
        for kind in ("audio", "series", "video"):
            said = find_sample_corruption("desynchronise").strength(level)
            assert find_corruption("delay", kind).strength(late[1]) == pytest.approx(said)  # type: ignore[index]
    (fault,) = found[0].values()
    assert not isinstance(fault, int)
    x = np.arange(1, 1001, dtype=np.float32) / 1000
    y = corrupt(x, find_corruption(fault[0], "audio"), fault[1], seed=0, sample_id="s", modality="m")
    assert (y[:75] == 0).all()
    assert np.array_equal(y[75:], x[:-75])


def test_stale_holds_the_row_before() -> None:
    found = faults("stale")
    assert found[0] == {}
    assert all(list(f.values()) == [row - 1] for row, f in enumerate(found) if row)
    assert all(list(f.values()) == [row - 3] for row, f in enumerate(faults("stale", age=3)) if row >= 3)


@pytest.mark.parametrize(("name", "same"), [("swap-same-class", True), ("swap-other-class", False)])
def test_swaps_keep_or_change_the_class_and_spread_over_the_samples(name: str, same: bool) -> None:
    found = [(row, d) for row, f in enumerate(faults(name)) for d in f.values() if isinstance(d, int)]
    assert len(found) == N
    assert all((LABELS[row] == LABELS[donor]) == same and row != donor for row, donor in found)
    assert len({donor for _, donor in found}) > 0.5 * N


def test_who_carries_whose_signal_does_not_depend_on_the_order_of_rows() -> None:
    order = list(np.random.default_rng(0).permutation(N))
    turned = Pool([IDS[i] for i in order], [LABELS[i] for i in order], lambda modality, row: True)
    for name in ("swap-same-class", "swap-other-class"):
        here = {IDS[row]: {m: IDS[d] for m, d in f.items()} for row, f in enumerate(faults(name))}  # type: ignore[index]
        there = {
            turned.ids[row]: {m: turned.ids[d] for m, d in f.items()} for row, f in enumerate(faults(name, pool=turned))
        }  # type: ignore[index]
        assert here == there


@pytest.mark.parametrize("name", ["stale", "travelling", "swap-same-class", "swap-other-class"])
def test_the_level_is_the_fraction_of_samples_or_the_faults_own(name: str) -> None:
    assert [find_sample_corruption(name).strength(level) for level in (0.0, 0.1, 0.2, 0.5, 1.0)] == [
        0.0,
        0.1,
        0.2,
        0.5,
        1.0,
    ]


def test_the_few_of_a_class_find_each_other() -> None:
    rare = Pool(IDS, ["rare" if i in (7, 311) else "common" for i in range(N)], lambda modality, row: True)
    found = faults("swap-same-class", pool=rare)
    assert set(found[7].values()) == {311}
    assert set(found[311].values()) == {7}


@pytest.mark.parametrize("name", ["swap-same-class", "swap-other-class"])
def test_only_who_has_the_modality_can_give_it(name: str) -> None:
    def has(modality: str, row: int) -> bool:
        return row % 8 < 4 if modality == "audio" else row % 8 > 3

    donors = [(m, d) for f in faults(name, pool=Pool(IDS, LABELS, has)) for m, d in f.items() if isinstance(d, int)]
    assert len(donors) == N
    assert all(has(m, d) for m, d in donors)
    assert all(has(m, d) for row in faults("stale", pool=Pool(IDS, LABELS, has)) for m, d in row.items())  # type: ignore[arg-type]


def test_nobody_to_swap_with_leaves_the_sample_alone() -> None:
    alone = Pool(IDS[:3], ["a", "b", "c"], lambda modality, row: True)
    assert faults("swap-same-class", pool=alone) == [{}, {}, {}]
    nothing = Pool(IDS[:3], ["a", "a", "b"], lambda modality, row: False)
    assert faults("swap-same-class", pool=nothing) == faults("stale", pool=nothing) == [{}, {}, {}]


def test_a_plan_carries_the_other_rows_signal(session: Session, rows: Manifest) -> None:
    plan = Plan(Condition("c", (Noise("swap-other-class", 1.0),)), session.modalities, rows, 0, "error")
    changed = 0
    for m in session.modalities:
        own = [m.read(cell, rows.folder) for cell in rows.column(m.name)]
        apply = plan.build_corrupter(m)
        for row, sample in enumerate(rows.ids):
            y = apply(row, sample, own[row])
            if not np.array_equal(y, own[row]):
                donors = [i for i, x in enumerate(own) if np.array_equal(x, y)]
                assert len(donors) == 1
                assert rows.labels[donors[0]] != rows.labels[row]
                changed += 1
    assert changed == len(rows), "one modality of every sample"


def test_a_probability_is_a_coin_for_each_sample_and_modality() -> None:
    condition = Condition("c", (Noise("gaussian", 1.0, probability=0.3),))
    (step,) = condition.resolve_steps(list(MODALITIES))
    tossed = np.array([[step.is_applied(0, sample, m.name) for m in MODALITIES] for sample in IDS])
    np.testing.assert_allclose(tossed.mean(0), 0.3, atol=0.07)
    assert abs(np.corrcoef(tossed.T.astype(float))[0, 1]) < 0.15
    (sure,) = replace(condition, noises=(Noise("gaussian", 1.0),)).resolve_steps(list(MODALITIES))
    assert all(sure.is_applied(0, sample, "audio") for sample in IDS)


@pytest.mark.parametrize(
    ("noise", "sentence"),
    [
        (Noise("stall", 0.5), '"stall" is not a corruption, did you mean "stale"'),
        (Noise("desynchronise", 0.5, ("image",)), '"desynchronise" does not serve image, only audio, series, video'),
        (Noise("travelling", 0.5, options={"fault": "blnk"}), 'did you mean "blank"'),
        (Noise("stale", 0.5, options={"aged": 1}), '"aged" is not an option of corruption "stale", did you mean "age"'),
        (Noise("gaussian", 0.5, options={"x": 1}), '"x" is not an option of corruption "gaussian"'),
    ],
)
def test_what_cannot_be_is_a_sentence(noise: Noise, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Condition("c", (noise,)).resolve_steps(list(MODALITIES))
    with pytest.raises(UsageError, match="serves audio, series, video; the model has words"):
        Condition("c", (Noise("desynchronise", 0.5),)).resolve_steps([Text(name="words")])


def test_underscores_are_hyphens() -> None:
    assert find_sample_corruption("swap_same_class") is find_sample_corruption("swap-same-class")
    assert pairs.is_sample_corruption("swap_same_class")
    assert pairs.supported_kinds("swap_same_class") == find_sample_corruption("swap-same-class").kinds
    assert pairs.supported_kinds("gaussian_noise") == kinds("gaussian")
    assert find_corruption("gaussian_noise", "image") is find_corruption("gaussian", "image")


def test_a_users_own_corruption_serves_its_kind() -> None:
    assert pairs.supported_kinds("robustmm.corruptions.delay:video") == ["video"]
    with pytest.raises(UsageError, match='no_such_module:Blur" cannot be imported'):
        pairs.supported_kinds("no_such_module:Blur")
