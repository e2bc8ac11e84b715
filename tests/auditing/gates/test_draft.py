"""Drafted gates are valid, and pass on the audit that they come from."""

import tomllib
from pathlib import Path

from audits import estimate, group, modality, outcome, result

from robustmm.auditing.gates.declared import Gates
from robustmm.auditing.gates.draft import draft_gates
from robustmm.auditing.gates.judge import judge_audit
from robustmm.auditing.results.schema import AuditResult
from robustmm.conditions.gate import load_gates
from robustmm.evaluation.attack_result import AppliedCorruption, Estimate

HOSTILE = 'a"]\nmin = 1 # \x1b[31m'


def audit(name: str = "a", retention: Estimate | None = None) -> AuditResult:
    noise = AppliedCorruption(name="rain", level=0.5, strength=3, unit="mm", probability=1)
    struck = modality(name).model_copy(update={"noises": [noise]})
    groups = [group("ant", 45, 50), group("bee", 5, 6), group("north", 40, 50, "site")]
    clean = outcome("clean", 90, groups=groups, ece=0.0512, modalities=[modality(name), modality("b")])
    rain = outcome("rain", 70, retention=retention or estimate(0.8), modalities=[struck, modality("b")])
    gone = outcome("gone", 60, missing={"b": 1.0}, modalities=clean.modalities)
    return result(clean, [rain, gone], model=name)


def drafted(folder: Path, found: AuditResult, margin: float = 0.02) -> tuple[str, AuditResult]:
    text = draft_gates(found, margin, "robustmm audit m.onnx")
    (folder / "g.toml").write_text(text)
    return text, judge_audit(Gates(load_gates(folder / "g.toml")), found)


def test_the_draft_by_hand(tmp_path: Path) -> None:
    """Wilson's lower end of 90 of 100 is 0.8256, of 5 of 6 0.4365, of 40 of 50 0.6696, of 60 of 100 0.5020."""
    text, found = drafted(tmp_path, audit())
    tables = {table["name"]: table for table in tomllib.loads(text)["gate"]}
    assert {name: table.get("min", table.get("max")) for name, table in tables.items()} == {
        "clean accuracy": 0.805, "clean calibration": 0.072, "each label": 0.416, "each site": 0.649,
        "noise on a": 0.68, "b missing": 0.482,
    }  # fmt: skip
    assert tables["noise on a"] == {"name": "noise on a", "metric": "retention", "modality": "a", "min": 0.68}
    assert "# measured: 90.0 % [82.6, 94.5] under clean, 100 samples\nmin = 0.805" in text
    assert "# measured: 83.3 % [43.6, 97.0] under clean (label: bee), 6 samples" in text
    assert "\n# robustmm audit m.onnx\n" in text
    assert found.verdict == "PASS"
    assert len(found.gates) == 6


def test_no_bound_is_drafted_where_none_passes(tmp_path: Path) -> None:
    nothing = Estimate(value=0.01, low=0.0, high=0.2)
    text, found = drafted(tmp_path, audit(retention=nothing))
    assert "# No gate on noise on a: no bound passes today.\n# measured: 1.0 % [0.0, 20.0] under rain" in text
    assert "noise on a" not in [gate.name for gate in found.gates]
    assert found.verdict == "PASS"


def test_without_a_margin_all_pass_by_a_rounding(tmp_path: Path) -> None:
    assert drafted(tmp_path, audit(), 0)[1].verdict == "PASS"


def test_a_strangers_names_are_quoted(tmp_path: Path) -> None:
    text, found = drafted(tmp_path, audit(HOSTILE))
    assert "\x1b" not in text
    assert found.verdict == "PASS"
    assert f"noise on {HOSTILE}" in [gate.name for gate in found.gates]
