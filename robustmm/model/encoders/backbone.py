"""What the Hugging Face encoders share: the backbone, its pooling, and inputs of the size it asks for."""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustmm.errors import UsageError
from robustmm.modalities import Modality
from robustmm.model.encoders.base import BatchNorm, Encoder
from robustmm.model.encoders.source import load_backbone, load_preprocessor

Config = dict[str, Any]
Pool = Literal["auto", "mean"]
Colours = tuple[float, float, float]
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Backbone(Encoder):
    """A Hugging Face model and the pooling of what it returns.

    Options: `model` (a name or a folder), `config` (`model_type` and its settings; over those of `model`),
    `pretrained` (false: only the configuration of `model` is used), `pool` ("auto": the backbone's own pooling where
    it has one). From scratch, sizes the recipe leaves open (image_size, num_channels, vocab_size, ...) are the
    modality's; a pretrained backbone is fed what it was trained on, by resizing and repeating channels in the graph.
    """

    config: Any

    def __init__(
        self, reads: tuple[str, ...], model: str, config: Config | None, pretrained: bool, pool: Pool, **fits: Any
    ) -> None:
        super().__init__()
        self.model, self.pretrained = model, pretrained and bool(model)
        self.backbone, lacks_pooler = load_backbone(model, config or {}, pretrained, fits, reads)
        self.pool: Pool = "mean" if lacks_pooler else pool
        self.config = self.backbone.config
        found, wanted = self.backbone.main_input_name, " or ".join(reads)
        if found not in reads:
            raise UsageError(f"a {self.config.model_type} backbone reads {found}, this kind needs one for {wanted}")
        for module in self.backbone.modules():
            if type(module) is nn.BatchNorm2d:
                module.__class__ = BatchNorm  # the same layer, but one row of 1 x 1 maps does not stop training

    def preprocessor(self, sort: str) -> dict[str, Any]:
        """What the folder of a pretrained model says of its inputs; empty for any other."""
        return load_preprocessor(self.model, sort) if self.pretrained else {}

    def pool_output(self, mask: Tensor | None = None, **inputs: Tensor) -> Tensor:
        """(batch, width): the backbone's pooled output, or the mean of its last map or of its (unmasked) tokens."""
        output = self.backbone(**inputs)
        own: Tensor | None = getattr(output, "pooler_output", None) if self.pool == "auto" else None
        if own is not None:
            return own.flatten(1)
        last: Tensor = output.last_hidden_state
        if last.ndim == 4:
            return last.mean((2, 3))
        if mask is None:
            return last.mean(1)
        return torch.where(mask.unsqueeze(-1), last, torch.zeros_like(last)).sum(1) / mask.sum(1, keepdim=True)

    def measure_width(self, modality: Modality) -> int:
        """The width, measured on a blank. Raises UsageError where the backbone cannot take the modality's shape."""
        self.eval()
        try:
            with torch.no_grad():
                width = self(torch.from_numpy(modality.blank_input())[None]).shape[1]
        except (ValueError, RuntimeError, IndexError, TypeError) as error:
            shape = " x ".join(str(side) for side in modality.shape)
            reason = str(error).strip().partition("\n")[0]
            raise UsageError(f"the {self.config.model_type} backbone cannot take {shape}: {reason}") from error
        self.train()
        return int(width)


class ResizeInput(nn.Module):
    """Maps (batch, channel, height, width) at the size and with the channels a backbone's configuration asks for."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        size = getattr(config, "image_size", None)
        self.size = (size, size) if isinstance(size, int) else None if size is None else tuple(size)
        self.channels = int(getattr(config, "num_channels", 3))

    def forward(self, x: Tensor) -> Tensor:
        if self.size is not None and self.size != tuple(x.shape[2:]):
            x = F.interpolate(x, size=self.size, mode="bilinear", align_corners=False)
        return x.expand(-1, self.channels, -1, -1) if x.shape[1] == 1 else x


class Pixels(nn.Module):
    """uint8 (batch, height, width, channel) as a backbone takes it, normalised per colour."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: Any, mean: Colours, std: Colours) -> None:
        super().__init__()
        self.fit = ResizeInput(config)
        for name, colours in (("mean", mean), ("std", std)):
            values = torch.tensor(colours)
            values = values if self.fit.channels == 3 else values.mean(0, keepdim=True)
            self.register_buffer(name, values.view(1, -1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        # The exporter turns strided maps into indices and gathers, which a plain copy is spared.
        x = self.fit(x.movedim(-1, 1).contiguous().to(torch.float32) / 255)
        return (x - self.mean) / self.std


def choose_colours(said: dict[str, Any], mean: Colours | None, std: Colours | None) -> tuple[Colours, Colours]:
    """Mean and standard deviation per colour: those given, else those of a preprocessor, else ImageNet's."""
    plain = said.get("do_normalize") is False
    found = []
    for given, key, usual, none in (
        (mean, "image_mean", IMAGENET_MEAN, (0.0, 0.0, 0.0)),
        (std, "image_std", IMAGENET_STD, (1.0, 1.0, 1.0)),
    ):
        values = given or (none if plain else said.get(key, usual))
        if len(values) != 3:
            raise UsageError(f"{key} of the model's preprocessor should be three numbers, found {values}")
        found.append(tuple(values))
    return found[0], found[1]
