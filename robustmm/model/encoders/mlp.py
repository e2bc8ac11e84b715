"""`mlp`: two linear layers, for inputs without neighbours or small enough to be flattened."""

from math import prod

from torch import Tensor, nn

from robustmm.config.options import Positives, Rate
from robustmm.modalities import Features, Image, Series
from robustmm.model.encoders.base import Encoder, Standardise, normalise_pixels


class MLP(Encoder):
    """Flatten, then linear, LayerNorm, ReLU, dropout for each of `layers`."""

    def __init__(
        self, modality: Features | Series | Image, *, layers: Positives = (256, 128), dropout: Rate = 0.1
    ) -> None:
        super().__init__()
        self.standardise = None if isinstance(modality, Image) else Standardise(modality.mean, modality.std)
        inputs, blocks = prod(modality.shape), list[nn.Module]()
        for outputs in layers:
            blocks += [nn.Linear(inputs, outputs), nn.LayerNorm(outputs), nn.ReLU(), nn.Dropout(dropout)]
            inputs = outputs
        self.layers = nn.Sequential(*blocks)
        self.width = layers[-1]

    def forward(self, x: Tensor) -> Tensor:
        x = normalise_pixels(x) if self.standardise is None else self.standardise(x)
        encoded: Tensor = self.layers(x.flatten(1))
        return encoded


MLPS = {"features": MLP, "series": MLP, "image": MLP}
