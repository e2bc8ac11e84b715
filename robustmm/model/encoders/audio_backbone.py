"""Hugging Face backbones for audio: those that read waves or a spectrogram of their own, and those for images."""

import torch.nn.functional as F
from torch import Tensor, nn

from robustmm.config.options import Positive
from robustmm.errors import UsageError
from robustmm.modalities import Audio
from robustmm.model.encoders.backbone import Backbone, Config, Pool, ResizeInput
from robustmm.model.encoders.base import BatchNorm
from robustmm.model.encoders.front_ends import HOP, ClipNorm, KaldiMel, WhisperMel
from robustmm.model.encoders.spectrogram import LogMel


class AudioBackbone(Backbone):
    """Waves (wav2vec2, HuBERT, WavLM, ...), with zero mean and unit variance unless the model's folder says otherwise;
    the spectrograms of Whisper's encoder and of a pretrained AST; else our log-mel spectrogram, as AST reads it or as
    an image of one channel (ResNet, ViT, ...)."""

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
        samples = modality.shape[0]
        frames = LogMel(modality.rate, 1).frame_count(samples)
        bands = mels or 64
        fits = {"num_channels": 1, "image_size": (bands, frames), "num_mel_bins": bands, "max_length": frames}
        fits["max_source_positions"] = -(-samples // (2 * HOP))
        super().__init__(("pixel_values", "input_values", "input_features"), model, config, pretrained, pool, **fits)
        self.front = self.build_front_end(modality)
        if self.front is None:
            self.fit = ResizeInput(self.config) if self.backbone.main_input_name == "pixel_values" else None
            self.spectrogram = LogMel(modality.rate, bands if self.fit else self.config.num_mel_bins)
            self.norm = BatchNorm(1)
        self.width = self.measure_width(modality)

    def build_front_end(self, modality: Audio) -> nn.Module | None:
        """What a backbone's own feature extractor does; None where it is fed our spectrogram."""
        reads, config = self.backbone.main_input_name, self.config
        if reads == "pixel_values":
            return None
        said = self.preprocessor("feature_extractor")
        rate = said.get("sampling_rate", modality.rate)
        if rate != modality.rate:
            raise UsageError(f"the backbone hears {rate} Hz, found rate = {modality.rate}")
        if reads == "input_features":
            if not (hasattr(config, "max_source_positions") and hasattr(config, "num_mel_bins")):
                raise UsageError(f"a {config.model_type} backbone reads features that this encoder does not compute")
            frames = 2 * config.max_source_positions
            if modality.shape[0] > frames * HOP:
                heard = frames * HOP / modality.rate
                raise UsageError(f"the backbone hears at most {heard:g} s, found seconds = {modality.seconds:g}")
            return WhisperMel(modality.rate, config.num_mel_bins, frames)
        if not hasattr(config, "num_mel_bins"):
            given = modality.normalise == "clip" or said.get("do_normalize") is False
            return nn.Identity() if given else ClipNorm(modality.pad)
        if "mean" not in said:
            return None
        mean, std = (said["mean"], said["std"]) if said.get("do_normalize", True) else (0.0, 0.5)
        return KaldiMel(modality.rate, config.num_mel_bins, config.max_length, mean, std)

    def forward(self, x: Tensor) -> Tensor:
        if self.front is not None:
            return self.pool_output(**{str(self.backbone.main_input_name): self.front(x)})
        spectrogram = self.norm(self.spectrogram(x).unsqueeze(1))  # (batch, 1, mel, frame)
        if self.fit is not None:
            return self.pool_output(pixel_values=self.fit(spectrogram))
        frames = self.config.max_length
        tokens = F.pad(spectrogram[:, 0, :, :frames], (0, max(0, frames - spectrogram.shape[3])))
        return self.pool_output(input_values=tokens.transpose(1, 2))
