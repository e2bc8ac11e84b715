"""Frozen encoders: weights and statistics stay as they are, and the encoder runs as in evaluation."""

from collections.abc import Iterator, Mapping

from torch import nn

from robustmm.config.tuning import Tuning
from robustmm.model.fusion_model import FusionModel


def list_tuned(model: FusionModel, tuning: Mapping[str, Tuning]) -> Iterator[tuple[nn.Module, Tuning]]:
    """What each modality's keys hold for: the encoder's backbone where it has one, else the encoder."""
    for name in model.modalities:
        encoder = model.encoders[name]
        yield getattr(encoder, "backbone", encoder), tuning.get(name, Tuning())


class Freezing:
    """Freezes and unfreezes a model's encoders, epoch by epoch. What a library keeps fixed stays so when the rest is
    unfrozen. Encoders that stay frozen are so from the beginning, so that no optimiser is given their weights."""

    def __init__(self, model: FusionModel, tuning: Mapping[str, Tuning]) -> None:
        self.parts = [
            (part, keys, [p for p in part.parameters() if p.requires_grad])
            for part, keys in list_tuned(model, tuning)
            if keys.freeze
        ]
        for part, keys, _ in self.parts:
            if keys.unfreeze is None:
                part.requires_grad_(False)

    def begin_epoch(self, epoch: int) -> None:
        """Sets what learns in an epoch, counted from 0; called when the model is in training mode."""
        for part, keys, weights in self.parts:
            frozen = keys.is_frozen(epoch)
            part.train(not frozen)
            for weight in weights:
                weight.requires_grad_(not frozen)
