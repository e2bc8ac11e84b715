"""A gate: what a number of an audit has to be for the model to pass. Gates stand in a suite, or in a file of their own.

A gate has a metric, selectors of the conditions and groups that it is held against, and one requirement.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field

from robustmm.config.toml import Section, load_tables
from robustmm.config.toml_lines import find_line
from robustmm.errors import UsageError

Metric = Literal["accuracy", "macro-f1", "auroc", "nll", "ece", "retention", "share", "drop"]
HIGHER_IS_BETTER = ("accuracy", "macro-f1", "auroc", "retention")
"""Metrics that are held against a `min`. The others are held against a `max`; a share has either."""
OF_GROUPS = ("accuracy", "retention", "drop")
"""Metrics that groups have."""
AGAINST_CLEAN = ("retention", "drop")
"""Metrics that compare with clean by themselves."""
Requirement = Literal["min", "max", "max_drop", "max_relative_drop", "baseline"]
REQUIREMENTS: tuple[Requirement, ...] = get_args(Requirement)
SELECTORS = ("condition", "noise", "modality", "level", "strength", "missing")

Bound = Annotated[float, Field(ge=0)]
Names = Annotated[tuple[str, ...], BeforeValidator(lambda given: (given,) if isinstance(given, str) else given)]
Range = Annotated[
    tuple[float, float],
    BeforeValidator(lambda given: (given, given) if isinstance(given, (int, float)) else given),
]
"""A number, or the lowest and the highest that are meant."""


class GateTable(Section):
    """One gate. `min` and `max` are of the metric itself; `max_drop` is how much worse than clean it may be, in the
    metric's own unit (0.05 is 5 points of accuracy), `max_relative_drop` as a share of the clean value; `baseline`
    names another audit's results.json, and `margin` is how much worse than there it may be."""

    name: Annotated[str, Field(min_length=1)]
    metric: Metric
    of: str = ""
    """The modality whose share is meant; "*" each."""

    condition: Names = ()
    """Names; a * stands for any characters."""
    noise: Names = ()
    modality: Names = ()
    """What is corrupted."""
    level: Range | None = None
    strength: Range | None = None
    """As `level`, in the corruption's own unit."""
    missing: Names = ()
    """What is missing, and nothing else."""
    group: Annotated[dict[str, str], Field(max_length=1)] = {}
    """A column and its value; "*" each value."""

    min: Bound | None = None
    max: Bound | None = None
    max_drop: Bound | None = None
    max_relative_drop: Bound | None = None
    baseline: str = ""
    margin: Bound | None = None

    on: Literal["interval", "point"] = "interval"
    min_n: Annotated[int, Field(ge=1)] = 1

    @property
    def requirement(self) -> Requirement:
        """The requirement that is given: one of REQUIREMENTS."""
        return next(name for name in REQUIREMENTS if self.has(name))

    @property
    def bound(self) -> float:
        """The number that is required."""
        found: float = getattr(self, "margin" if self.baseline else self.requirement)
        return found

    @property
    def upward(self) -> bool:
        """Whether what is judged has to be the bound or more."""
        return self.min is not None

    @property
    def relative(self) -> bool:
        """Whether clean is what a condition is compared with."""
        return self.metric in AGAINST_CLEAN or self.requirement in ("max_drop", "max_relative_drop")

    @property
    def by_point(self) -> bool:
        """Whether the value is judged and not its interval; the ECE has none."""
        return self.on == "point" or self.metric == "ece"

    def has(self, key: str) -> bool:
        return getattr(self, key) not in (None, "", (), {})


class GateFile(Section):
    gate: tuple[GateTable, ...] = ()


def load_gates(path: Path) -> tuple[GateTable, ...]:
    """The gates at `path`. Raises UsageError with every error found, each with its line."""
    source, found = load_tables(path, GateFile)
    errors = [f"{path}:{find_line(source, place)}: {error}" for place, error in check_gates(found.gate)]
    if not found.gate:
        errors.append(f"{path}: there should be at least one [[gate]], found none")
    if errors:
        raise UsageError("\n".join(errors))
    return found.gate


def check_gates(gates: Sequence[GateTable]) -> list[tuple[tuple[str | int, ...], str]]:
    """The errors of gates in themselves, each with its place in the file."""
    names = [gate.name for gate in gates]
    found: list[tuple[tuple[str | int, ...], str]] = []
    for i, gate in enumerate(gates):
        wrongs = [("name", "is the name of another gate too")] if gate.name in names[:i] else []
        wrongs += _check_selectors(gate) + _check_requirement(gate)
        found += [(("gate", i, key), f'gate "{gate.name}": {key} {wrong}') for key, wrong in wrongs]
    return found


def _check_selectors(gate: GateTable) -> list[tuple[str, str]]:
    wrongs = []
    if not any(gate.has(key) for key in SELECTORS):
        wrongs.append(("metric", f'goes with one of {", ".join(SELECTORS)}, found none; for all: condition = "*"'))
    if gate.metric == "share" and not gate.of:
        wrongs.append(("metric", 'is a share: of = the modality that is meant is missing; for each: of = "*"'))
    if gate.metric != "share" and gate.of:
        wrongs.append(("of", f"goes with the metric share, found {gate.metric}"))
    if gate.strength and len(gate.noise) != 1:
        wrongs.append(("strength", f"is in the unit of one noise, found {len(gate.noise)}"))
    for key in ("level", "strength"):
        ends = getattr(gate, key)
        if ends and ends[0] > ends[1]:
            wrongs.append((key, f"should be [lowest, highest], found [{ends[0]:g}, {ends[1]:g}]"))
    if gate.group and gate.metric not in OF_GROUPS:
        wrongs.append(("group", f"goes with the metrics {', '.join(OF_GROUPS)}, found {gate.metric}"))
    return wrongs


def _check_requirement(gate: GateTable) -> list[tuple[str, str]]:
    given = [name for name in REQUIREMENTS if gate.has(name)]
    if len(given) != 1:
        many = " and ".join(given) if given else "none"
        return [("metric", f"goes with exactly one of {', '.join(REQUIREMENTS)}, found {many}")]
    (name,) = given
    wrongs: list[tuple[str, str]] = []
    higher = gate.metric in HIGHER_IS_BETTER
    if (name == "max" and higher) or (name == "min" and not higher and gate.metric != "share"):
        right = "high, and takes a min" if higher else "low, and takes a max"
        wrongs.append((name, f"does not fit: {gate.metric} is better {right}"))
    if name in ("max_drop", "max_relative_drop") and gate.metric in AGAINST_CLEAN:
        wrongs.append((name, f"does not fit: {gate.metric} is against clean by itself"))
    if (gate.margin is None) == (name == "baseline"):
        wrongs.append(("margin", "goes with a baseline") if gate.margin is not None else (name, "goes with a margin"))
    at = "margin" if gate.margin is not None else name
    share = name == "max_relative_drop" or gate.metric != "nll"
    if share and (name != "baseline" or gate.margin is not None) and gate.bound > 1:
        wrongs.append((at, f"should be at most 1, found {gate.bound:g}; 5 points, or 5 %, are 0.05"))
    return wrongs
