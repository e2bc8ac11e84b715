"""Augmentation: what happens to a training sample in an epoch, drawn by (seed, epoch, id, modality)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from robustmm.augmentations import Augmentation, find_augmentation
from robustmm.config.inputs import Augment
from robustmm.config.recipe import Recipe
from robustmm.corruptions import generator
from robustmm.errors import UsageError
from robustmm.modalities import Audio, Modality, Signal


def effective_augmentation(recipe: Recipe) -> Augment:
    """The recipe's [augment] with every option of every augmentation. Raises UsageError with every error found."""
    found: Augment = {}
    errors: list[str] = []
    for modality in recipe.modalities:
        for name, entry in recipe.augment.get(modality.name, {}).items():
            probability, options = split_chance(entry)
            try:
                known = find_augmentation(name, modality.kind).options(options)
            except UsageError as error:
                errors.append(f"[augment.{modality.name}] {error}")
            else:
                found.setdefault(modality.name, {})[name] = {"probability": probability, **known}
    if errors:
        raise UsageError("\n".join(errors))
    return found


def split_chance(entry: float | Mapping[str, Any]) -> tuple[float, dict[str, Any]]:
    """The probability of an augmentation, and its options."""
    if isinstance(entry, Mapping):
        options = dict(entry)
        return float(options.pop("probability")), options
    return float(entry), {}


class Choice(NamedTuple):
    """An augmentation of a modality, and how often it happens."""

    name: str
    probability: float
    augmentation: Augmentation


class TrainingAugmentation:
    """The augmentations of the training split. Those of a modality are made in the order of their names, so that a
    recipe means the same however its tables are written."""

    def __init__(self, tables: Augment, modalities: Sequence[Modality], seed: int) -> None:
        self.seed = seed
        self.choices: dict[str, list[Choice]] = {}
        for modality in modalities:
            for name, entry in sorted(tables.get(modality.name, {}).items()):
                probability, options = split_chance(entry)
                if probability:
                    chosen = find_augmentation(name, modality.kind).with_options(options)
                    self.choices.setdefault(modality.name, []).append(Choice(name, probability, chosen))

    def augment(self, signal: Signal, sample: str, modality: Modality, epoch: int) -> Signal:
        """A sample's signal of a modality as this epoch has it; itself where nothing happens to it. Each augmentation
        draws from a generator of its own, so that one more changes nothing about the others."""
        if modality.name not in self.choices:
            return signal
        facts: dict[str, Any] = {key: getattr(modality, key, None) or None for key in ("mean", "std")}
        if isinstance(modality, Audio):
            facts["rate"] = modality.rate
        for name, probability, augmentation in self.choices[modality.name]:
            rng = generator(self.seed, sample, modality.name, f"augmentation {name} epoch {epoch}")
            if rng.random() < probability:
                signal = augmentation(signal, rng, modality.kind, **facts)
        return signal
