"""A gate as a sentence."""

from robustmm.conditions.gate import GateTable, Requirement

BOUNDS = {
    "min": "at least {}",
    "max": "at most {}",
    "max_drop": "at most {} worse than clean",
    "max_relative_drop": "at most {} worse than clean",
    "baseline": "at most {} worse than in the baseline",
}


def describe_requirement(gate: GateTable) -> str:
    """What is asked: `accuracy at least 90 % under clean, each speaker`."""
    metric = f"{gate.metric} of {'each modality' if gate.of == '*' else gate.of}" if gate.of else gate.metric
    bound = format_amount(gate.metric, gate.requirement, gate.bound)
    asked = f"{metric} {BOUNDS[gate.requirement].format(bound)} {_describe_conditions(gate)}"
    for column, value in gate.group.items():
        asked += f", each {column}" if value == "*" else f", {column} {value}"
    return asked


def format_amount(metric: str, required: Requirement, value: float, digits: int | None = None) -> str:
    """A value or a bound in its unit: points for differences, % for shares, a plain number for NLL and ECE. As short as
    it may be, or with some digits."""
    if metric in ("nll", "ece") and required != "max_relative_drop":
        return f"{value:g}" if digits is None else f"{value:.{digits + 2}f}"
    differs = metric == "drop" or required in ("max_drop", "baseline")
    amount = f"{100 * value:g}" if digits is None else f"{100 * value:.{digits}f}"
    return f"{amount} {'points' if differs else '%'}"


def _describe_conditions(gate: GateTable) -> str:
    said = []
    if gate.condition:
        said.append("any condition" if gate.condition == ("*",) else " or ".join(gate.condition))
    if gate.noise or gate.modality or gate.level or gate.strength:
        said.append(" or ".join(gate.noise) or "any noise")
    if gate.modality:
        said.append(f"on {' and '.join(gate.modality)}")
    for key, ends in (("level", gate.level), ("strength", gate.strength)):
        if ends:
            said.append(f"at {key} {ends[0]:g}" + (f" to {ends[1]:g}" if ends[1] != ends[0] else ""))
    if gate.missing:
        said.append(f"{'with' if said else 'where'} {' and '.join(gate.missing)} missing")
    together = " ".join(said)
    return together if together.startswith("where") else f"under {together}"
