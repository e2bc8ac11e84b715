"""`transformers`: any Hugging Face backbone, by configuration (no weights needed), by name or from a local folder."""

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor

from robustmm.config.options import Positive
from robustmm.errors import UsageError
from robustmm.modalities import Audio, Image, Text, Video
from robustmm.model.encoders.backbone import Backbone, Colours, Config, Pixels, Pool, ResizeInput
from robustmm.model.encoders.base import BatchNorm
from robustmm.model.encoders.spectrogram import LogMel

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ImageBackbone(Backbone):
    """ResNet, ViT, ConvNeXt, Swin, ...: pixels normalised by `mean` and `std` (ImageNet's)."""

    def __init__(
        self,
        modality: Image,
        *,
        model: str = "",
        config: Config | None = None,
        pretrained: bool = True,
        pool: Pool = "auto",
        mean: Colours = IMAGENET_MEAN,
        std: Colours = IMAGENET_STD,
    ) -> None:
        height, width, colours = modality.size
        size = height if height == width else (height, width)
        super().__init__(("pixel_values",), model, config, pretrained, pool, image_size=size, num_channels=colours)
        self.pixels = Pixels(self.config, mean, std)
        self.width = self.measure_width(modality)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool_output(pixel_values=self.pixels(x))


class VideoBackbone(Backbone):
    """VideoMAE, TimeSformer, ViViT, ... see the clip; a backbone for images sees frames, which are averaged."""

    def __init__(
        self,
        modality: Video,
        *,
        model: str = "",
        config: Config | None = None,
        pretrained: bool = True,
        pool: Pool = "auto",
        mean: Colours = IMAGENET_MEAN,
        std: Colours = IMAGENET_STD,
    ) -> None:
        height, width, colours = modality.size
        size = height if height == width else (height, width)
        fits = {"image_size": size, "num_channels": colours, "num_frames": modality.frames}
        super().__init__(("pixel_values",), model, config, pretrained, pool, **fits)
        self.frames = modality.frames
        self.sees_clips = hasattr(self.config, "num_frames")
        if self.sees_clips and self.config.num_frames != self.frames:
            wanted = self.config.num_frames
            raise UsageError(f"the backbone takes {wanted} frames, found {self.frames}")
        self.pixels = Pixels(self.config, mean, std)
        self.width = self.measure_width(modality)

    def forward(self, x: Tensor) -> Tensor:
        frames = self.pixels(x.flatten(0, 1))
        if self.sees_clips:
            return self.pool_output(pixel_values=frames.unflatten(0, (-1, self.frames)))
        each: Tensor = self.pool_output(pixel_values=frames).unflatten(0, (-1, self.frames))
        return each.mean(1)


class AudioBackbone(Backbone):
    """The log-mel spectrogram, as AST reads it or as an image of one channel (ResNet, ViT, ...)."""

    def __init__(
        self,
        modality: Audio,
        *,
        model: str = "",
        config: Config | None = None,
        pretrained: bool = True,
        pool: Pool = "auto",
        mels: Positive | None = None,
    ) -> None:
        frames = LogMel(modality.rate, 1).frame_count(modality.shape[0])
        bands = mels or 64
        fits = {"num_channels": 1, "image_size": (bands, frames), "num_mel_bins": bands, "max_length": frames}
        super().__init__(("pixel_values", "input_values"), model, config, pretrained, pool, **fits)
        self.fit = ResizeInput(self.config) if self.backbone.main_input_name == "pixel_values" else None
        if self.fit is None and not hasattr(self.config, "num_mel_bins"):
            raise UsageError(f"a {self.config.model_type} backbone reads waves, this encoder gives spectrograms")
        self.spectrogram = LogMel(modality.rate, bands if self.fit else self.config.num_mel_bins)
        self.norm = BatchNorm(1)
        self.width = self.measure_width(modality)

    def forward(self, x: Tensor) -> Tensor:
        spectrogram = self.norm(self.spectrogram(x).unsqueeze(1))  # (batch, 1, mel, frame)
        if self.fit is not None:
            return self.pool_output(pixel_values=self.fit(spectrogram))
        frames = self.config.max_length
        tokens = F.pad(spectrogram[:, 0, :, :frames], (0, max(0, frames - spectrogram.shape[3])))
        return self.pool_output(input_values=tokens.transpose(1, 2))


class TextBackbone(Backbone):
    """BERT and similar models over token ids; padding is not attended to."""

    def __init__(
        self,
        modality: Text,
        *,
        model: str = "",
        config: Config | None = None,
        pretrained: bool = True,
        pool: Pool = "auto",
    ) -> None:
        words, length, padding = modality.vocabulary_size, modality.length, modality.padding_id
        fits = {"vocab_size": words, "pad_token_id": padding, "max_position_embeddings": max(512, length + 2)}
        super().__init__(("input_ids",), model, config, pretrained, pool, **fits)
        self.padding = padding
        if self.config.vocab_size < words:
            raise UsageError(
                f"the backbone knows {self.config.vocab_size} tokens and the tokenizer {words}; "
                "give the modality the backbone's own tokenizer"
            )
        self.width = self.measure_width(modality)

    def forward(self, x: Tensor) -> Tensor:
        mask = F.pad((x != self.padding)[:, 1:], (1, 0), value=True)  # the first token always: no NaN for an empty text
        return self.pool_output(mask, input_ids=x, attention_mask=mask.long())


BACKBONES: Mapping[str, type[Backbone]] = {
    "image": ImageBackbone,
    "audio": AudioBackbone,
    "video": VideoBackbone,
    "text": TextBackbone,
}
