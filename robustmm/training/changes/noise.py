"""Training with noise: what happens to a training sample in an epoch, drawn by (seed, epoch, id, modality)."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from robustmm.conditions.condition import build_corruption, corrupt_signal
from robustmm.config.inputs import Corrupt
from robustmm.config.recipe import Recipe
from robustmm.corruptions import KINDS, Corruption, canonical_name, generator, kinds, list_families, names, pairs
from robustmm.errors import UsageError, suggest
from robustmm.methods import Method
from robustmm.modalities import Modality, Signal

Noise: TypeAlias = tuple[str, ...] | dict[str, tuple[str, ...]]
"""Corruptions for all modalities that they serve, or for each."""


def effective_noise(recipe: Recipe, method: Method) -> Corrupt | None:
    """The recipe's [corrupt], its keys over those that the method asks for, with every corruption and every modality
    named; None where nothing asks for noise. Raises UsageError for what cannot be corrupted so."""
    if recipe.corrupt is None and method.corrupt is None:
        return None
    given = recipe.corrupt.model_dump(exclude_unset=True) if recipe.corrupt else {}
    table = Corrupt.model_validate({**(method.corrupt or {}), **given})
    within = [m for m in recipe.modalities if m.name in table.on or not table.on]
    noise = name_corruptions(table.noise, within)
    served = [m.name for m in within if list_choices(noise, m)]
    for name in table.on:
        if name not in served:
            asked = "the tables" if isinstance(table.noise, Mapping) else ", ".join(table.noise)
            raise UsageError(f'[corrupt] on: none of {asked} serves the modality "{name}"')
    return table.model_copy(update={"noise": noise, "on": tuple(served)})


def name_corruptions(noise: Noise, modalities: Sequence[Modality]) -> Noise:
    """The noise with every corruption named. Where families are among them each modality has its own list, since a
    family is other corruptions on another kind."""
    by_name = {m.name: m for m in modalities}
    lists = noise if isinstance(noise, Mapping) else dict.fromkeys(by_name, noise)
    for owner, asked in lists.items():
        if owner not in by_name:
            raise UsageError(f'[corrupt] noise names "{owner}", which on leaves out')
        for name in asked:
            check_name(name, [by_name[owner]] if isinstance(noise, Mapping) else modalities)
    if isinstance(noise, Mapping) or any(map(is_family, noise)):
        found = {owner: expand_families(asked, by_name[owner]) for owner, asked in lists.items()}
        return {owner: chosen for owner, chosen in found.items() if chosen}
    chosen = map(canonical_name, noise) if noise else names()
    return tuple(dict.fromkeys(n for n in chosen if noise or any(m.kind in kinds(n) for m in modalities)))


def expand_families(asked: Sequence[str], modality: Modality) -> tuple[str, ...]:
    """The corruptions that these names of corruptions and families are on a modality; all that serve it for none."""
    families = list_families(modality.kind)
    parts = (families.get(name, []) if is_family(name) else [canonical_name(name)] for name in asked or names())
    return tuple(dict.fromkeys(n for part in parts for n in part if modality.kind in kinds(n)))


def is_family(name: str) -> bool:
    return bool(family_kinds(name)) and canonical_name(name) not in names()


def family_kinds(name: str) -> list[str]:
    """The kinds on which there is a family of this name."""
    return [kind for kind in KINDS if name in list_families(kind)]


def list_choices(noise: Noise, modality: Modality) -> list[str]:
    """The corruptions that a modality draws from."""
    own = noise.get(modality.name, ()) if isinstance(noise, Mapping) else noise
    return [name for name in own if modality.kind in kinds(name)]


def check_name(name: str, modalities: Sequence[Modality]) -> None:
    """Raises UsageError for a corruption or a family that training cannot use on any of these modalities."""
    if pairs.is_sample_corruption(name):
        raise UsageError(f'[corrupt] noise: "{name}" is a fault of whole samples; training takes those of one modality')
    if ":" not in name and canonical_name(name) not in names() and not is_family(name):
        known = [*names(), *(family for kind in KINDS for family in list_families(kind))]
        raise UsageError(f'[corrupt] noise: "{name}" is not a corruption{suggest(name, known)}')
    try:
        serves = family_kinds(name) if is_family(name) else kinds(name)
    except UsageError as error:
        raise UsageError(f"[corrupt] noise: {error}") from error
    if not any(m.kind in serves for m in modalities):
        found = ", ".join(f"{m.name} ({m.kind})" for m in modalities)
        raise UsageError(f'[corrupt] noise: "{name}" serves {", ".join(serves)}; there is {found}')


class Draw(NamedTuple):
    """What happens to one modality of one sample in one epoch; `seed` is of the noise itself."""

    corruption: Corruption
    level: float
    seed: int


class TrainingNoise:
    """The corruptions of the training split. Raises UsageError for a modality without a unit of noise."""

    def __init__(self, table: Corrupt, modalities: Sequence[Modality], seed: int) -> None:
        self.table, self.seed = table, seed
        self.choices = {
            m.name: [build_corruption(name, m, {}) for name in list_choices(table.noise, m)]
            for m in modalities
            if m.name in table.on
        }

    def draw(self, epoch: int, sample: str, modality: str) -> Draw | None:
        """None where this sample keeps this modality as it is. The same draws whatever the batches and their order."""
        if modality not in self.choices:
            return None
        rng = generator(self.seed, sample, modality, f"training epoch {epoch}")
        happens, which, height = rng.random(3)
        if happens >= self.table.probability:
            return None
        choices, (low, high) = self.choices[modality], self.table.level
        chosen = choices[int(which * len(choices))]
        return Draw(chosen, low + (high - low) * height, int(rng.integers(2**63)))

    def corrupt(self, signal: Signal, sample: str, modality: Modality, epoch: int) -> Signal:
        """A sample's signal of a modality as this epoch has it; itself where nothing happens to it."""
        drawn = self.draw(epoch, sample, modality.name)
        if drawn is None:
            return signal
        return corrupt_signal(signal, drawn.corruption, drawn.level, drawn.seed, sample, modality)
