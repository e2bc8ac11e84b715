"""Audits held against each other: planted truth, and what is paired with what."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audits import estimate, silent
from compared import answers, flipped, write_audit, write_result

from robustmm.auditing.results.schema import BreakingLevel, LevelPoint
from robustmm.auditing.results.verdict import GateResult, Verdict
from robustmm.comparing.compare import compare_audits
from robustmm.comparing.read import FinishedAudit, read_finished
from robustmm.comparing.result import CompareResult
from robustmm.errors import DataError
from robustmm.evaluation.attack_result import AppliedCorruption
from robustmm.metrics.classification import correctness, sample_nll
from robustmm.report.comparison.screen import verdict_sentence

BEFORE = np.arange(400) % 10 != 0  # 90 %
NAN = float("nan")


def compare(*audits: FinishedAudit, margin: float = 0.02) -> CompareResult:
    return compare_audits([read_finished(audit.folder) for audit in audits], margin, silent)


def pair(tmp_path: Path, lost: int, gained: int = 0) -> CompareResult:
    """Nothing changes clean; under "noise" so many answers are lost and gained."""
    a = write_audit(tmp_path / "a", {"clean": BEFORE, "noise": BEFORE})
    b = write_audit(tmp_path / "b", {"clean": BEFORE, "noise": flipped(BEFORE, lost, gained)})
    return compare(a, b)


@pytest.mark.parametrize(
    ("lost", "gained", "verdict", "effect", "outcome"),
    [
        (0, 0, "PASS", "undecided", "holds"),
        (40, 0, "FAIL", "worse", "fails"),
        (0, 40, "PASS", "better", "holds"),
        (6, 0, "INCONCLUSIVE", "undecided", "undecided"),
    ],
)
def test_planted_changes(tmp_path: Path, lost: int, gained: int, verdict: Verdict, effect: str, outcome: str) -> None:
    found = pair(tmp_path, lost, gained)
    (one,) = found.candidates
    clean, noise = one.conditions
    assert (found.verdict, one.verdict) == (verdict, verdict)
    assert (clean.effect, clean.outcome, clean.difference.value) == ("undecided", "holds", 0)
    assert (noise.effect, noise.outcome) == (effect, outcome)
    assert noise.difference.value == pytest.approx((gained - lost) / 400)
    assert noise.difference.low <= noise.difference.value <= noise.difference.high
    assert noise.flip_rate.value == pytest.approx((gained + lost) / 400), "of two classes, each change is a flip"
    assert one.mean_difference is not None
    assert one.mean_difference.value == pytest.approx((gained - lost) / 400)
    assert found.comparisons == 2


def test_a_loss_inside_the_margin_is_worse_and_holds(tmp_path: Path) -> None:
    a = write_audit(tmp_path / "a", {"clean": BEFORE})
    b = write_audit(tmp_path / "b", {"clean": flipped(BEFORE, 12)})
    (clean,) = compare(a, b, margin=0.1).candidates[0].conditions
    assert (clean.effect, clean.outcome) == ("worse", "holds")
    assert compare(a, b, margin=0).verdict == "FAIL"
    assert compare(a, b, margin=0).candidates[0].mean_difference is None


def test_accuracy_and_log_loss_are_those_of_the_records(tmp_path: Path) -> None:
    first, second = answers(BEFORE, 0.8), answers(flipped(BEFORE, 30), 0.7)
    a, b = (write_audit(tmp_path / n, {"clean": r}) for n, r in (("a", first), ("b", second)))
    (clean,) = compare(a, b).candidates[0].conditions
    right = [correctness(r.probabilities, r.target).mean() for r in (first, second)]
    loss = [sample_nll(r.probabilities, r.target).mean() for r in (first, second)]
    assert clean.difference.value == pytest.approx(right[1] - right[0])
    assert clean.nll_difference.value == pytest.approx(loss[1] - loss[0])
    assert clean.nll_difference.low < clean.nll_difference.value < clean.nll_difference.high


def test_swapping_the_two_mirrors_every_difference(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first, second = ({f"n{k}" if k else "clean": rng.random(400) < 0.8 for k in range(6)} for _ in "ab")
    a, b = write_audit(tmp_path / "a", first), write_audit(tmp_path / "b", second)
    there, back = compare(a, b).candidates[0], compare(b, a).candidates[0]
    for one, other in zip(there.conditions, back.conditions, strict=True):
        assert one.condition == other.condition
        for x, y in ((one.difference, other.difference), (one.nll_difference, other.nll_difference)):
            assert (x.value, x.low, x.high) == pytest.approx((-y.value, -y.high, -y.low), abs=1e-9)
        assert (one.difference.p, one.adjusted_p, one.flip_rate) == (
            other.difference.p,
            other.adjusted_p,
            other.flip_rate,
        )
        assert {one.effect, other.effect} in ({"undecided"}, {"better", "worse"})
    assert there.mean_difference is not None
    assert back.mean_difference is not None
    assert there.mean_difference.low == pytest.approx(-back.mean_difference.high)


@pytest.mark.parametrize("clusters", [None, [f"site {k % 40}" for k in range(400)]])
def test_the_order_of_rows_does_not_matter(tmp_path: Path, clusters: list[str] | None) -> None:
    rights = {"clean": BEFORE, "noise": flipped(BEFORE, 9, 3)}
    a = write_audit(tmp_path / "a", {"clean": BEFORE, "noise": BEFORE}, clusters=clusters)
    b = write_audit(tmp_path / "b", rights, clusters=clusters)
    shuffled = np.random.default_rng(0).permutation(400).tolist()
    c = write_audit(tmp_path / "c", rights, clusters=clusters, order=shuffled, model="b.onnx", model_sha256="b")
    assert compare(a, b).model_dump_json() == compare(a, c).model_dump_json()


def test_equal_models_are_hardly_ever_called_worse(tmp_path: Path) -> None:
    """Twenty conditions, at a margin of nothing: in at most 5 % of the audits (and McNemar's test errs on the safe
    side) does any condition fail."""
    rng, failed, runs = np.random.default_rng(3), 0, 12
    for run in range(runs):
        shared = rng.random((20, 300)) < 0.8
        audits = []
        for name in "ab":
            again = np.where(rng.random((20, 300)) < 0.1, rng.random((20, 300)) < 0.8, shared)
            names = {"clean" if k == 0 else f"n{k}": row for k, row in enumerate(again)}
            audits.append(write_audit(tmp_path / f"{name}{run}", names))
        failed += compare(*audits, margin=0).verdict == "FAIL"
    assert failed <= 1


def test_clusters_of_both_are_what_was_drawn(tmp_path: Path) -> None:
    sites = [f"site {k // 20}" for k in range(400)]
    after = BEFORE & (np.arange(400) // 20 != 3) & (np.arange(400) // 20 != 8)  # all that is lost is lost in two sites
    a, b = (write_audit(tmp_path / n, {"clean": r}, clusters=sites) for n, r in (("a", BEFORE), ("b", after)))
    free = write_audit(tmp_path / "free", {"clean": after})
    together, apart = compare(a, b), compare(a, free)
    assert together.clusters is not None
    assert (together.clusters.column, together.clusters.number) == ("site", 20)
    assert apart.clusters is None
    assert apart.candidates[0].notes == [
        'the audits have different clusters ("site" and none): samples are taken as independent'
    ]
    wide, narrow = (found.candidates[0].conditions[0].difference for found in (together, apart))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
    assert (together.verdict, apart.verdict) == ("INCONCLUSIVE", "FAIL")
    other = write_audit(tmp_path / "other", {"clean": after}, clusters=sites[::-1])
    with pytest.raises(DataError, match="have other clusters in their records"):
        compare(a, other)


def test_conditions_are_paired_by_what_they_do(tmp_path: Path) -> None:
    names = ["clean", "noise", "renamed", "alone", "same name"]
    kinds = {"renamed": "blur 0.5", "same name": "gaussian 0.1"}
    a = write_audit(tmp_path / "a", dict.fromkeys(names, BEFORE), kinds=kinds)
    b = write_audit(
        tmp_path / "b",
        dict.fromkeys(["clean", "blur", "same name", "noise", "more"], BEFORE) | {"blur": flipped(BEFORE, 7)},
        kinds={"blur": "blur 0.5", "same name": "gaussian 0.2"},
    )
    (one,) = compare(a, b).candidates
    assert [c.condition for c in one.conditions] == ["clean", "noise", "renamed"]
    assert one.conditions[2].difference.value == pytest.approx(-7 / 400)
    assert {each.condition: each.reason for each in one.not_compared} == {
        "alone": "in the reference only", "same name": "not the same in both", "more": "in the candidate only",
    }  # fmt: skip


def test_a_condition_that_is_stronger_on_one_model_is_not_the_same(tmp_path: Path) -> None:
    audits = []
    for name, strength in (("a", 0.1), ("b", 0.2), ("c", 0.1)):
        made = write_audit(tmp_path / name, {"clean": BEFORE, "noise": BEFORE})
        condition = made.result.conditions[0]
        noise = AppliedCorruption(name="gaussian", level=0.5, strength=strength, unit="std", probability=1)
        parts = [condition.modalities[0].model_copy(update={"noises": [noise]}), condition.modalities[1]]
        changed = [condition.model_copy(update={"modalities": parts})]
        write_result(made.folder, made.result.model_copy(update={"conditions": changed}))
        audits.append(made)
    strong, same = compare(*audits).candidates
    assert [each.reason for each in strong.not_compared] == ["not the same in both"]
    assert [c.condition for c in same.conditions] == ["clean", "noise"]
    assert same.conditions[1].modalities == ["a"]


def test_contributions_are_paired_by_sample(tmp_path: Path) -> None:
    first, second = answers(BEFORE), answers(BEFORE)
    second.phi_accuracy = first.phi_accuracy + np.array([0.1, 0.0])
    a, b = (write_audit(tmp_path / n, {"clean": r}) for n, r in (("a", first), ("b", second)))
    (clean,) = compare(a, b).candidates[0].conditions
    moved, still = clean.contributions
    assert (moved.modality, moved.difference.value) == ("a", pytest.approx(0.1))
    assert moved.difference.high - moved.difference.low < 1e-9, "every sample moves alike"
    assert (still.modality, still.difference.value) == ("b", 0)
    assert moved.share == estimate(0.5)
    c = write_audit(tmp_path / "c", {"clean": second}, baseline="mean")
    (one,) = compare(a, c).candidates
    assert one.conditions[0].contributions == []
    assert one.notes == ["contributions are not compared: their baselines are masked and mean"]


def breaking(outcome: Any, level: float, *conditions: str) -> BreakingLevel:
    points = [
        LevelPoint(level=k + 0.5, accuracy=estimate(0.9), outcome="holds", samples_to_decide=NAN, condition=name)
        for k, name in enumerate(conditions)
    ]
    return BreakingLevel(
        noise="blur", modalities=["a"], points=points, retention=0.9, outcome=outcome, samples_to_decide=NAN,
        holding_level=0.2, breaking_level=level, breaking_strength=2 * level, unit="px",
    )  # fmt: skip


def gate(name: str, verdict: Verdict) -> GateResult:
    return GateResult(
        name=name, metric="accuracy", required="min", baseline_sha256="",
        requirement="at least 80 %", verdict=verdict, judged_on="interval",
        condition="clean", part="", value=estimate(0.9), bound=0.8, samples=400, samples_to_decide=NAN, reason="so",
    )  # fmt: skip


def test_breaking_levels_and_gates_stand_side_by_side(tmp_path: Path) -> None:
    rights = dict.fromkeys(["clean", "blur 0.5", "other"], BEFORE)
    a = write_audit(
        tmp_path / "a", rights, gates=[gate("one", "PASS"), gate("two", "PASS")],
        breaking_levels=[breaking("fails", 0.4, "", "blur 0.5"), breaking("holds", NAN, "never")],
    )  # fmt: skip
    b = write_audit(
        tmp_path / "b", rights, gates=[gate("one", "FAIL"), gate("three", "PASS")],
        breaking_levels=[breaking("fails", 0.3, "blur 0.5")],
    )  # fmt: skip
    (one,) = compare(a, b).candidates
    (level,) = one.breaking_levels
    assert (level.noise, level.unit, level.reference.breaking_level, level.found.breaking_level) == (
        "blur",
        "px",
        0.4,
        0.3,
    )
    assert (level.reference.breaking_strength, level.found.breaking_strength) == (0.8, 0.6)
    assert [(g.name, g.reference, g.verdict) for g in one.gates] == [
        ("one", "PASS", "FAIL"), ("two", "PASS", None), ("three", None, "PASS"),
    ]  # fmt: skip


def test_p_values_of_all_candidates_are_adjusted_together(tmp_path: Path) -> None:
    a = write_audit(tmp_path / "a", {"clean": BEFORE})
    b = write_audit(tmp_path / "b", {"clean": flipped(BEFORE, 6)})
    others = [write_audit(tmp_path / f"c{k}", {"clean": BEFORE}) for k in range(4)]
    alone, among = compare(a, b), compare(a, b, *others)
    assert alone.candidates[0].conditions[0].adjusted_p == pytest.approx(2 / 2**6)
    assert (alone.candidates[0].conditions[0].effect, among.candidates[0].conditions[0].effect) == (
        "worse",
        "undecided",
    )
    assert among.candidates[0].conditions[0].adjusted_p == pytest.approx(5 * 2 / 2**6)
    assert (alone.comparisons, among.comparisons) == (1, 5)
    assert [one.verdict for one in among.candidates] == ["INCONCLUSIVE", *["PASS"] * 4]
    assert among.verdict == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"data_sha256": "e", "manifest": "other.csv"}, "they have other rows, data.csv against other.csv"),
        ({"data_sha256": "e", "split": "valid"}, "they have split test against valid"),
        ({"seed": 1, "data_sha256": "e", "split": "valid"}, "they have split test against valid; seed 0 against 1"),
        ({"seed": 1}, "they have seed 0 against 1"),
    ],
)
def test_other_samples_are_a_sentence(tmp_path: Path, facts: dict[str, Any], sentence: str) -> None:
    a, b = write_audit(tmp_path / "a", {"clean": BEFORE}), write_audit(tmp_path / "b", {"clean": BEFORE}, **facts)
    with pytest.raises(DataError, match=sentence) as caught:
        compare(a, b)
    assert "\n" not in str(caught.value)


def test_other_modalities_are_a_sentence(tmp_path: Path) -> None:
    a, b = (write_audit(tmp_path / name, {"clean": BEFORE}) for name in "ab")
    clean = b.result.clean.model_copy(update={"modalities": b.result.clean.modalities[:1]})
    write_result(b.folder, b.result.model_copy(update={"clean": clean, "data_sha256": "e"}))
    with pytest.raises(DataError, match=r"they have modalities a, b against a$"):
        compare(a, b)


def test_calibration_errors_stand_side_by_side(tmp_path: Path) -> None:
    audits = []
    for name, error in (("a", 0.25), ("b", 0.125)):
        made = write_audit(tmp_path / name, {"clean": BEFORE})
        clean = made.result.clean.model_copy(update={"ece": error})
        audits.append(FinishedAudit(made.folder, made.result.model_copy(update={"clean": clean})))
    (found,) = compare_audits(audits, 0.02, silent).candidates[0].conditions
    assert (found.reference_ece, found.ece) == (0.25, 0.125)


def test_few_clusters_are_told(tmp_path: Path) -> None:
    sites = [f"site {k % 4}" for k in range(400)]
    a, b = (write_audit(tmp_path / name, {"clean": BEFORE}, clusters=sites) for name in "ab")
    found = compare(a, b)
    assert found.verdict == "INCONCLUSIVE"
    assert found.candidates[0].notes == ['there are 4 clusters of "site": fewer than 10 decide nothing']
    assert "would decide" not in verdict_sentence(found, found.candidates[0])


def test_fewer_samples_are_a_sentence(tmp_path: Path) -> None:
    a = write_audit(tmp_path / "a", {"clean": BEFORE})
    b = write_audit(tmp_path / "b", {"clean": BEFORE[:300]}, data_sha256="e")
    with pytest.raises(DataError, match=r"cannot be compared with .*: they have samples 400 against 300$"):
        compare(a, b)


def test_what_differs_and_does_not_forbid_to_compare_is_said(tmp_path: Path) -> None:
    a = write_audit(tmp_path / "a", {"clean": BEFORE}, description="x = 1", model_sha256="m", model="m.onnx")
    b = write_audit(tmp_path / "b", {"clean": BEFORE}, description="x = 2", model_sha256="m", model="m.onnx")
    newer = b.result.runtime.model_copy(update={"robustmm": "9"})
    write_result(b.folder, b.result.model_copy(update={"runtime": newer}))
    found = compare(a, b)
    assert [said.partition(":")[0] for said in found.candidates[0].notes] == [
        "both audits are of the same model file", "the models are read under different descriptions",
        "the audits are by robustmm 0 and 9",
    ]  # fmt: skip
    assert (found.reference.name, found.candidates[0].candidate.name) == ("a", "b"), "one model: the folders tell them"


def test_names_are_as_short_as_they_can_be(tmp_path: Path) -> None:
    models = ["runs/one/model.onnx", "runs/two/model.onnx", "m.onnx"]
    audits = [write_audit(tmp_path / f"{k}", {"clean": BEFORE}, model=m) for k, m in enumerate(models)]
    found = compare(*audits)
    assert [found.reference.name, *(c.candidate.name for c in found.candidates)] == [
        "one/model.onnx",
        "two/model.onnx",
        "m.onnx",
    ]


def test_rows_are_a_condition_each(tmp_path: Path) -> None:
    rows = pair(tmp_path, 40).rows()
    assert [(row["candidate"], row["condition"], row["outcome"]) for row in rows] == [
        ("b.onnx", "clean", "holds"), ("b.onnx", "noise", "fails"),
    ]  # fmt: skip
    assert rows[1]["difference"] == pytest.approx(-0.1)
