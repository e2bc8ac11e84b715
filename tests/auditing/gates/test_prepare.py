"""Gates are held against what will be measured before it is: what selects nothing is a sentence."""

from pathlib import Path
from typing import Any

import pytest
from audits import made

from robustmm.auditing.gates.prepare import check_selection, read_gates
from robustmm.auditing.spec import Spec, open_spec
from robustmm.conditions.condition import Condition, Noise
from robustmm.conditions.gate import GateTable
from robustmm.config.toml import to_toml
from robustmm.errors import DataError, UsageError

CONDITIONS = (
    Condition("gaussian 0.2 on series", (Noise("gaussian", 0.2, ("series",)),)),
    Condition("gaussian 0.6 on all", (Noise("gaussian", 0.6),)),
    Condition("no vector", present=("series",)),
)


@pytest.fixture
def asked(world_model: Path, world_manifest: Path) -> Spec:
    return Spec(world_model, world_manifest, limit=30)


def gate(**keys: Any) -> GateTable:
    return GateTable.model_validate({"name": "g", "metric": "accuracy", "min": 0.5, **keys})


def check(asked: Spec, *gates: GateTable) -> None:
    check_selection(read_gates(gates, None), CONDITIONS, open_spec(asked))


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"condition": "cleen"}, 'no condition is called "cleen", did you mean "clean"?'),
        ({"condition": ["clean", "blank*"]}, 'no condition is called "blank*"'),
        ({"noise": "gausian"}, 'noise: there is no noise of the suite "gausian", did you mean "gaussian"?'),
        ({"modality": "serie"}, 'modality: there is no modality "serie", did you mean "series"?'),
        ({"missing": "vectr"}, 'missing: there is no modality "vectr", did you mean "vector"?'),
        ({"metric": "share", "of": "serie", "condition": "clean"}, 'of: there is no modality "serie"'),
        ({"modality": "vector"}, "no condition corrupts just vector; the suite's corrupt series, "),
        ({"missing": "series"}, "no condition lacks just series; the suite's lack vector"),
        ({"noise": "gaussian", "level": 0.3}, "no condition has level 0.3; the suite has 0.2, 0.6"),
        ({"level": [0.7, 1]}, "no condition has level 0.7 to 1; the suite has 0.2, 0.6"),
        ({"noise": "gaussian", "strength": 99}, "no condition has strength 99; the suite has "),
        ({"missing": "vector", "noise": "gaussian"}, "no condition lacks just vector; the suite's lack vector"),
        ({"condition": "no vector", "level": 0.2}, "no condition"),
        ({"metric": "auroc", "condition": "clean"}, "the metric auroc takes two classes, found 3"),
        ({"metric": "retention", "condition": "clean"}, "retention against clean needs a condition that is not clean"),
        ({"condition": "clean", "min": None, "max_drop": 0.1}, "accuracy against clean needs a condition"),
        ({"condition": "clean", "group": {"site": "nort"}}, 'no sample has "nort" in the column site, did you mean'),
        ({"condition": "clean", "group": {"label": "dog"}}, 'no sample has "dog" in the column label'),
    ],
)
def test_a_gate_that_selects_nothing(asked: Spec, keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        check(asked, gate(**keys))
    assert str(error.value).startswith('gate "g": ')
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_every_wrong_gate_is_told(asked: Spec) -> None:
    with pytest.raises(UsageError) as error:
        check(asked, gate(name="a", condition="x"), gate(name="b", condition="clean"), gate(name="c", level=0.3))
    assert [line.partition(":")[0] for line in str(error.value).splitlines()] == ['gate "a"', 'gate "c"']


def test_what_is_right_passes_and_columns_are_grouped_by(asked: Spec) -> None:
    gates = [
        gate(name="a", condition="clean"), gate(name="b", modality="series", metric="retention"),
        gate(name="c", missing="vector"), gate(name="d", condition="clean", group={"site": "*"}),
        gate(name="e", condition="clean", group={"label": "ant"}), gate(name="f", condition="*", max_drop=1, min=None),
        gate(name="g", metric="share", of="*", condition="clean", min=0.0),
    ]  # fmt: skip
    check(asked, *gates)
    assert read_gates(gates, None).columns == ("site",)
    with pytest.raises(DataError, match='has no column "sitt", did you mean "site"'):
        check(asked, gate(condition="clean", group={"sitt": "*"}))


def test_a_file_and_its_hash_and_names_that_meet(tmp_path: Path) -> None:
    path = tmp_path / "g.toml"
    path.write_text("[[gate]]\n" + to_toml({"name": "g", "metric": "accuracy", "condition": "clean", "min": 0.5}))
    found = read_gates([gate(name="of the suite", condition="clean")], path)
    assert [each.name for each in found.tables] == ["of the suite", "g"]
    assert len(found.sha256) == 64
    path.write_text(path.read_text() + "# a remark\n")
    assert read_gates((), path).sha256 != found.sha256
    assert read_gates([gate()], None).sha256 == ""
    with pytest.raises(UsageError, match=r'g.toml: gate "g" is the name of a gate of the suite too'):
        read_gates([gate()], path)


def test_a_baseline_that_cannot_be_compared_with(asked: Spec, tmp_path: Path) -> None:
    made(asked, tmp_path / "a", CONDITIONS[:1], share=0)
    made(Spec(asked.model, asked.manifest, limit=20), tmp_path / "b", CONDITIONS, share=0)
    keys: dict[str, Any] = {"baseline": str(tmp_path / "a" / "results.json"), "margin": 0.1, "min": None}
    check(asked, gate(condition="clean", **keys))
    with pytest.raises(DataError, match=r'has no condition "gaussian 0\.6 on all"'):
        check(asked, gate(noise="gaussian", **keys))
    with pytest.raises(DataError, match=r'has no groups of "site"; make it again with --by site'):
        check(asked, gate(condition="clean", group={"site": "*"}, **keys))
    with pytest.raises(DataError, match="was measured on other samples"):
        check(asked, gate(condition="clean", **{**keys, "baseline": str(tmp_path / "b" / "results.json")}))
    for name in ("none.json", "results.json"):
        (tmp_path / "results.json").write_text("[")
        with pytest.raises(DataError, match=r"should be the results.json of an audit"):
            check(asked, gate(condition="clean", **{**keys, "baseline": str(tmp_path / name)}))
