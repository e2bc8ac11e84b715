"""The file of a plan: read as it was written, or refused."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robustmm.auditing.parts import check, plan_file
from robustmm.auditing.parts.costs import Costs
from robustmm.auditing.parts.plan_file import PlanFile, find_difference, parse_part, read_plan
from robustmm.auditing.spec import hash_content
from robustmm.conditions.condition import Condition, Noise
from robustmm.conditions.tables import MixTable, SquareTable
from robustmm.errors import DataError, UsageError
from robustmm.version import __version__

CONDITIONS = (
    Condition("a", (Noise("gaussian", 0.328125, ("x",), 0.5, {"table": [1, 2.5], "of": "é"}),), {"x": 0.0}),
    Condition("b", (), {"x": 0.3}, ("y",), 3, "missing.csv", "stale"),
)


def planned(**changes: Any) -> PlanFile:
    question = {
        "model": "m.onnx", "data": "d.csv", "inside": False, "describe": None, "split": "test", "limit": None,
        "seed": 1, "on_bad": "error", "baseline": "masked", "provider": "cpu", "threads": 1, "suite": "quick",
        "suite_name": "quick", "suite_text": "# é\n", "groups": ("site",), "cluster": "", "gates": None,
        "gates_text": "", "share": 0.9, "reference": None,
    }  # fmt: skip
    runtime = {
        "robustmm": __version__, "onnxruntime": "1", "provider": "cpu", "graph_optimisation": "all", "threads": 1,
        "encoders": ["x"],
    }  # fmt: skip
    costs = Costs(
        reading=1 / 3, deciding=0.1, writing=0.2, projecting=[0.0], embeddings=[1.0, 2.0], wanted=[[0], [1], [0]],
        floor=1.0, searches=[1.0, 2.0], finish=1e-9,
    )  # fmt: skip
    fields: dict[str, Any] = {
        "question": question, "runtime": runtime, "libraries": {"numpy": "2"}, "digest": "d", "stamps": (("f", 1, 2),),
        "hashes": {"model": "a", "manifest": "b", "description": "", "fitted": "c", "media": "e"}, "batch": None,
        "searches": (MixTable(attack="mix", noise=("gaussian",)), SquareTable(attack="square")),
        "conditions": CONDITIONS, "chunks": (7,), "costs": costs,
    }  # fmt: skip
    for key, value in changes.items():
        group = next((name for name in ("question", "runtime", "libraries", "hashes") if key in fields[name]), None)
        fields = fields | ({group: fields[group] | {key: value}} if group else {key: value})
    return PlanFile(**fields)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "plan.json"
    found.write_bytes(planned().to_bytes())
    return found


def test_what_is_read_is_what_was_written(path: Path) -> None:
    """Levels with more than six digits, options of any type: cells are named by them."""
    found = read_plan(path)
    assert found == planned()
    assert found.conditions == CONDITIONS
    assert hash_content(found.conditions) == hash_content(CONDITIONS)
    assert found.costs.reading == 1 / 3
    assert found.to_bytes() == path.read_bytes()


@pytest.mark.parametrize("place", [0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_one_changed_byte_is_told(path: Path, place: float) -> None:
    content = path.read_bytes()
    at = next(i for i in range(int(place * len(content)), len(content)) if chr(content[i]).isalnum())
    path.write_bytes(content[:at] + (b"0" if content[at : at + 1] != b"0" else b"1") + content[at + 1 :])
    with pytest.raises(DataError, match=r"plan\.json is (not as audit --plan wr|of robustmm)"):
        read_plan(path)


@pytest.mark.parametrize("content", [b"", b"[1]", b"{}", b'{"format": 1', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_plan(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"plan\.json is not as audit --plan writes it; make it again"):
        read_plan(path)


def test_a_plan_that_is_not_there_or_of_another_version(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"the plan .*none\.json cannot be read: No such file"):
        read_plan(path.with_name("none.json"))
    monkeypatch.setattr(plan_file, "__version__", "9")
    with pytest.raises(DataError, match=rf"is of robustmm {re.escape(__version__)}, and this is 9; all parts take"):
        read_plan(path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("5/4", "a part of 4 should be one of 1/4 to 4/4, found 5/4"),
        ("0/4", "found 0/4; parts are counted from 1"),
        ("1/0", "there should be 1 to 100,000 parts, found 0"),
        ("1/100001", "there should be 1 to 100,000 parts, found 100001"),
        *((text, f'as 3/40, the third of forty, found "{text}"') for text in ("", "/40", "3", "-1/4", "1/4/2", "٣/٤")),
    ],
)
def test_no_part(text: str, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_part(text)
    assert told in str(refused.value)


@given(parts=st.integers(1, 100_000), data=st.data())
def test_a_part_is_read_as_it_is_written(parts: int, data: st.DataObject) -> None:
    number = data.draw(st.integers(1, parts))
    assert parse_part(f"{number}/{parts}") == (number, parts)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"seed": 2}, "seed (1 and 2)"),
        ({"suite_text": "x" * 99}, "suite_text"),
        ({"numpy": "3"}, "numpy (2 and 3)"),
        ({"media": "f"}, "media"),
        ({"digest": "e"}, "digest"),
        ({"conditions": CONDITIONS[:1]}, "conditions"),
        ({"batch": 5}, ""),
        ({"costs": planned().costs.model_copy(update={"floor": 9.0})}, ""),
    ],
)
def test_what_two_plans_differ_in(change: dict[str, Any], told: str) -> None:
    assert find_difference(planned(), planned(**change)) == told


def test_versions_are_of_what_is_installed() -> None:
    found: Callable[[], dict[str, str]] = check.library_versions
    import numpy

    assert found()["numpy"] == numpy.__version__
    assert set(found()) <= set(check.LIBRARIES)
    assert json.loads(json.dumps(found())) == found()
