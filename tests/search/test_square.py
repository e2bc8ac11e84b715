"""The Square attack as a whole: exact worst cases, the report of every run, and defects that its checks must find."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from linear import LinearSession, drawn, manifest, robust, scores
from numpy.typing import NDArray
from worlds import SIX, MeanSession, everything

from robustmm.data import loading
from robustmm.data.manifest import Manifest
from robustmm.errors import UsageError
from robustmm.metrics.statistics import wilson
from robustmm.modalities import Features, Text
from robustmm.runtime.session import Session
from robustmm.search import climb
from robustmm.search.climb import NEVER, HillClimb
from robustmm.search.outcome import SquareOutcome
from robustmm.search.samples import SampleBatch
from robustmm.search.square import run_square_attack
from robustmm.search.targets import WHOLE_RANGE

CHECKS = ["never above clean", "at least as strong as noise", "whole range reaches chance", "adversarial inputs replay"]


def passed(found: SquareOutcome) -> dict[str, bool]:
    return {c.name: c.passed for c in found.checks}


def task(
    folder: Path, samples: int = 80, std: float = 1.0, kind: type[LinearSession] = LinearSession, **lengths: int
) -> tuple[Any, Manifest, dict[str, NDArray[Any]], NDArray[np.int64]]:
    """Three classes by a linear score that is right of about 9 in 10."""
    lengths = lengths or {"a": 5, "b": 3}
    rng = np.random.default_rng(2)
    session = kind({name: rng.normal(size=(n, 3)) for name, n in lengths.items()}, std=std)
    inputs, random = drawn(1, samples, 3, **lengths)
    target = np.where(rng.random(samples) < 0.9, scores(session.weights, inputs).argmax(1), random)
    return session, manifest(folder, inputs, target), inputs, target


@pytest.mark.parametrize("std", [1.0, 0.5])
def test_robust_accuracy_is_near_the_exact_worst_case(tmp_path: Path, std: float) -> None:
    session, rows, inputs, target = task(tmp_path, std=std)
    norms = {"a": 0.1 / std, "b": 0.2 / std}
    found = run_square_attack(session, rows, eps=norms, scales=(3.0, 1.0), queries=100)
    assert passed(found) == dict.fromkeys(CHECKS, True)
    assert found.samples == 80
    subsets = [("a",), ("b",), ("a", "b")]
    assert [tuple(n.modality for n in run.norms) for run in found.runs] == subsets * 2
    assert [run.scale for run in found.runs] == [1.0] * 3 + [3.0] * 3
    clean = scores(session.weights, inputs).argmax(1) == target
    assert found.clean.value == clean.mean()
    assert (found.clean.low, found.clean.high) == wilson(int(clean.sum()), 80)
    for run in found.runs:
        eps = {n.modality: n.eps for n in run.norms}
        assert eps == {name: norms[name] * run.scale for name in eps}
        assert {n.unit for n in run.norms} == {"training standard deviations"}
        exact = robust(session.weights, inputs, target, eps, std).mean()
        left = run.curve[-1].accuracy
        assert exact <= left.value <= exact + 0.04
        assert [r.queries for r in run.curve] == [1, 10, 50, 100]
        falling = [r.accuracy.value for r in run.curve]
        assert falling == sorted(falling, reverse=True)
        assert run.broken == round((found.clean.value - left.value) * 80)
        assert (left.low, left.high) == wilson(round(left.value * 80), 80)
        assert left.value <= run.noise.value <= found.clean.value


def test_curve_and_median_are_those_of_the_queries_that_broke(tmp_path: Path) -> None:
    session, rows, *_ = task(tmp_path)
    found = run_square_attack(session, rows, eps={"a": 0.2, "b": 0.1}, scales=(1.5,), queries=60, seed=3)
    samples = loading.read_samples(rows, session.modalities)
    given = SampleBatch.from_samples(session, samples, loading.targets(rows, session.classes))
    took = {}
    for run in found.runs:
        eps = {n.modality: n.eps for n in run.norms}
        broken = HillClimb(session, given, eps, 3).run(60)
        took["+".join(eps)] = broken
        for point in run.curve:
            assert point.accuracy.value == sum(b > point.queries for b in broken.tolist()) / 80
        listed = sorted(b for b in broken.tolist() if 0 < b < NEVER)
        assert len(listed) == run.broken > 5
        middle = listed[len(listed) // 2], listed[(len(listed) - 1) // 2]
        assert run.median_queries == sum(middle) / 2
        assert run.noise.value == (given.correct_under_noise(session, eps, 3) & (broken > 0)).mean()
    first = {"a": 0.0, "b": 0.0}
    pairs = [(a, b) for a, b in zip(took["a"].tolist(), took["b"].tolist(), strict=True) if 0 < min(a, b) < NEVER]
    for a, b in pairs:
        first["a"] += 1.0 if a < b else 0.5 if a == b else 0.0
        first["b"] += 1.0 if b < a else 0.5 if a == b else 0.0
    assert any(a == b for a, b in pairs)
    (first_broken,) = found.first
    assert first_broken.samples == len(pairs)
    assert first_broken.scale == 1.5
    assert first_broken.shares == pytest.approx({name: count / len(pairs) for name, count in first.items()})


def test_the_modality_that_the_answer_rests_on_breaks_first(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    session: Any = LinearSession({"null": np.zeros((4, 2)), "all": rng.normal(size=(4, 2))})
    inputs, _ = drawn(0, 50, 2, null=4, all=4)
    rows = manifest(tmp_path, inputs, scores(session.weights, inputs).argmax(1))
    found = run_square_attack(session, rows, scales=(0.01, 10.0), queries=40)
    assert found.first[0].samples == 0
    assert json.loads(found.model_dump_json())["first"][0]["shares"] == {"null": None, "all": None}
    assert found.first[1].shares == {"null": 0.0, "all": 1.0}
    by = {tuple(n.modality for n in run.norms): run for run in found.runs if run.scale == 10}
    assert by["null",].curve[-1].accuracy.value == 1.0
    assert by["null",].broken == 0
    assert by["null",].median_queries != by["null",].median_queries
    assert passed(found) == dict.fromkeys(CHECKS, True)


def test_a_model_that_does_without_the_attacked_modality_still_passes(tmp_path: Path) -> None:
    """Chance is out of reach where only a null modality is attacked; what is right without it is the limit."""
    session: Any = LinearSession({"null": np.zeros((4, 2)), "all": np.array([[1.0, -1.0]] * 4)})
    inputs, _ = drawn(0, 50, 2, null=4, all=4)
    rows = manifest(tmp_path, inputs, scores(session.weights, inputs).argmax(1))
    found = run_square_attack(session, rows, on=["null"], scales=(1.0,), queries=10)
    assert [n.modality for run in found.runs for n in run.norms] == ["null"]
    assert found.first == []
    assert passed(found) == dict.fromkeys(CHECKS, True)
    assert (found.checks[2].measured, found.checks[2].limit) == (1.0, 1.0)


def test_batches_change_nothing_on_an_exported_model(session: Session, rows: Manifest) -> None:
    few = rows.take(list(range(15)))
    whole = run_square_attack(session, few, scales=(4.0,), queries=10)
    assert 0 < whole.runs[-1].broken < 15
    for batch in (1, 7):
        assert run_square_attack(session, few, scales=(4.0,), queries=10, batch=batch) == whole
    assert run_square_attack(session, few, scales=(4.0,), queries=10, seed=1) != whole
    assert SquareOutcome.model_validate_json(whole.model_dump_json()).runs[0].norms[0].modality == "vector"


def test_every_kind_goes_in_and_text_stays_out(tmp_path: Path) -> None:
    session: Any = MeanSession()
    steps: list[int] = []
    found = run_square_attack(session, everything(tmp_path, 3), queries=3, batch=2, advance=steps.append)
    assert {n.modality: (n.eps, n.unit) for n in found.runs[11].norms} == {
        "image": (8 / 255, "of 255"),
        "video": (8 / 255, "of 255"),
        "audio": (0.01, "of full scale"),
        "series": (0.1, "training standard deviations"),
        "features": (0.1, "training standard deviations"),
    }
    assert len(found.runs) == 18
    assert sum(steps) == 3 * 19
    assert max(steps) == 2
    assert set(WHOLE_RANGE) == {m.kind for m in SIX} - {"text"}


def test_bad_and_missing_inputs_are_told_and_not_attacked(tmp_path: Path) -> None:
    session, rows, _, target = task(tmp_path, samples=6)
    rows.columns["a"][1], rows.columns["a"][2], rows.columns["b"][2] = "", "gone.npy", ""
    found = run_square_attack(session, rows, scales=(100.0,), queries=30, on_bad="missing")
    assert len(found.bad_inputs) == 1
    assert "gone.npy" in found.bad_inputs[0]
    nothing = int(target[2] == 0)  # equal logits: the first class
    assert found.runs[-1].curve[-1].accuracy.value == nothing / 6


class Absent(LinearSession):
    """A defect: it never looks at `a`, and yet answers only where the presence mask says that `a` is there."""

    def decode(self, z: Any, present: NDArray[np.bool_]) -> NDArray[np.float64]:
        return super().decode({"a": 0 * z["a"], "b": np.where(present[:, :1], z["b"], 0)}, present)


class Learning(LinearSession):
    """A defect: an answer depends on how often it was asked; it is poor at first and good in the end."""

    def decode(self, z: Any, present: NDArray[np.bool_]) -> NDArray[np.float64]:
        p = super().decode(z, present)
        return p[:, ::-1] if len(self.decoded) <= 2 else p


class Restless(LinearSession):
    """A defect: noise of its own in every answer."""

    rng = np.random.default_rng(0)

    def decode(self, z: Any, present: NDArray[np.bool_]) -> NDArray[np.float64]:
        return super().decode({name: each + self.rng.normal(size=each.shape) for name, each in z.items()}, present)


def test_a_model_that_cannot_be_reached_fails_the_whole_range(tmp_path: Path) -> None:
    session, rows, *_ = task(tmp_path, kind=Absent, a=1, b=8)
    found = run_square_attack(session, rows, on=["a"], scales=(1.0,), queries=10)
    assert passed(found) == dict(zip(CHECKS, (True, True, False, True), strict=True))
    check = found.checks[2]
    assert check.measured == found.clean.value > check.limit + 0.2
    assert "a over the whole range" in check.sentence


def test_a_model_that_gets_better_by_being_asked_fails_above_clean(tmp_path: Path) -> None:
    session, rows, *_ = task(tmp_path, kind=Learning)
    found = run_square_attack(session, rows, scales=(0.01,), queries=10, batch=200)
    assert found.clean.high < 0.5
    assert passed(found) == dict(zip(CHECKS, (False, False, True, True), strict=True))


def test_a_model_that_answers_at_random_fails_the_replay(tmp_path: Path) -> None:
    session, rows, *_ = task(tmp_path, kind=Restless)
    assert not passed(run_square_attack(session, rows, scales=(0.5,), queries=20))["adversarial inputs replay"]


def test_an_attack_that_does_not_move_fails_against_noise_and_at_the_whole_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, rows, *_ = task(tmp_path)
    monkeypatch.setattr(climb, "draw_start", lambda kind, low, high, rng: (low + high) / 2)
    monkeypatch.setattr(climb, "perturb_window", lambda kind, x, low, high, share, rng: x)
    found = run_square_attack(session, rows, scales=(8.0,), queries=10)
    assert passed(found) == dict(zip(CHECKS, (True, False, False, True), strict=True))


def test_an_attack_whose_inputs_are_not_those_it_asked_with_fails_the_replay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, rows, *_ = task(tmp_path)
    monkeypatch.setattr(HillClimb, "worst_inputs", lambda self: self.rows.inputs)
    found = run_square_attack(session, rows, scales=(4.0,), queries=10)
    assert passed(found) == dict(zip(CHECKS, (True, True, True, False), strict=True))
    assert found.checks[3].measured > 0.3
    monkeypatch.undo()
    right, states = HillClimb.worst_inputs, []
    monkeypatch.setattr(
        HillClimb,
        "worst_inputs",
        lambda self: self.rows.inputs if states.append(self) or len(states) == 1 else right(self),
    )
    found = run_square_attack(session, rows, scales=(4.0,), queries=10, batch=200)  # the first run alone is wrong
    assert passed(found) == dict(zip(CHECKS, (True, True, True, False), strict=True))
    assert "(a at scale 4)" in found.checks[3].sentence


def test_the_whole_range_has_queries_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session, rows, *_ = task(tmp_path, samples=5, only=2)
    asked: list[int] = []
    run = HillClimb.run
    monkeypatch.setattr(HillClimb, "run", lambda self, queries: run(self, asked.append(queries) or queries))
    run_square_attack(session, rows, scales=(1.0,), queries=3)
    run_square_attack(session, rows, scales=(1.0,), queries=150)
    assert asked == [3, 100, 150, 150]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"on": ["text"]}, "moves numbers by a norm, which text (text) does not have"),
        ({"on": ["imag"]}, 'there is no modality "imag", did you mean "image"?'),
        ({"eps": {"vidio": 0.1}}, 'there is no modality "vidio", did you mean "video"?'),
        ({"on": ["image"], "eps": {"audio": 0.1}}, "a norm for audio, which is not attacked (attacked: image)"),
        ({"eps": {"text": 0.1}}, "a norm for text, which is not attacked"),
        ({"eps": {"audio": -0.5}, "scales": [1.0]}, "the norm of audio should be positive"),
        ({"eps": {"series": 0.0}}, "found 0"),
        ({"eps": {"series": float("nan")}}, "found nan"),
        ({"eps": {"features": float("inf")}}, "found inf"),
        ({"eps": {"image": 1 / 255}}, "at least 1 / 255 where pixels are whole numbers, found 0.00196078"),
        ({"queries": 0}, "at least one query and positive scales, found 0 and"),
        ({"scales": []}, "found 200 and []"),
        ({"scales": [1.0, -1.0]}, "found 200 and [1.0, -1.0]"),
        ({"scales": [float("inf")]}, "positive scales"),
    ],
)
def test_misuse_is_an_error_in_a_sentence(tmp_path: Path, options: dict[str, Any], sentence: str) -> None:
    session: Any = MeanSession()
    with pytest.raises(UsageError) as error:
        run_square_attack(session, everything(tmp_path, 2), **options)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_model_of_text_alone_is_refused(tmp_path: Path) -> None:
    session: Any = MeanSession([Text(name="words").fit_to(["a b"])])
    rows = Manifest(tmp_path / "m.csv", {"id": ["a"], "split": ["t"], "label": ["ant"], "words": ["b"]}, [2])
    with pytest.raises(UsageError, match=r"serves audio, features, image, series, video; the model has words \(text\)"):
        run_square_attack(session, rows)


def test_one_modality_has_no_rank(tmp_path: Path) -> None:
    session, rows, *_ = task(tmp_path, samples=9, only=4)
    assert isinstance(session.modalities[0], Features)
    found = run_square_attack(session, rows, scales=(1.0, 2.0), queries=10)
    assert found.first == []
    assert [run.scale for run in found.runs] == [1.0, 2.0]
    assert [r.queries for r in found.runs[0].curve] == [1, 10]
