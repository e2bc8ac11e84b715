from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audits import FLOOR, group, outcome
from linear import LinearSession, drawn, manifest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from worlds import SIX, MeanSession, everything

from robustmm.auditing.plan import Reading
from robustmm.auditing.results import effects
from robustmm.auditing.results.condition import ConditionResult
from robustmm.auditing.results.effects import classify_effects, worst_group
from robustmm.auditing.results.subsets import subset_accuracies
from robustmm.auditing.results.summary import group_masks, summarise_condition
from robustmm.conditions.condition import Condition, Noise
from robustmm.conditions.plan import Plan
from robustmm.data.manifest import Manifest
from robustmm.evaluation.evaluate import Evaluation, evaluate
from robustmm.evaluation.records import Records, join_records
from robustmm.metrics import classification, contribution, statistics
from robustmm.metrics.interaction import cross_modal_gap
from robustmm.metrics.noninferiority import count_pairs, judge_retention, retention_interval
from robustmm.metrics.power import minimum_detectable_effect
from robustmm.metrics.robustness import evenness
from robustmm.metrics.sampling import Sampling
from robustmm.metrics.selective import aurc

N = 60
CLEAN = Condition("clean")
READING = Reading({}, Sampling(), 0, 0.9)
BLANK = Condition("blank", (Noise("gaussian", 1.0, ("b",)),), {"a": 0.25})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[LinearSession, Manifest]:
    inputs, target = drawn(0, N, 3, a=4, b=3)
    for x in inputs.values():
        x[np.arange(N), target] += 1.0
    session = LinearSession({"a": np.eye(4)[:, :3], "b": 1.5 * np.eye(3)})
    gone = [(0, "a"), (0, "b"), (1, "a"), (2, "b")]
    return session, manifest(tmp_path_factory.mktemp("summary"), inputs, target, gone)


def found(
    world: tuple[LinearSession, Manifest],
    condition: Condition,
    groups: Mapping[str, list[str]] = {},
    seed: int = 5,
    clusters: NDArray[np.int64] | None = None,
) -> tuple[ConditionResult, Records, Records]:
    session, rows = world
    clean, records = (
        join_records([r for _, r in Evaluation(session, rows, [c], seed=seed).records(range(N), samples, [0], True)])  # type: ignore[arg-type]
        for c in (CLEAN, condition)
        if (samples := Evaluation(session, rows, [c]).read(range(N)))  # type: ignore[arg-type]
    )
    plan = Plan(condition, session.modalities, rows, seed, "error")
    return (
        summarise_condition(plan, records, clean, Reading(dict(groups), Sampling(clusters), seed, 0.9)),
        records,
        clean,
    )


def near(found: Any, expected: Any) -> None:
    assert dict(found) == pytest.approx(dict(expected), nan_ok=True)


def test_scores_are_the_metrics_of_the_records(world: Any) -> None:
    result, records, clean = found(world, BLANK)
    p, y = records.probabilities, records.target
    right, before = (r.probabilities.argmax(1) == y for r in (records, clean))
    low, high = statistics.wilson(int(right.sum()), N)
    assert 0 < right.sum() < before.sum() < N, "or the test shows little"
    near(result.accuracy, {"value": right.mean(), "low": low, "high": high})
    for name in ("ece", "brier"):
        assert getattr(result, name) == pytest.approx(getattr(classification, name)(p, y)), name
    for name in ("macro_f1", "nll"):
        one = getattr(result, name)
        assert one.value == pytest.approx(getattr(classification, name)(p, y)), name
        assert one.low < one.value < one.high, name
    assert result.aurc == pytest.approx(aurc(p, y))
    pairs = count_pairs(right, before)
    assert result.retention.value == pytest.approx(right.mean() / before.mean())
    assert (result.retention.low, result.retention.high) == pytest.approx(retention_interval(pairs))
    assert result.outcome == judge_retention(pairs, 0.9).outcome
    near(result.change, statistics.paired_bootstrap(right, before, seed=5)._asdict())
    assert result.change.value < 0
    surprises = [-np.log(r.probabilities[np.arange(N), y]) for r in (records, clean)]
    near(result.nll_change, statistics.paired_bootstrap(*surprises, seed=5)._asdict())
    flips = int((p.argmax(1) != clean.probabilities.argmax(1)).sum())
    low, high = statistics.wilson(flips, N)
    near(result.flip_rate, {"value": flips / N, "low": low, "high": high})
    assert result.minimum_detectable_effect == minimum_detectable_effect(N, float((right != before).mean()))
    assert (result.name, result.fill, result.effect) == ("blank", "masked", "none")
    assert result.adjusted_p == result.change.p
    assert result.missing == {"a": 0.25}
    assert result.unchanged == records.untouched == 2, "two rows have no b"
    assert result.efficiency_residual == records.residual


def test_the_clean_run_against_itself(world: Any) -> None:
    result, records, _ = found(world, CLEAN)
    assert (result.change.value, result.change.p, result.retention.value, result.flip_rate.value) == (0, 1, 1, 0)
    assert result.minimum_detectable_effect == minimum_detectable_effect(N, 1 / N)
    assert result.missing == {}
    assert [m.noises for m in result.modalities] == [[], []]
    assert records.untouched == 0


def test_what_each_modality_is_under_a_condition(world: Any) -> None:
    result, records, _ = found(world, BLANK)
    certain = Sampling().mean(records.phi_accuracy.sum(1)).low > 0
    shares = contribution.shares(records.phi_accuracy.mean(0)) if certain else [np.nan, np.nan]
    for m, one in enumerate(result.modalities):
        rows = records.present[:, m]
        assert one.name == "ab"[m]
        assert one.present == pytest.approx(rows.mean(), rel=1e-5)
        assert one.unimodal_accuracy.value == pytest.approx(records.unimodal_correct[rows, m].mean(), rel=1e-5)
        assert one.shapley_accuracy.value == pytest.approx(records.phi_accuracy[:, m].mean(), rel=1e-5)
        assert one.shapley_accuracy_share.value == pytest.approx(shares[m], rel=1e-5, nan_ok=True)
        assert one.snr is None, "only audio has one"
    assert [len(m.noises) for m in result.modalities] == [0, 1]
    (noise,) = result.modalities[1].noises
    assert (noise.name, noise.level, noise.probability) == ("gaussian", 1.0, 1.0)
    assert sum(m.cal_weight for m in result.modalities) == pytest.approx(1)
    (pair,) = result.interactions
    low, value, high = (getattr(pair.value, name) for name in ("low", "value", "high"))
    assert pair.modalities == ("a", "b")
    assert value == pytest.approx(records.interaction[:, 0].mean())
    assert low < value < high


def test_the_projection_is_cross_modal_gap(world: Any) -> None:
    session, rows = world
    result, records, _ = found(world, CLEAN)
    complete = np.flatnonzero(records.present.all(1))[:32]
    z = {m.name: np.stack([m.read(rows.column(m.name)[i], rows.folder) for i in complete]) for m in session.modalities}
    n, everything_ = len(complete), np.ones((len(complete) ** 2, 2), bool)
    own, other = np.repeat(np.arange(n), n), np.tile(np.arange(n), n)
    embedded = session.embeddings(z, n)
    cross = [
        np.log(session.decode({k: e[own if k == name else other] for k, e in embedded.items()}, everything_))
        for name in session.names
    ]
    expected = cross_modal_gap(
        records.probabilities[complete], np.stack(cross).reshape(2, n, n, 3), records.target[complete]
    )
    assert result.emap is not None
    assert result.emap.samples == n == 32
    assert (result.emap.accuracy, result.emap.additive_accuracy, result.emap.gap) == pytest.approx(expected)
    assert result.emap.gap == pytest.approx(0), "a linear model is additive"


def test_the_gap_is_what_combining_earns(world: Any) -> None:
    additive = np.where(np.arange(N) < 40, np.arange(N) % 4 == 0, np.nan)
    result, records = table(*world, additive=additive)
    right = records.probabilities.argmax(1) == records.target
    assert result.emap is not None
    assert (result.emap.samples, result.emap.additive_accuracy) == (40, 0.25)
    assert result.emap.accuracy == pytest.approx(right[:40].mean())
    assert result.emap.gap == pytest.approx(right[:40].mean() - 0.25)
    assert result.emap.gap > 0


def test_no_projection_where_none_was_measured(world: Any) -> None:
    session, rows = world
    (records,), _ = evaluate(session, rows, [CLEAN])
    assert (
        summarise_condition(Plan(CLEAN, session.modalities, rows, 0, "error"), records, records, READING).emap is None
    )


def table(session: LinearSession, rows: Manifest, **changes: Any) -> tuple[ConditionResult, Records]:
    """The summary of clean records in which something is written by hand."""
    (records,), _ = evaluate(session, rows, [CLEAN])  # type: ignore[arg-type]
    records = replace(records, leave_one_out_correct=np.zeros((N, 2)), **changes)
    return summarise_condition(Plan(CLEAN, session.modalities, rows, 0, "error"), records, records, READING), records


def test_the_best_single_is_paired_with_the_fusion_on_its_own_samples(world: Any) -> None:
    session, rows = world
    target = np.arange(N) % 3
    right = np.arange(N) % 4 == 0
    p = np.full((N, 3), 0.1)
    p[np.arange(N), np.where(right, target, (target + 1) % 3)] = 0.8
    present = np.ones((N, 2), bool)
    present[:6, 1] = False
    solo = np.where(present, 1.0, np.nan)
    solo[30:, 0] = 0
    solo[6:8, 1] = 0
    result, _ = table(session, rows, target=target, probabilities=p, present=present, unimodal_correct=solo)
    single = result.best_unimodal
    assert single is not None
    assert (single.modality, single.samples) == ("b", 54)
    assert single.accuracy == pytest.approx(52 / 54)
    expected = statistics.paired_bootstrap(right[6:], solo[6:, 1], seed=0)
    near(single.change, expected._asdict())
    assert expected.value < 0
    assert single.negative_transfer
    better, _ = table(
        session, rows, target=target, probabilities=p, present=present, unimodal_correct=np.where(present, 0.0, np.nan)
    )
    assert better.best_unimodal is not None
    assert not better.best_unimodal.negative_transfer, "the fusion is certainly better"
    few = solo.copy()
    few[:, 1] = np.where(np.arange(N) % 4 == 0, 1.0, 0.0)
    few[9, 1], few[:6, 1] = 1, np.nan
    few[:, 0] = 0
    chance, _ = table(session, rows, target=target, probabilities=p, present=present, unimodal_correct=few)
    assert chance.best_unimodal is not None
    assert chance.best_unimodal.change.value < 0
    assert not chance.best_unimodal.negative_transfer, "one sample is not certain"


def test_a_modality_that_few_samples_have_is_not_the_best_alone(world: Any) -> None:
    session, rows = world
    present = np.ones((N, 2), bool)
    present[3:, 1] = False
    solo = np.where(present, [0.0, 1.0], np.nan)
    solo[:20, 0] = 1
    result, _ = table(session, rows, present=present, unimodal_correct=solo)
    assert result.best_unimodal is not None
    assert result.best_unimodal.modality == "a", "20 of 60 against 3 of 60"
    nobody, _ = table(session, rows, present=present & False, unimodal_correct=solo * np.nan)
    assert nobody.best_unimodal is None


def test_evenness_is_of_the_mean_worth_of_subsets(world: Any) -> None:
    result, records, _ = found(world, BLANK)
    assert result.evenness == pytest.approx(evenness(records.subset_correct.mean(0)))
    session, rows = world
    assert np.isnan(table(session, rows, subset_correct=np.zeros((N, 4), bool))[0].evenness), (
        "nothing is worth anything"
    )
    assert np.isnan(table(session, rows, subset_correct=np.zeros((N, 0), bool), exact=False)[0].evenness), "not known"
    assert table(session, rows, exact=False)[0].interactions == []


def test_nothing_right_is_no_share_of_nothing(world: Any) -> None:
    session, rows = world
    p = np.eye(3)[(np.arange(N) + 1) % 3]
    result, _ = table(session, rows, target=np.arange(N) % 3, probabilities=p)
    assert result.accuracy.value == 0
    assert np.isnan([result.retention.value, result.retention.low, result.samples_to_decide]).sum() == 2


def test_groups_are_every_value_of_every_column(world: Any) -> None:
    columns = {"label": ["x"] * 20 + ["b"] * 40, "site": ["", "z"] * 30}
    result, records, _ = found(world, BLANK, columns)
    right = records.probabilities.argmax(1) == records.target
    assert [(g.column, g.value, g.samples) for g in result.groups] == [
        ("label", "b", 40), ("label", "x", 20), ("site", "", 30), ("site", "z", 30)
    ]  # fmt: skip
    for one in result.groups:
        rows = np.array(columns[one.column]) == one.value
        low, high = statistics.wilson(int(right[rows].sum()), int(rows.sum()))
        near(one.accuracy, {"value": right[rows].mean(), "low": low, "high": high})
        assert one.contributions == pytest.approx(records.phi_accuracy[rows].mean(0).tolist())
    assert [(c, v, r.tolist()) for c, v, r in group_masks({"k": ["b", "a", "b"]})] == [
        ("k", "a", [False, True, False]), ("k", "b", [True, False, True])
    ]  # fmt: skip
    assert group_masks({}) == []


def test_audio_tells_what_the_corruption_achieved(tmp_path: Path) -> None:
    session, rows = MeanSession([SIX[2], SIX[5]]), everything(tmp_path)
    loud = Condition("loud", (Noise("gaussian", 0.5, ("audio",)),))
    clean, records = evaluate(session, rows, [CLEAN, loud])[0]  # type: ignore[arg-type]
    result = summarise_condition(Plan(loud, session.modalities, rows, 0, "error"), records, clean, READING)
    assert result.modalities[0].snr is not None
    assert result.modalities[0].snr.changed == 4
    assert result.modalities[0].snr.median == pytest.approx(sorted(records.snr[:, 0])[1], abs=10)
    assert result.modalities[1].snr is None
    lossy = replace(loud, missing={"audio": 0.5})
    (records,), _ = evaluate(session, rows, [lossy])  # type: ignore[arg-type]
    lost = summarise_condition(Plan(lossy, session.modalities, rows, 0, "error"), records, clean, READING)
    assert lost.modalities[0].snr == result.modalities[0].snr, "of all clips that there are"
    quiet = summarise_condition(Plan(CLEAN, session.modalities, rows, 0, "error"), clean, clean, READING)
    assert quiet.modalities[0].snr is None


def test_a_single_modality_has_no_partner(tmp_path: Path) -> None:
    session, rows = MeanSession([SIX[5]]), everything(tmp_path)
    (records,), _ = evaluate(session, rows, [CLEAN])  # type: ignore[arg-type]
    result = summarise_condition(Plan(CLEAN, session.modalities, rows, 0, "error"), records, records, READING)
    assert (result.best_unimodal, result.emap, result.interactions) == (None, None, [])
    assert np.isnan(result.evenness)
    assert result.modalities[0].cal_weight == pytest.approx(1)


def test_p_values_are_adjusted_over_all_conditions() -> None:
    ps = [0.001, 0.02, 0.03, 0.8]
    results = [outcome(str(p), 60, p=p) for p in ps]
    certain = classify_effects(results, FLOOR)
    assert [c.adjusted_p for c in certain] == pytest.approx([0.004, 0.04, 0.04, 0.8])
    assert [c.effect for c in certain] == ["drop", "drop", "drop", "none"]
    assert [c.name for c in certain] == [c.name for c in results]
    more = classify_effects([*results[1:3], *(outcome(str(k), 60, p=0.9) for k in range(4))], FLOOR)
    assert [c.effect for c in more] == ["none"] * 6, "two of six at 0.02 and 0.03 may be chance"
    assert classify_effects([], FLOOR) == []


@pytest.mark.parametrize(("right", "effect"), [(60, "drop"), (95, "gain"), (80, "none")])
def test_an_effect_has_a_direction(right: int, effect: str) -> None:
    assert classify_effects([outcome("c", right, p=0.001)], FLOOR)[0].effect == effect


@pytest.mark.parametrize(("floor", "effect"), [(0.0, "drop"), (0.04, "drop"), (0.06, "none")])
def test_an_effect_below_the_noise_floor_is_none(floor: float, effect: str) -> None:
    (found,) = classify_effects([outcome("c", 75, p=0.001)], FLOOR.model_copy(update={"answers_changed": floor}))
    assert found.effect == effect
    assert found.adjusted_p == 0.001, "the p-value stays what it is"
    (gained,) = classify_effects([outcome("c", 85, p=0.001)], FLOOR.model_copy(update={"answers_changed": floor}))
    assert gained.effect == effect.replace("drop", "gain")


def test_the_worst_group_is_of_ten_or_more() -> None:
    few, many = group("few", 0, effects.MIN_GROUP_SAMPLES - 1), group("many", 5, effects.MIN_GROUP_SAMPLES)
    clean = outcome(groups=[few, group("many", 9, 10)])
    struck = outcome("struck", 60, groups=[few, many])
    worst, under = worst_group([clean, struck])
    assert (worst, under) == (many, "struck")
    assert worst_group([outcome(groups=[few])]) == (None, "")


def test_what_a_modality_spoils_and_what_two_are_needed_for(world: Any) -> None:
    result, records, _ = found(world, BLANK)
    right = records.probabilities.argmax(1) == records.target
    both = records.present.all(1)
    for m, one in enumerate(result.modalities):
        spoiled = ~right & (records.leave_one_out_correct[:, m] == 1)
        assert one.spoils.value == pytest.approx(spoiled[both].mean()), "where the other is there"
    assert max(one.spoils.value for one in result.modalities) > 0
    (pair,) = result.interactions
    neither = (records.unimodal_correct[both] == 0).all(1)
    assert pair.needed.value == pytest.approx((right[both] & neither).mean())


def test_subsets_are_what_each_answers(world: Any) -> None:
    _, records, _ = found(world, CLEAN)
    nothing, a, b, both = subset_accuracies(["a", "b"], records, Sampling())
    assert [one.modalities for one in (nothing, a, b, both)] == [[], ["a"], ["b"], ["a", "b"]]
    assert nothing.accuracy.value == pytest.approx(records.subset_correct[:, 0].mean())
    assert both.accuracy.value == pytest.approx(records.subset_correct[:, 3].mean())
    cut = replace(records, subset_correct=np.zeros((N, 0), np.float32))
    assert subset_accuracies(["a", "b"], cut, Sampling()) == []


def test_groups_are_held_against_themselves_when_clean(world: Any) -> None:
    values = ["x" if i % 3 else "y" for i in range(N)]
    result, records, clean = found(world, BLANK, {"k": values})
    right, before = (r.probabilities.argmax(1) == r.target for r in (records, clean))
    for one in result.groups:
        rows = np.array([v == one.value for v in values])
        assert one.change.value == pytest.approx(right[rows].mean() - before[rows].mean())
        assert one.retention.value == pytest.approx(right[rows].mean() / before[rows].mean())
        pairs = count_pairs(right[rows], before[rows])
        assert (one.retention.low, one.retention.high) == pytest.approx(retention_interval(pairs))


def test_calibration_is_what_ece_sums(world: Any) -> None:
    result, _, _ = found(world, BLANK)
    assert sum(one.share for one in result.calibration) == pytest.approx(1)
    assert sum(one.share * abs(one.accuracy - one.confidence) for one in result.calibration) == pytest.approx(
        result.ece
    )
    confidences = [one.confidence for one in result.calibration]
    assert confidences == sorted(confidences)


def test_two_classes_have_an_area_under_the_curve(tmp_path: Path, world: Any) -> None:
    assert found(world, CLEAN)[0].auroc is None, "three classes"
    inputs, target = drawn(3, N, 2, a=2)
    session = LinearSession({"a": np.eye(2)})
    result, records, _ = found((session, manifest(tmp_path, inputs, target)), CLEAN)
    assert result.auroc is not None
    assert result.auroc.value == pytest.approx(roc_auc_score(records.target, records.probabilities[:, 1]))
    assert result.auroc.low < result.auroc.value < result.auroc.high


def test_clusters_widen_every_interval_and_say_by_how_much(world: Any) -> None:
    clean = found(world, CLEAN)[1]
    right = clean.probabilities.argmax(1) == clean.target
    clusters = np.empty(N, np.int64)
    clusters[np.argsort(right, kind="stable")] = np.arange(N) // 5  # alike by construction
    alone, together = found(world, CLEAN)[0], found(world, CLEAN, {"k": ["x"] * N}, clusters=clusters)[0]
    assert np.isnan(alone.design_effect)
    assert together.design_effect > 2
    for name in ("accuracy", "macro_f1", "nll"):
        one, other = getattr(alone, name), getattr(together, name)
        assert one.value == other.value, name
        assert other.high - other.low > one.high - one.low, name
    assert together.groups[0].accuracy == together.accuracy
