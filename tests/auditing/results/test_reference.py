"""Mean corruption error, by hand."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from audits import outcome, result

from robustmm.auditing.results.breaking_levels import build_sweeps
from robustmm.auditing.results.reference import compare_with_reference, corruption_label, read_audit
from robustmm.auditing.results.schema import Reference
from robustmm.conditions.condition import Condition, Noise
from robustmm.errors import DataError

LEVELS = (0.5, 1.0)
CONDITIONS = [
    *(Condition(f"gaussian {x:g} on a", (Noise("gaussian", x, ("a",)),)) for x in LEVELS),
    *(Condition(f"gaussian {x:g} on b", (Noise("gaussian", x, ("b",)),)) for x in LEVELS),
    *(Condition(f"mine {x:g}", (Noise("stale", x, (), 0.5, {"age": 2}),)) for x in LEVELS),
    Condition("one level", (Noise("blank", 1.0),)),
    Condition("missing 0.5", (), {"a": 0.5}),
]
OURS, THEIRS = (70, 50, 80, 60, 75, 70, 10, 10), (60, 40, 70, 20, 76, 74, 50, 50)


def outcomes(right: tuple[int, ...]) -> list[Any]:
    return [outcome(c.name, n) for c, n in zip(CONDITIONS, right, strict=True)]


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    return written(tmp_path / "theirs.json", THEIRS)


def written(path: Path, right: tuple[int, ...] = THEIRS, clean: int = 80, **more: Any) -> Path:
    """Another audit's result."""
    audit = result(outcome("clean", clean), outcomes(right), model="theirs.onnx", **more)
    path.write_text(json.dumps(audit.model_dump(mode="json")), encoding="utf-8")
    return path


def compared(path: Path | None, conditions: list[Condition] = CONDITIONS, description: str = "") -> Reference | None:
    found = outcomes(OURS)[: len(conditions)]
    return compare_with_reference(path, outcome("clean", 90), found, conditions, "d", description)


def test_errors_are_summed_over_levels_and_divided(theirs: Path) -> None:
    found = compared(theirs)
    assert found is not None
    on_a, on_b, stale = (30 + 50) / (40 + 60), (20 + 40) / (30 + 80), (25 + 30) / (24 + 26)
    assert found.by_corruption == pytest.approx(
        {"gaussian on a": on_a, "gaussian on b": on_b, "stale with probability 0.5 age=2": stale}
    )
    assert found.mean_corruption_error == pytest.approx((on_a + on_b + stale) / 3)
    relative = [
        ((30 - 10) + (50 - 10)) / ((40 - 20) + (60 - 20)),
        ((20 - 10) + (40 - 10)) / ((30 - 20) + (80 - 20)),
        ((25 - 10) + (30 - 10)) / ((24 - 20) + (26 - 20)),
    ]
    assert found.relative == pytest.approx(sum(relative) / 3)
    assert found.model == "theirs.onnx"


def test_a_model_is_as_good_as_itself(tmp_path: Path) -> None:
    found = compare_with_reference(
        written(tmp_path / "own.json", OURS), outcome("clean", 80), outcomes(OURS), CONDITIONS, "d", ""
    )
    assert found is not None
    assert (found.mean_corruption_error, found.relative) == pytest.approx((1, 1))
    assert found.by_corruption == pytest.approx(dict.fromkeys(found.by_corruption, 1))


def test_without_a_reference_there_is_nothing() -> None:
    assert compared(None) is None


def test_what_a_corruption_is_called_tells_it_apart() -> None:
    names = [corruption_label(sweep) for sweep in build_sweeps(CONDITIONS)]
    assert names == ["gaussian on a", "gaussian on b", "stale with probability 0.5 age=2", "blank"]
    assert corruption_label(build_sweeps([Condition("c", (Noise("fog", 1.0, ("a", "b")),))])[0]) == "fog on a+b"


def test_a_reference_that_loses_nothing_has_no_relative_error(tmp_path: Path) -> None:
    found = compared(written(tmp_path / "t.json", THEIRS, clean=20))
    assert found is not None
    assert math.isnan(found.relative)
    assert found.mean_corruption_error == pytest.approx((0.8 + 60 / 110 + 55 / 50) / 3)


def test_a_reference_without_errors_cannot_divide(tmp_path: Path) -> None:
    perfect = (*THEIRS[:4], 100, 100, *THEIRS[6:])
    with pytest.raises(DataError, match=r"t\.json cannot be divided by: expected a reference that errs"):
        compared(written(tmp_path / "t.json", perfect))


def test_a_reference_on_other_samples_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "t.json", data_sha256="other", split="valid", manifest="x.csv")
    with pytest.raises(DataError, match=r"t\.json was measured on other samples \(split valid of x\.csv\)"):
        compared(path)


def test_a_reference_under_another_description_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "t.json", description="[modality.a]\nstd = [1]\n", description_sha256="ab")
    with pytest.raises(DataError, match=r"t\.json was measured under another description; both models should have"):
        compared(path, description="[modality.a]\nstd = [2]\n")
    assert compared(path, description="[modality.a]\nstd = [1]\n") == compared(written(tmp_path / "o.json"))
    assert compared(path) is not None, "a file of ours has no description"


def test_a_reference_without_our_conditions_is_refused(theirs: Path) -> None:
    found = json.loads(theirs.read_text())
    found["conditions"] = found["conditions"][:3]
    theirs.write_text(json.dumps(found))
    with pytest.raises(DataError, match='has no condition "gaussian 1 on b"'):
        compared(theirs)


def test_a_suite_without_corruptions_has_nothing_to_compare(theirs: Path) -> None:
    with pytest.raises(DataError, match="a reference is compared by corruptions"):
        compare_with_reference(theirs, outcome(), [outcome("missing 0.5")], CONDITIONS[-1:], "d", "")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "should be the results.json of an audit, and cannot be read so"),
        (b"\xff", "should be the results.json of an audit, and cannot be read so"),
        (b"[" * 100_000, "should be the results.json of an audit, and cannot be read so"),
        (b"[1]", "has no format, expected 4: audit the model again with this robustmm"),
        (b"{}", "has no format, expected 4: audit the model again with this robustmm"),
        (b'{"format": 1}', "has format 1, expected 4: audit the model again with this robustmm"),
        (b'{"format": 4}', "is not as an audit writes it: verdict: Field required"),
    ],
)
def test_a_file_that_is_no_audit_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(content)
    for call in (read_audit, compared):
        with pytest.raises(DataError) as error:
            call(path)
        assert str(error.value) == f"{path} {said}"
    with pytest.raises(DataError, match="cannot be read so"):
        read_audit(tmp_path)
    with pytest.raises(DataError, match="cannot be read so"):
        read_audit(tmp_path / "none.json")


def test_what_is_written_is_read(theirs: Path) -> None:
    found = read_audit(theirs)
    assert found.model == "theirs.onnx"
    assert [c.name for c in found.conditions] == [c.name for c in CONDITIONS]
    assert math.isnan(found.mean_retention)
    assert json.dumps(found.model_dump(mode="json")) == theirs.read_text()
