"""Gates, thresholds and whole audits written by hand, of any size and with any names."""

from typing import Any

from audits import NOTHING, estimate, group, modality, outcome, result

from robustmm.auditing.results.condition import BestUnimodal, Interaction
from robustmm.auditing.results.schema import AuditResult, BreakingLevel, Clusters
from robustmm.auditing.results.verdict import GateResult, Verdict
from robustmm.evaluation.attack_result import Change

NAN = float("nan")
HOSTILE = (
    "[/red]\x1b[31m\r\n|`x`| <script>alert(1)</script> & <!-- --> ]]> ![a](http://b.c) @you #1 www.a.b $x$ *e* ~~s~~ "
    "\u202e\u2028\x00\ud800 \ufffe é 🎈 </details> " + "w" * 90
)
"""What a terminal, Markdown, HTML, XML and a forge would obey."""


def gate(verdict: Verdict, name: str = "", **more: Any) -> GateResult:
    fields: dict[str, Any] = {
        "name": name or verdict.lower(), "metric": "accuracy", "required": "min",
        "requirement": "accuracy at least 90 % under rain", "verdict": verdict, "judged_on": "interval",
        "condition": "rain", "part": "", "value": estimate(0.8), "bound": 0.9, "baseline_sha256": "", "samples": 100,
        "samples_to_decide": NAN, "reason": "so it is",
    }  # fmt: skip
    return GateResult.model_validate(fields | more)


def threshold(noise: str, state: str, level: float = 0.5, on: str = "a", **more: Any) -> BreakingLevel:
    """A corruption that holds, fails from `level`, or is undecided above it."""
    fields: dict[str, Any] = {
        "noise": noise, "modalities": [on], "points": [], "retention": 0.9, "outcome": state,
        "samples_to_decide": 1234.4 if state == "undecided" else NAN, "unit": "signal-to-noise ratio, dB",
        "holding_level": {"holds": 1.0, "fails": level - 0.1, "undecided": level}[state],
        "breaking_level": level if state == "fails" else NAN, "breaking_strength": 12.5 if state == "fails" else NAN,
    }  # fmt: skip
    return BreakingLevel(**fields | more)


def audit(
    conditions: int = 20, modalities: int = 2, name: str = "n", gates: tuple[GateResult, ...] = (), **more: Any
) -> AuditResult:
    """An audit with everything that a summary can show. Every stranger's word is or holds `name`."""
    names = [f"{name}{k}" for k in range(modalities)]
    some = [
        modality(m, 0.9 - k / 20).model_copy(update={"spoils": estimate(0.1), "unimodal_accuracy": estimate(0.7)})
        for k, m in enumerate(names)
    ]
    pairs = [
        Interaction(modalities=(names[0], other), value=estimate(0.1), needed=estimate(0.2 - k / 100))
        for k, other in enumerate(names[1:])
    ]
    beaten = BestUnimodal(
        modality=names[0], samples=90, accuracy=0.7, change=Change(value=-0.2, low=-0.3, high=-0.1, p=0.001),
        negative_transfer=True,
    )  # fmt: skip
    found = [
        outcome(f"{name} under {k}", 30 + k % 40, effect="drop", modalities=some, best_unimodal=beaten,
                outcome=("fails", "undecided", "holds")[k % 3])
        for k in range(conditions)
    ]  # fmt: skip
    clean = outcome(modalities=some, interactions=pairs, groups=[group(name, 5, 20), group("x", 9, 20, name)])
    verdict = min((g.verdict for g in gates), key=("FAIL", "INCONCLUSIVE", "PASS").index, default=None)
    return result(
        clean, found,
        **{
            "model": name, "method": name, "suite": name, "manifest": name, "split": name, "notes": [name, name],
            "gates": list(gates), "verdict": verdict, "bad_inputs": [name],
            "clusters": Clusters(column=name, number=20, smallest=1, largest=9),
            "breaking_levels": [
                threshold(f"{name}{k}", ("fails", "undecided", "holds")[k % 3], 0.2 + k % 7 / 10, names[0], unit=name)
                for k in range(conditions // 4)
            ],
            "worst_condition": found[0].name if found else "", "worst_group": clean.groups[0],
            "worst_group_condition": name, **more,
        },
    )  # fmt: skip


__all__ = ["HOSTILE", "NAN", "NOTHING", "audit", "gate", "threshold"]
