"""Gates in evidence: judged again, bound by hash, and named in what is signed."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from audits import forget
from evidence_world import follow, reason, rewrite, status

from robustmm.api.auditing import audit
from robustmm.api.verifying import verify

GATES = """\
[[gate]]
name = "clean"
metric = "accuracy"
condition = "clean"
min = {clean}
on = "point"
[[gate]]
name = "noisy"
metric = "accuracy"
noise = "gaussian"
min = {noisy}
on = "point"
"""


def gated(folder: Path, clean: float, noisy: float, **more: Any) -> str | None:
    forget()
    (folder / "gates.toml").write_text(GATES.format(clean=clean, noisy=noisy))
    found = audit(
        "model.onnx", data="manifest.csv", describe="theirs.toml", suite="suite.toml", out="a", by="site", workers=1,
        gates="gates.toml", **more,
    )  # fmt: skip
    return found.verdict


def read_predicate(folder: Path) -> dict[str, Any]:
    payload = json.loads((folder / "a/statement.dsse.json").read_text())["payload"]
    found: dict[str, Any] = json.loads(base64.b64decode(payload))["predicate"]
    return found


@pytest.mark.parametrize(
    ("bounds", "verdict", "result", "failed"),
    [((0.0, 0.0), "PASS", "PASSED", []), ((0.0, 1.0), "FAIL", "FAILED", ["noisy"])],
)
def test_a_verdict_is_verified_and_signed_for_what_it_is(
    here: Path, bounds: tuple[float, float], verdict: str, result: str, failed: list[str]
) -> None:
    assert gated(here, *bounds) == verdict
    found = verify("a", sign="ours.pem", rerun=0)
    assert found.verdict == "VERIFIED", found.checks
    assert status(found)["gates"] == "OK"
    assert found.audit_verdict == verdict
    predicate = read_predicate(here)
    assert predicate["result"] == result
    assert predicate["failedTests"] == failed
    assert sorted(predicate["passedTests"] + failed) == ["clean", "noisy"]


def test_a_fail_cannot_be_written_over(here: Path) -> None:
    assert gated(here, 0.0, 1.0) == "FAIL"
    rewrite(here / "a/results.json", lambda table: table.update(verdict="PASS"))
    follow(here / "a")
    found = verify("a", rerun=0)
    assert status(found)["numbers"] == "WRONG"
    assert (
        reason(found, "numbers")
        == "results.json says what its cells do not: verdict is 'PASS', and the cells give 'FAIL'"
    )


def test_nor_by_easier_gates(here: Path) -> None:
    assert gated(here, 0.0, 1.0) == "FAIL"
    rewrite(here / "a/audit.json", lambda table: table.update(gates=GATES.format(clean=0, noisy=0)))
    assert status(verify("a", rerun=0))["gates"] == "WRONG"


def test_gates_of_the_suite_need_no_file(here: Path) -> None:
    forget()
    suite = (here / "suite.toml").read_text() + GATES.format(clean=0, noisy=0)
    (here / "suite.toml").write_text(suite)
    audit("model.onnx", data="manifest.csv", describe="theirs.toml", suite="suite.toml", out="a", by="site", workers=1)
    (here / "a/statement.dsse.json").unlink(missing_ok=True)
    found = verify("a", rerun=0)
    assert found.verdict == "VERIFIED", found.checks
    assert found.audit_verdict == "PASS"
    assert "gates" not in status(found)
