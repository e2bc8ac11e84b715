"""Gates as they are declared: every wrong file is sentences with their lines."""

from pathlib import Path
from typing import Any

import pytest

from robustmm.conditions.gate import REQUIREMENTS, GateTable, check_gates, load_gates
from robustmm.conditions.suite import load_suite
from robustmm.errors import UsageError

RIGHT = '[[gate]]\nname = "g"\nmetric = "accuracy"\ncondition = "clean"\nmin = 0.9\n'


def gate(**keys: Any) -> GateTable:
    return GateTable.model_validate({"name": "g", "metric": "accuracy", "condition": "*", **keys})


def wrongs(*gates: GateTable) -> list[str]:
    return [sentence for _, sentence in check_gates(gates)]


def test_a_number_is_a_range_and_a_name_a_list(tmp_path: Path) -> None:
    (tmp_path / "g.toml").write_text(
        '[[gate]]\nname = "g"\nmetric = "retention"\nnoise = "gaussian"\nmodality = ["a", "b"]\nlevel = [0, 0.4]\n'
        'strength = 3\nmissing = "c"\ngroup = { site = "*" }\nmin = 0.9\non = "point"\nmin_n = 30\n'
    )
    (found,) = load_gates(tmp_path / "g.toml")
    assert (found.noise, found.modality, found.missing) == (("gaussian",), ("a", "b"), ("c",))
    assert (found.level, found.strength) == ((0, 0.4), (3, 3))
    assert (found.requirement, found.bound, found.upward, found.relative) == ("min", 0.9, True, True)


@pytest.mark.parametrize(
    ("keys", "requirement", "bound", "relative"),
    [
        ({"min": 0.5}, "min", 0.5, False),
        ({"metric": "nll", "max": 3}, "max", 3, False),
        ({"metric": "drop", "max": 0.1}, "max", 0.1, True),
        ({"max_drop": 0.1}, "max_drop", 0.1, True),
        ({"max_relative_drop": 0.2}, "max_relative_drop", 0.2, True),
        ({"baseline": "b.json", "margin": 0}, "baseline", 0, False),
    ],
)
def test_the_requirement_and_its_bound(keys: dict[str, Any], requirement: str, bound: float, relative: bool) -> None:
    found = gate(**keys)
    assert wrongs(found) == []
    assert (found.requirement, found.bound, found.relative) == (requirement, bound, relative)
    assert found.upward == (requirement == "min")


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({}, f"metric goes with exactly one of {', '.join(REQUIREMENTS)}, found none"),
        ({"min": 0.1, "max_drop": 0.1}, "found min and max_drop"),
        ({"condition": (), "min": 0.1}, "found none; for all: condition = "),
        ({"max": 0.1}, "max does not fit: accuracy is better high, and takes a min"),
        ({"metric": "ece", "min": 0.1}, "min does not fit: ece is better low, and takes a max"),
        ({"metric": "drop", "min": 0.1}, "min does not fit: drop is better low"),
        ({"metric": "retention", "max_drop": 0.1}, "max_drop does not fit: retention is against clean by itself"),
        ({"min": 90}, "min should be at most 1, found 90; 5 points, or 5 %, are 0.05"),
        ({"max_drop": 5}, "max_drop should be at most 1, found 5"),
        ({"metric": "nll", "max_relative_drop": 5}, "max_relative_drop should be at most 1, found 5"),
        ({"baseline": "b.json", "margin": 2}, "margin should be at most 1, found 2"),
        ({"baseline": "b.json"}, "baseline goes with a margin"),
        ({"min": 0.1, "margin": 0.1}, "margin goes with a baseline"),
        ({"metric": "share", "min": 0.1}, 'of = the modality that is meant is missing; for each: of = "*"'),
        ({"of": "a", "min": 0.1}, "of goes with the metric share, found accuracy"),
        ({"strength": 3, "min": 0.1}, "strength is in the unit of one noise, found 0"),
        ({"strength": 3, "noise": ["a", "b"], "min": 0.1}, "strength is in the unit of one noise, found 2"),
        ({"level": [0.5, 0.1], "min": 0.1}, "level should be [lowest, highest], found [0.5, 0.1]"),
        (
            {"metric": "nll", "group": {"site": "*"}, "max": 0.1},
            "group goes with the metrics accuracy, retention, drop",
        ),
    ],
)
def test_gates_that_contradict_themselves(keys: dict[str, Any], sentence: str) -> None:
    (found,) = wrongs(gate(**keys))
    assert found.startswith('gate "g": ')
    assert sentence in found


def test_a_share_has_either_bound_and_a_loss_may_be_above_one() -> None:
    assert wrongs(gate(name="a", metric="share", of="x", min=0.1), gate(name="b", metric="share", of="x", max=1)) == []
    assert wrongs(gate(metric="nll", max=4.5)) == []
    assert wrongs(gate(min=0.1), gate(min=0.2)) == ['gate "g": name is the name of another gate too']


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", [": there should be at least one [[gate]], found none"]),
        ("gate = []", [": there should be at least one [[gate]], found none"]),
        ("[[gates]]\n" + RIGHT, ['1: "gates" is not a key here, did you mean "gate"?']),
        (
            RIGHT.replace("metric", "metrik"),
            ["1: [gate[0]] metric is missing", '3: [gate[0]] "metrik" is not a key here'],
        ),
        (RIGHT.replace('"accuracy"', '"acc"'), ["3: [gate[0]] metric: should be 'accuracy', 'macro-f1'"]),
        (RIGHT.replace("0.9", "-1"), ["5: [gate[0]] min: should be greater than or equal to 0, found -1"]),
        (RIGHT.replace("0.9", "nan"), ["5: [gate[0]] min: should be a finite number"]),
        (RIGHT.replace("0.9", '"high"'), ["5: [gate[0]] min: should be a valid number"]),
        (RIGHT + "level = [1, 2, 3]\n", ["6: [gate[0]] level: tuple should have at most 2 items"]),
        (RIGHT + 'group = { a = "1", b = "2" }\n', ["6: [gate[0]] group: dictionary should have at most 1 item"]),
        (RIGHT + "min_n = 0\n", ["6: [gate[0]] min_n: should be greater than or equal to 1"]),
        (RIGHT + "\n" + RIGHT.replace("0.9", "9"), ["8: gate ", "11: gate "]),
        ("[[gate", ["is not valid TOML"]),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, sentences: list[str]) -> None:
    (tmp_path / "g.toml").write_text(text)
    with pytest.raises(UsageError) as error:
        load_gates(tmp_path / "g.toml")
    lines = str(error.value).splitlines()
    assert len(lines) == len(sentences)
    for line, sentence in zip(lines, sentences, strict=True):
        assert str(tmp_path / "g.toml") in line
        assert sentence in line


def test_a_suite_holds_gates_but_not_gates_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text("[[missing]]\nrate = [0.5]\n" + RIGHT)
    assert [each.name for each in load_suite(path).gate] == ["g"]
    path.write_text("[[missing]]\nrate = [0.5]\n" + RIGHT.replace("min", "max"))
    with pytest.raises(UsageError, match=r"s.toml:7: gate \"g\": max does not fit"):
        load_suite(path)
    path.write_text(RIGHT)
    with pytest.raises(UsageError, match=r"one of \[\[condition\]\].* should be given, found none"):
        load_suite(path)
