"""Small audits, and results written by hand."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from robustmm.auditing import cells, spec
from robustmm.auditing.plan import AuditPlan
from robustmm.auditing.results.condition import ConditionResult, Group, ModalityUnderCondition
from robustmm.auditing.results.schema import AuditResult, NoiseFloor
from robustmm.auditing.run import Audit
from robustmm.auditing.spec import Spec
from robustmm.conditions.condition import Condition, Noise
from robustmm.evaluation.attack import proportion
from robustmm.evaluation.attack_result import Change, Estimate
from robustmm.workers.processes import WorkerPool

NOTHING = Estimate(value=float("nan"), low=float("nan"), high=float("nan"))
FLOOR = NoiseFloor(samples=10, repeats=3, probability_difference=0.0, answers_changed=0.0)

SERIES = Condition("gaussian 1 on series", (Noise("gaussian", 1.0, ("series",)),))
VECTOR = Condition("blank 1 on vector", (Noise("blank", 1.0, ("vector",)),))
RATE = Condition("missing 0.5", (), {"vector": 0.5, "series": 0.5})
THREE = (SERIES, VECTOR, RATE)

SUITE = """
[[grid]]
kind = ["series", "features"]
level = [0.2, 1.0]
noise = ["gaussian"]
[[grid]]
noise = ["swap-other-class"]
level = [0.4]
[[missing]]
rate = [0.3, 0.6]
[[missing]]
rate = [0.3]
fill = "stale"
burst = 3
"""
"""A suite with a condition of every sort that takes a path of its own."""


@contextmanager
def silent(title: str, total: int) -> Iterator[Callable[[int], None]]:
    yield lambda steps: None


def forget() -> None:
    """As in another process: nothing is opened yet."""
    spec.open_files.cache_clear()
    cells._CURRENT.clear()


def made(
    asked: Spec, folder: Path, conditions: Sequence[Condition] = THREE, workers: int = 1, **plans: Any
) -> AuditResult:
    """An audit by a process that knows of no other."""
    forget()
    return Audit(asked, AuditPlan("small", tuple(conditions), **plans), folder, WorkerPool(workers), silent).run()


def estimate(value: float, half: float = 0.1) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half)


def modality(name: str = "a", share: float = 0.5) -> ModalityUnderCondition:
    return ModalityUnderCondition(
        name=name, noises=[], snr=None, cal_weight=share, present=1, unimodal_accuracy=NOTHING, leave_one_out=NOTHING,
        shapley_accuracy=NOTHING, shapley_accuracy_share=estimate(share), shapley_log_probability=NOTHING,
        shapley_log_probability_share=estimate(share), spoils=NOTHING,
    )  # fmt: skip


def group(value: str, right: int, n: int, column: str = "label") -> Group:
    return Group(
        column=column, value=value, samples=n, clusters=None, accuracy=proportion(right, n), contributions=[0.5, 0.5],
        change=Change(value=0, low=0, high=0, p=1), retention=estimate(1.0, 0.0),
    )  # fmt: skip


def outcome(name: str = "clean", right: int = 80, n: int = 100, **more: Any) -> ConditionResult:
    """One condition's result; its change is against 80 of 100."""
    change = Change(value=right / n - 0.8, low=right / n - 0.9, high=right / n - 0.7, p=more.pop("p", 1.0))
    fields: dict[str, Any] = {
        "name": name, "sha256": name, "missing": {}, "fill": "masked",
        "accuracy": proportion(right, n), "change": change,
        "adjusted_p": change.p, "effect": "none", "minimum_detectable_effect": 0.1,
        "retention": Estimate(value=right / n / 0.8, low=right / n / 0.9, high=right / n / 0.7), "outcome": "holds",
        "samples_to_decide": float("nan"), "macro_f1": estimate(right / n), "auroc": None, "nll": estimate(0.5),
        "calibration": [],
        "design_effect": float("nan"), "nll_change": change, "ece": 0.1,
        "brier": 0.2, "aurc": 0.1, "flip_rate": proportion(0, n),
        "unchanged": 0, "efficiency_residual": 0.0, "modalities": [modality("a"), modality("b")], "interactions": [],
        "emap": None, "best_unimodal": None, "evenness": 0.9, "groups": [group("ant", right // 2, n // 2)],
    }  # fmt: skip
    return ConditionResult(**fields | more)


def result(clean: ConditionResult, conditions: Sequence[ConditionResult] = (), **more: Any) -> AuditResult:
    runtime = {
        "robustmm": "0", "onnxruntime": "1", "provider": "cpu", "graph_optimisation": "ORT_ENABLE_ALL", "threads": 1,
        "encoders": ["a", "b"],
    }  # fmt: skip
    fields: dict[str, Any] = {
        "verdict": None, "gates": [], "gates_sha256": "", "clusters": None, "subsets": [],
        "model": "m.onnx", "model_sha256": "", "description": "", "description_sha256": "", "method": "joint",
        "prior": "model", "notes": [], "manifest": "data.csv", "data_sha256": "d",
        "split": "test", "samples": 100, "classes": ["ant", "bee"], "seed": 0, "suite": "s", "suite_sha256": "",
        "baseline": "masked", "exact": True, "retention_threshold": 0.9, "runtime": runtime, "noise_floor": FLOOR,
        "clean": clean, "conditions": list(conditions), "breaking_levels": [], "mean_retention": float("nan"),
        "missing_rates": [], "contribution_shifts": [], "worst_condition": "", "worst_group": None,
        "worst_group_condition": "", "searches": [], "reference": None, "bad_inputs": [],
    }  # fmt: skip
    return AuditResult(**fields | more)
