"""Which conditions a gate is held against: the same of what is planned and of what was measured."""

from pathlib import Path
from typing import Any

import pytest
from audits import made

from robustmm.auditing.gates.select import is_selected, matches, measured_scope, planned_scope
from robustmm.auditing.results.schema import AuditResult
from robustmm.auditing.spec import Spec, open_spec
from robustmm.conditions.condition import Condition, Noise
from robustmm.conditions.gate import GateTable

CONDITIONS = (
    *(Condition(f"gaussian {x:g} on series", (Noise("gaussian", x, ("series",)),)) for x in (0.2, 0.6)),
    Condition("gaussian 0.2 on vector", (Noise("gaussian", 0.2, ("vector",)),)),
    Condition("both", (Noise("gaussian", 0.2),)),
    Condition("crossed", (Noise("gaussian", 0.2, ("series",)), Noise("blank", 0.4, ("vector",)))),
    Condition("swap", (Noise("swap-other-class", 0.4),)),
    Condition("rate", (), {"vector": 0.5}),
    Condition("stale", (), {"vector": 0.5}, fill="stale"),
    Condition("alone", present=("series",)),
    Condition("all at a rate", (), {"vector": 0.5, "series": 0.5}),
    Condition("noise and missing", (Noise("gaussian", 0.2, ("series",)),), {"vector": 0.5}),
)
LACKING_VECTOR = {"rate", "stale", "alone"}


@pytest.fixture(scope="module")
def asked(world_model: Path, world_manifest: Path) -> Spec:
    return Spec(world_model, world_manifest, limit=40)


@pytest.fixture(scope="module")
def measured(asked: Spec, tmp_path_factory: pytest.TempPathFactory) -> AuditResult:
    return made(asked, tmp_path_factory.mktemp("selected"), CONDITIONS, share=0)


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ({"condition": "clean"}, {"clean"}),
        ({"condition": "*"}, {"clean", *(c.name for c in CONDITIONS)}),
        ({"condition": ["swap", "gaussian * on *"]}, {"swap", *(c.name for c in CONDITIONS[:3])}),
        ({"noise": "gaussian"}, {*(c.name for c in CONDITIONS[:4])}),
        ({"noise": ["gaussian", "blank"]}, {*(c.name for c in CONDITIONS[:5])}),
        ({"noise": "swap-other-class"}, {"swap"}),
        ({"modality": "series"}, {"gaussian 0.2 on series", "gaussian 0.6 on series"}),
        ({"modality": ["series", "vector"]}, {*(c.name for c in CONDITIONS[:6])}),
        ({"modality": "series", "level": 0.2}, {"gaussian 0.2 on series"}),
        ({"noise": "gaussian", "level": [0.3, 1]}, {"gaussian 0.6 on series"}),
        ({"level": [0, 0.2]}, {"gaussian 0.2 on series", "gaussian 0.2 on vector", "both"}),
        ({"noise": "gaussian", "modality": "series", "strength": [0.1, 0.6]}, {"gaussian 0.2 on series"}),
        ({"missing": "vector"}, LACKING_VECTOR),
        ({"missing": ["series", "vector"]}, {"all at a rate"}),
        ({"missing": "series"}, set()),
        ({"missing": "vector", "noise": "gaussian"}, {"noise and missing"}),
        ({"condition": "gaussian*", "level": 0.6}, {"gaussian 0.6 on series"}),
    ],
)
def test_what_a_gate_selects(asked: Spec, measured: AuditResult, keys: dict[str, Any], names: set[str]) -> None:
    gate = GateTable.model_validate({"name": "g", "metric": "accuracy", "min": 0.5, **keys})
    modalities = open_spec(asked).session.modalities
    planned = [planned_scope(c, modalities) for c in (Condition("clean"), *CONDITIONS)]
    assert {scope.name for scope in planned if is_selected(gate, scope)} == names
    found = [measured_scope(c) for c in (measured.clean, *measured.conditions)]
    assert {scope.name for scope in found if is_selected(gate, scope)} == names


def test_only_a_star_is_special() -> None:
    assert matches("gaussian * on a+b", "gaussian 0.5 on a+b")
    assert matches("*", "a\nb")
    assert not matches("gaussian ? on a", "gaussian 5 on a")
    assert not matches("a.c", "abc")
    assert not matches("a", "ab")


def test_a_group_knows_its_clusters(asked: Spec, tmp_path: Path) -> None:
    """Of two sites, each is one cluster, and every class comes from both."""
    found = made(asked, tmp_path, [], share=0, groups=("site",), cluster="site").clean.groups
    assert {(g.column, g.clusters) for g in found} == {("label", 2), ("site", 1)}
