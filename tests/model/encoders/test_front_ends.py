"""Front ends of pretrained audio backbones, held against the feature extractors of `transformers`."""

import numpy as np
import pytest
import torch
from torch import Tensor

from robustmm.modalities.audio import normalise_clip
from robustmm.model.encoders.front_ends import ClipNorm, KaldiMel, WhisperMel

RATE = 16_000


def waves(samples: int = 3200) -> Tensor:
    random = np.random.default_rng(0)
    tone = np.cos(np.arange(samples) * 0.3) * np.linspace(0.1, 0.8, samples)
    return torch.from_numpy(np.stack([0.1 * random.normal(size=samples), 0.5 + 0.1 * tone, tone])).float()


@pytest.mark.parametrize("pad", ["start", "centre", "end"])
def test_waves_have_zero_mean_and_unit_variance_without_the_silence_that_fills_them_up(pad: str) -> None:
    x = waves()
    x[0, :500], x[1, -700:], x[2] = 0, 0, 0
    found = ClipNorm(pad)(x)
    for ours, wave in zip(found, x, strict=True):
        expected = normalise_clip(wave.numpy(), pad)  # type: ignore[arg-type]
        np.testing.assert_allclose(ours, expected, atol=2e-5)


def test_a_whole_clip_is_normalised_as_by_wav2vec2s_extractor() -> None:
    from transformers import Wav2Vec2FeatureExtractor

    x = waves()
    theirs = Wav2Vec2FeatureExtractor(do_normalize=True)([*x.numpy()], sampling_rate=RATE)["input_values"]
    np.testing.assert_allclose(ClipNorm("centre")(x), np.stack(theirs), atol=2e-5)


@pytest.mark.parametrize("mels", [8, 80])
def test_whispers_spectrogram(mels: int) -> None:
    from transformers import WhisperFeatureExtractor

    extractor = WhisperFeatureExtractor(feature_size=mels, chunk_length=1)
    x = waves()
    theirs = extractor([*x.numpy()], sampling_rate=RATE, return_tensors="np")["input_features"]
    assert theirs.shape == (3, mels, 100)
    np.testing.assert_allclose(WhisperMel(RATE, mels, 100)(x), theirs, atol=1e-4)
    assert WhisperMel(RATE, mels, 100)(torch.zeros(1, 3200)).isfinite().all()


@pytest.mark.parametrize("frames", [10, 40])
def test_asts_spectrogram_cut_and_filled_up(frames: int) -> None:
    from transformers import ASTFeatureExtractor

    extractor = ASTFeatureExtractor(num_mel_bins=32, max_length=frames)
    x = waves()
    theirs = extractor([*x.numpy()], sampling_rate=RATE, return_tensors="np")["input_values"]
    ours = KaldiMel(RATE, 32, frames, extractor.mean, extractor.std)(x)
    assert ours.shape == theirs.shape == (3, frames, 32)
    np.testing.assert_allclose(ours, theirs, atol=2e-3)
    assert KaldiMel(RATE, 32, frames, 0.0, 1.0)(torch.zeros(2, 300)).isfinite().all(), "shorter than a frame"
