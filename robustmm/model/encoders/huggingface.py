"""`transformers`: any Hugging Face backbone, by configuration (no weights needed), by name or from a local folder."""

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor

from robustmm.errors import UsageError
from robustmm.modalities import Image, Text, Video
from robustmm.modalities.text import load_tokenizer
from robustmm.model.encoders.audio_backbone import AudioBackbone
from robustmm.model.encoders.backbone import Backbone, Colours, Config, Pixels, Pool, choose_colours


class ImageBackbone(Backbone):
    """ResNet, ViT, ConvNeXt, Swin, CLIP's vision tower, ...: pixels normalised by `mean` and `std`, by default those
    that the model's folder names, else ImageNet's."""

    def __init__(
        self,
        modality: Image,
        *,
        model: str = "",
        config: Config | None = None,
        pretrained: bool = True,
        pool: Pool = "auto",
        mean: Colours | None = None,
        std: Colours | None = None,
    ) -> None:
        height, width, colours = modality.size
        size = height if height == width else (height, width)
        super().__init__(("pixel_values",), model, config, pretrained, pool, image_size=size, num_channels=colours)
        self.pixels = Pixels(self.config, *choose_colours(self.preprocessor("image_processor"), mean, std))
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
        mean: Colours | None = None,
        std: Colours | None = None,
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
        self.pixels = Pixels(self.config, *choose_colours(self.preprocessor("image_processor"), mean, std))
        self.width = self.measure_width(modality)

    def forward(self, x: Tensor) -> Tensor:
        frames = self.pixels(x.flatten(0, 1))
        if self.sees_clips:
            return self.pool_output(pixel_values=frames.unflatten(0, (-1, self.frames)))
        each: Tensor = self.pool_output(pixel_values=frames).unflatten(0, (-1, self.frames))
        return each.mean(1)


class TextBackbone(Backbone):
    """BERT and similar models, and CLIP's text tower, over token ids; padding is not attended to."""

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
        specials = load_tokenizer(modality.tokenizer_json, length).encode("").ids
        closing = specials[-1] if specials else None
        fits = {"vocab_size": words, "pad_token_id": padding, "max_position_embeddings": max(512, length + 2)}
        super().__init__(("input_ids",), model, config, pretrained, pool, **fits)
        self.padding, self.pads_with_closing = padding, padding == closing
        if self.config.vocab_size < words:
            raise UsageError(
                f"the backbone knows {self.config.vocab_size} tokens and the tokenizer {words}; "
                "give the modality the backbone's own tokenizer"
            )
        if self.pool == "auto" and self.config.model_type == "clip_text_model":
            check_closing_token(self.config.eos_token_id, closing, words)
        self.width = self.measure_width(modality)

    def forward(self, x: Tensor) -> Tensor:
        real = x != self.padding
        # The first token always: no NaN for an empty text. CLIP pads with its closing token: the first one is none.
        mask = F.pad(real[:, :-1] if self.pads_with_closing else real[:, 1:], (1, 0), value=True)
        return self.pool_output(mask, input_ids=x, attention_mask=mask.long())


def check_closing_token(pooled: int, closing: int | None, words: int) -> None:
    """CLIP reads a text off its closing token: the first one of the id `pooled`, in configurations of old (2) the
    largest id. Raises UsageError where the tokenizer ends texts otherwise."""
    if closing is None or closing != (words - 1 if pooled == 2 else pooled):
        found = "none" if closing is None else closing
        raise UsageError(
            f"the backbone reads a text off its closing token {pooled}, the tokenizer writes {found}; "
            'give the modality the backbone\'s own tokenizer, or the encoder pool = "mean"'
        )


BACKBONES: Mapping[str, type[Backbone]] = {
    "image": ImageBackbone,
    "audio": AudioBackbone,
    "video": VideoBackbone,
    "text": TextBackbone,
}
