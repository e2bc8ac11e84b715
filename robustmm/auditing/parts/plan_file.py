"""The file of an audit's plan: what is asked, by hashes too, every condition, and what each task costs. Any machine
that has the same model and data makes any part of it."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from robustmm.auditing.parts.costs import Costs
from robustmm.auditing.parts.divide import Part, divide_tasks, list_tasks
from robustmm.auditing.plan import CLEAN
from robustmm.auditing.results.schema import Runtime
from robustmm.auditing.spec import Stamp, hash_content
from robustmm.conditions.condition import Condition
from robustmm.conditions.tables import SearchTable
from robustmm.data.loading import OnBad
from robustmm.errors import DataError, UsageError, check_regular
from robustmm.evaluation.subsets import Baseline
from robustmm.version import __version__

PLAN = "plan.json"
"""The copy of its plan in a folder of parts."""
MOST_PARTS = 100_000


class Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Question(Form):
    """What is asked, as `audit` takes it; paths are as they were given."""

    model: str
    data: str
    inside: bool
    describe: str | None
    split: str
    limit: int | None
    seed: int
    on_bad: OnBad
    baseline: Baseline
    provider: str
    threads: int
    suite: str
    suite_name: str
    suite_text: str
    groups: tuple[str, ...]
    cluster: str
    gates: str | None
    gates_text: str
    share: float
    reference: str | None


class Hashes(Form):
    """SHA-256 of what a part has to find on its machine."""

    model: str
    manifest: str
    description: str
    fitted: str
    media: str


class PlanFile(Form):
    """A plan of an audit's work. `digest` and `stamps` name its cells on every machine."""

    format: Literal[1] = 1
    question: Question
    runtime: Runtime
    libraries: dict[str, str]
    hashes: Hashes
    digest: str
    stamps: tuple[Stamp, ...]
    conditions: tuple[Condition, ...]
    searches: tuple[SearchTable, ...]
    chunks: tuple[int, ...] = Field(description="samples of each chunk")
    batch: int | None
    costs: Costs

    def to_bytes(self) -> bytes:
        """The file: its last key is a checksum of all others."""
        content = self.model_dump(mode="json")
        return (json.dumps(content | {"sha256": hash_content(content)}, indent=1) + "\n").encode()

    def divide(self, parts: int) -> list[Part]:
        return divide_tasks(self.costs, self.chunks, list_tasks(self.costs, self.chunks), parts)

    @property
    def all_conditions(self) -> list[Condition]:
        """The clean condition and the suite's."""
        return [CLEAN, *self.conditions]

    @property
    def identity(self) -> dict[str, Any]:
        """All that plans of one audit share: they may have measured other costs."""
        return self.model_dump(mode="json", exclude={"costs", "batch"})


def read_plan(path: Path) -> PlanFile:
    """Raises DataError for a file that is not there, is of another version, or is not as `--plan` wrote it."""
    check_regular(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"the plan {path} cannot be read: {error.strerror}; make one with: --plan {path}") from error
    try:
        found = json.loads(content)
        version = found["runtime"]["robustmm"]
        del found["sha256"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(f"{path} is not as audit --plan writes it; make it again") from error
    if version != __version__:
        raise DataError(f"{path} is of robustmm {version}, and this is {__version__}; all parts take the same version")
    try:
        plan = PlanFile.model_validate(found)
        if plan.to_bytes() == content:
            return plan
    except (ValidationError, ValueError):
        pass
    raise DataError(f"{path} is not as audit --plan wrote it: it was damaged or changed; make it again")


def parse_part(text: str) -> tuple[int, int]:
    """The number of a part, from 1, and how many there are: `3/40`. Raises UsageError for anything else."""
    number, slash, parts = text.partition("/")
    if not (slash and number.isdecimal() and parts.isdecimal() and text.isascii()) or len(text) > 20:
        raise UsageError(f'a part should be written as 3/40, the third of forty, found "{text}"')
    if not 1 <= int(parts) <= MOST_PARTS:
        raise UsageError(f"there should be 1 to {MOST_PARTS:,} parts, found {parts}")
    if not 1 <= int(number) <= int(parts):
        counted = "; parts are counted from 1" if number == "0" else ""
        raise UsageError(f"a part of {parts} should be one of 1/{parts} to {parts}/{parts}, found {text}{counted}")
    return int(number), int(parts)


def find_difference(plan: PlanFile, other: PlanFile) -> str:
    """What two plans of different audits differ in: `seed (3 and 0)`; empty for plans of one audit."""
    one, two = plan.identity, other.identity
    for group in ("question", "runtime", "libraries", "hashes"):
        for key, value in one[group].items():
            if value != (found := two[group].get(key)):
                shown = group != "hashes" and max(len(str(value)), len(str(found))) <= 60
                return f"{key} ({value} and {found})" if shown else f"{key}"
    return next((key for key in one if one[key] != two[key]), "")
