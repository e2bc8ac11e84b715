"""What training does to its samples: the tables [augment] and [corrupt] of a recipe."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from robustmm.config.toml import Section
from robustmm.errors import suggest

Share = Annotated[float, Field(ge=0, le=1)]


def check_chance(entry: Any) -> Any:
    probability = entry.get("probability") if isinstance(entry, Mapping) else entry
    if isinstance(probability, (int, float)) and not isinstance(probability, bool) and 0 <= probability <= 1:
        return entry
    raise PydanticCustomError("chance", "should be a probability from 0 to 1, or a table with a probability")


Chance = Annotated[float | dict[str, Any], BeforeValidator(check_chance)]
"""How often an augmentation happens, or a table of that and its options: `{probability = 0.8, scale = [0.5, 1.0]}`."""
Augment = dict[str, dict[str, Chance]]
"""By modality, then by augmentation."""


def check_order(levels: tuple[float, float]) -> tuple[float, float]:
    if levels[0] > levels[1]:
        raise PydanticCustomError("order", "should be two levels, the lower one first")
    return levels


def check_noise(noise: Any) -> Any:
    for names in noise.values() if isinstance(noise, Mapping) else (noise,):
        if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
            raise PydanticCustomError("noise", "should be a list of names, or a table of one for each modality")
    return noise


class Corrupt(Section):
    """Training with noise: in every epoch each modality of each training sample is corrupted anew, with `probability`,
    by one of the corruptions `noise`, its level between those of `level`.

    `noise` names corruptions or their families: a list for all modalities, each of which draws from those that serve
    it (all of the catalogue where none is named), or a table with a list for each modality.
    """

    noise: Annotated[tuple[str, ...] | dict[str, tuple[str, ...]], BeforeValidator(check_noise)] = ()
    probability: Share = 0.5
    level: Annotated[tuple[Share, Share], AfterValidator(check_order)] = (0.0, 1.0)
    on: tuple[str, ...] = ()


def find_unknown_modalities(augment: Augment, corrupt: Corrupt | None, modalities: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for every name in the two tables that no modality has."""
    named = [("[augment]", name) for name in augment]
    if corrupt is not None:
        named += [("[corrupt] on", name) for name in corrupt.on]
        named += [("[corrupt] noise", name) for name in corrupt.noise if isinstance(corrupt.noise, Mapping)]
    for place, name in named:
        if name not in modalities:
            yield f'{place} names "{name}"{suggest(name, modalities)}'
