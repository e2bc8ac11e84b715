"""A suite: one TOML that names conditions. Its form is checked whole; modalities when it meets a model."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from robustmm.corruptions import kinds
from robustmm.errors import UsageError
from robustmm.evaluate import Condition, Noise
from robustmm.toml import Section, parsed, sentence

Rate = Annotated[float, Field(ge=0, le=1)]


class NoiseTable(Section):
    name: str
    level: Annotated[float, Field(ge=0, le=1)]
    on: tuple[str, ...] = ()


class ConditionTable(Section):
    """`missing` holds rates by modality; the key "*" stands for every modality not named."""

    name: str
    noise: tuple[NoiseTable, ...] = ()
    missing: dict[str, Rate] = {}


class Suite(Section):
    condition: tuple[ConditionTable, ...]

    def conditions(self, modalities: list[str]) -> list[Condition]:
        """The conditions on a model with these modalities."""
        return [
            Condition(
                table.name,
                tuple(Noise(n.name, n.level, n.on) for n in table.noise),
                {m: table.missing.get(m, table.missing.get("*", 0.0)) for m in modalities} if table.missing else {},
            )
            for table in self.condition
        ]


def load(path: Path) -> Suite:
    """The suite at `path`. Raises UsageError with every error found."""
    content: dict[str, Any] = parsed(path)
    try:
        suite = Suite.model_validate(content)
    except ValidationError as error:
        raise UsageError("\n".join(f"{path}: {sentence(item, Suite, '', 0)}" for item in error.errors())) from error
    errors = [] if suite.condition else ["[[condition]] should be given at least once, found none"]
    names = [table.name for table in suite.condition]
    errors += [f'two conditions are called "{name}"' for name in sorted({n for n in names if names.count(n) > 1})]
    for table in suite.condition:
        for noise in table.noise:
            try:
                kinds(noise.name)
            except UsageError as error:
                errors.append(f'condition "{table.name}": {error}')
    if errors:
        raise UsageError("\n".join(f"{path}: {error}" for error in errors))
    return suite
