"""What an epoch does to the samples of the training split: they are augmented, then corrupted, then fed."""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from robustmm.config.inputs import Corrupt
from robustmm.config.recipe import Recipe
from robustmm.data.storage.split import Split
from robustmm.modalities import Modality
from robustmm.training.changes.augmentation import TrainingAugmentation, split_chance
from robustmm.training.changes.noise import TrainingNoise


class Changes:
    """The changes of the training split: `apply` makes them in a batch. The modalities that they reach are those that
    `find_changed` names, whose canonical signals the split holds."""

    def __init__(
        self, split: Split, modalities: Sequence[Modality], augmentation: TrainingAugmentation, noise: TrainingNoise
    ) -> None:
        self.ids, self.signals = split.ids, split.signals
        self.modalities = [m for m in modalities if m.name in augmentation.choices or m.name in noise.choices]
        self.augmentation, self.noise = augmentation, noise

    def apply(self, inputs: Mapping[str, NDArray[Any]], rows: Sequence[int], epoch: int) -> None:
        """Changes a batch in place: `inputs` by modality (batch, *shape) are the arrays of these rows of the split."""
        for modality in self.modalities:
            signals, fed = self.signals[modality.name], inputs[modality.name]
            for place, row in enumerate(rows):
                signal = signals[row]
                if signal is None:
                    continue
                changed = self.augmentation.augment(signal, self.ids[row], modality, epoch)
                changed = self.noise.corrupt(changed, self.ids[row], modality, epoch)
                if changed is not signal:
                    fed[place] = modality.feed(changed)


def find_changed(recipe: Recipe) -> list[str]:
    """The modalities that an effective recipe changes in training."""
    augmented = [m for m, table in recipe.augment.items() if any(split_chance(entry)[0] for entry in table.values())]
    corrupted = recipe.corrupt.on if recipe.corrupt and recipe.corrupt.probability else ()
    return [name for name in recipe.modality if name in augmented or name in corrupted]


def build_changes(recipe: Recipe, modalities: Sequence[Modality], split: Split) -> Changes | None:
    """The changes that an effective recipe asks for; None where it asks for none. `modalities` are fitted."""
    if not find_changed(recipe):
        return None
    seed = recipe.train.seed
    noise = recipe.corrupt if recipe.corrupt and recipe.corrupt.probability else Corrupt()
    augmentation = TrainingAugmentation(recipe.augment, modalities, seed)
    return Changes(split, modalities, augmentation, TrainingNoise(noise, modalities, seed))
