import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss

from robustmm.auditing.results.schema import AuditResult
from robustmm.conditions.condition import Condition, Noise
from robustmm.data.check import ManifestFacts
from robustmm.data.manifest import Manifest
from robustmm.evaluation import attack
from robustmm.evaluation.evaluate import evaluate
from robustmm.evaluation.predict import Prediction
from robustmm.exporting.parity import Proof
from robustmm.metrics import statistics
from robustmm.metrics.sampling import Sampling
from robustmm.results import Result
from robustmm.runs import TrainResult
from robustmm.runtime.session import Session

CONDITION = Condition("attacked", (Noise("gaussian", 0.8),), {"series": 0.25})
SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"


@pytest.fixture
def result(session: Session, rows: Manifest) -> attack.AttackResult:
    return attack.attack(session, rows, CONDITION, split="test", seed=1)


def test_every_headline_number_has_a_second_opinion(
    result: attack.AttackResult, session: Session, rows: Manifest
) -> None:
    (clean, attacked), _ = evaluate(session, rows, [Condition("clean"), CONDITION], seed=1)
    for found, records in ((result.clean, clean), (result.attacked, attacked)):
        guess = records.probabilities.argmax(1)
        right = guess == records.target
        assert found.accuracy.value == pytest.approx(right.mean())
        low, high = statistics.wilson(int(right.sum()), len(right))
        assert (found.accuracy.low, found.accuracy.high) == (low, high)
        assert found.macro_f1 == pytest.approx(f1_score(records.target, guess, average="macro"))
        assert found.nll == pytest.approx(log_loss(records.target, records.probabilities, labels=[0, 1, 2]))
    flips = (clean.probabilities.argmax(1) != attacked.probabilities.argmax(1)).mean()
    assert result.flip_rate.value == pytest.approx(flips)
    assert result.accuracy_change.value == pytest.approx(result.attacked.accuracy.value - result.clean.accuracy.value)
    assert result.accuracy_change.low <= result.accuracy_change.value <= result.accuracy_change.high


def test_contributions_add_up_to_what_the_model_knows_beyond_the_prior(
    result: attack.AttackResult, session: Session, rows: Manifest
) -> None:
    (clean, attacked), _ = evaluate(session, rows, [Condition("clean"), CONDITION], seed=1)
    for when, records in (("clean", clean), ("attacked", attacked)):
        found = [getattr(m, when) for m in result.modalities]
        v = np.where(
            records.present.any(1), records.probabilities.argmax(1) == records.target, records.empty_value[:, 1]
        )
        gain = v.mean() - records.empty_value[:, 1].mean()
        assert sum(r.shapley_accuracy.value for r in found) == pytest.approx(gain)
        certain = Sampling().mean(records.phi_accuracy.sum(1)).low > 0
        assert certain == (when == "clean")
        shares = sum(r.shapley_accuracy_share.value for r in found)
        assert shares == pytest.approx(1 if certain else np.nan, nan_ok=True)
        for m, r in enumerate(found):
            assert r.unimodal_accuracy.value == pytest.approx(np.nanmean(records.unimodal_correct[:, m]))
            assert r.present == pytest.approx(records.present[:, m].mean())
            here = records.present[:, m]
            without = records.leave_one_out_correct[here, m].mean()
            right = (records.probabilities.argmax(1) == records.target)[here].mean()
            assert r.leave_one_out.value == pytest.approx(right - without)


def test_classes_weigh_up_to_accuracy(result: attack.AttackResult) -> None:
    n = sum(c.support for c in result.classes)
    assert n == result.samples
    for name in ("clean", "attacked"):
        recall = sum(c.support * getattr(c, f"{name}_recall") for c in result.classes) / n
        assert recall == pytest.approx(getattr(result, name).accuracy.value)


def test_the_physical_strength_is_told(result: attack.AttackResult) -> None:
    (applied,) = result.modalities[0].noises
    assert applied.level == 0.8
    assert applied.strength == 2.0
    assert "standard deviation" in applied.unit


def test_a_rerun_gives_the_same_bytes(session: Session, rows: Manifest, result: attack.AttackResult) -> None:
    again = attack.attack(session, rows, CONDITION, split="test", seed=1)
    assert again.model_dump_json() == result.model_dump_json()


def test_another_batch_size_gives_the_same_bytes(session: Session, rows: Manifest, result: attack.AttackResult) -> None:
    again = json.loads(attack.attack(session, rows, CONDITION, split="test", seed=1, batch=5).model_dump_json())
    found = json.loads(result.model_dump_json())
    del again["efficiency_residual"], found["efficiency_residual"]  # the rounding error itself
    assert again == found


def test_no_attack_is_no_change(session: Session, rows: Manifest) -> None:
    result = attack.attack(session, rows, Condition("attacked"), split="test", seed=0)
    assert result.clean == result.attacked
    assert result.flip_rate.value == 0
    assert result.accuracy_change.p == 1


def test_everything_missing_is_the_bias_and_has_no_solo(session: Session, rows: Manifest) -> None:
    gone = Condition("attacked", (), {"vector": 1.0, "series": 1.0})
    result = attack.attack(session, rows, gone, split="test", seed=0)
    assert len({tuple(m.attacked.unimodal_accuracy.model_dump().values()) for m in result.modalities}) <= 2
    loaded = json.loads(result.model_dump_json())
    assert loaded["modalities"][0]["attacked"]["unimodal_accuracy"] == {"value": None, "low": None, "high": None}
    assert [m.attacked.shapley_accuracy.value for m in result.modalities] == [0, 0]


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("attack", attack.AttackResult),
        ("audit", AuditResult),
        ("data-check", ManifestFacts),
        ("export", Proof),
        ("predict", Prediction),
        ("train", TrainResult),
    ],
)
def test_schemas_are_published_as_the_code_has_them(name: str, model: type[Result]) -> None:
    """To renew them: python scripts/write_schemas.py."""
    published = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    assert published == model.model_json_schema(mode="serialization")
    jsonschema.Draft202012Validator.check_schema(published)


def test_the_json_obeys_its_schema(result: attack.AttackResult) -> None:
    schema = json.loads((SCHEMAS / "attack.schema.json").read_text())
    jsonschema.validate(json.loads(result.model_dump_json()), schema)
