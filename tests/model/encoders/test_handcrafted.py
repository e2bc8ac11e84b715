"""Simple features, each held against another way to the same numbers; and the network that has them beside it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from samples import PLAIN, agrees, built, drawn, exporting
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer

from robustmm.errors import UsageError
from robustmm.modalities import Audio, Image, Series, Video
from robustmm.model.encoders import build_encoder
from robustmm.model.encoders.handcrafted import HANDCRAFTED, NOTHING, Parts, Shrink, hash_words

every_kind = pytest.mark.parametrize("kind", HANDCRAFTED)


def measured(kind: str, x: torch.Tensor, modality: Any = None) -> torch.Tensor:
    found: torch.Tensor = build_encoder(modality or PLAIN[kind], "handcrafted").eval().measure(x)
    return found


@every_kind
def test_there_is_nothing_to_learn_and_rows_do_not_see_each_other(kind: str) -> None:
    encoder, x = built("handcrafted", PLAIN[kind]), drawn(PLAIN[kind], 5)
    assert not list(encoder.parameters())
    assert encoder(x).shape == (5, encoder.width)
    torch.testing.assert_close(encoder(x)[2:3], encoder(x[2:3]))


@every_kind
def test_fitted_features_have_no_mean_and_one_deviation_and_constant_ones_are_0(kind: str) -> None:
    encoder, x = built("handcrafted", PLAIN[kind]), drawn(PLAIN[kind], 40)
    raw = encoder.measure(x).numpy()
    if encoder.sparse:
        return  # see the test of TF-IDF
    encoder.fit(raw)
    found = encoder(x).double()
    varies = torch.from_numpy(raw.std(0) > 1e-3)
    torch.testing.assert_close(found.mean(0), torch.zeros(encoder.width).double(), atol=1e-3, rtol=0)
    torch.testing.assert_close(
        found.std(0, correction=0)[varies], torch.ones(int(varies.sum())).double(), atol=1e-3, rtol=0
    )
    encoder.fit(np.repeat(raw[:1], 3, 0))
    assert not encoder(x).any()


def test_parts_are_means_of_equal_parts() -> None:
    torch.testing.assert_close(Parts(6, 3)(torch.arange(6.0)), torch.tensor([0.5, 2.5, 4.5]))
    torch.testing.assert_close(Parts(3, 2)(torch.tensor([1.0, 4.0, 7.0])), torch.tensor([2.0, 6.0]))  # halves of the 4
    torch.testing.assert_close(Parts(2, 8)(torch.tensor([5.0, 9.0])), torch.tensor([5.0, 9.0]))
    shrunk = Shrink(4, 2, 2)(torch.arange(8.0).reshape(4, 2))
    torch.testing.assert_close(shrunk, torch.tensor([[1.0, 2.0], [5.0, 6.0]]))


def test_frequencies_of_a_series_against_an_fft() -> None:
    x = drawn(PLAIN["series"], 4)
    found = measured("series", x).unflatten(1, (3, -1))[:, :, -10:]  # 21 steps have 10 frequencies above 0
    power = np.abs(np.fft.rfft(x.numpy(), axis=1)[:, 1:11] / 21) ** 2
    np.testing.assert_allclose(found.numpy(), np.log(power + NOTHING).swapaxes(1, 2), atol=1e-4)


def test_statistics_of_a_series_by_hand() -> None:
    modality = Series(name="x", steps=2, channels=1, mean=(1.0,), std=(2.0,))
    found = measured("series", torch.tensor([[[1.0], [5.0]]]), modality)[0]
    torch.testing.assert_close(found[:4], torch.tensor([1.0, 1.0, 0.0, 2.0]))  # mean, deviation, extremes
    torch.testing.assert_close(found[4:7], torch.tensor([1e-4, -1.0, 1.0]))  # one change does not vary; both halves


def test_louder_sound_is_the_same_and_so_is_later_sound() -> None:
    modality = Audio(name="x", rate=8000, seconds=1.0)
    rng, wave = np.random.default_rng(0), np.zeros((1, 8000), np.float32)
    rising = np.sin(2 * np.pi * np.cumsum(np.linspace(200, 3000, 4000)) / 8000)
    wave[0, 1000:5000] = 0.1 * rising + 0.1 * rng.normal(size=4000)
    x = torch.from_numpy(wave)
    plain, loud, later = (measured("audio", y, modality) for y in (x, 3 * x, x.roll(1600, 1)))
    other = measured("audio", x.flip(1), modality)
    assert (loud - plain).abs().mean() < 0.25 * (other - plain).abs().mean()
    assert (later - plain).abs().mean() < 0.25 * (other - plain).abs().mean()


def test_a_video_is_told_by_where_and_when_it_moves() -> None:
    modality = Video(name="x", frames=4, size=(1, 2, 1))
    clip = torch.tensor([[0, 0], [255, 0], [255, 0], [255, 0]], dtype=torch.uint8).reshape(1, 4, 1, 2, 1)
    found = measured("video", clip, modality)[0]
    torch.testing.assert_close(found[:2], torch.tensor([0.5, -1.0]))  # means in [-1, 1]
    assert found[2] == pytest.approx(0.75**0.5, abs=1e-3)
    torch.testing.assert_close(found[4:], torch.tensor([2.0, 0.0, 0.0, 0.0, 0.0, 0.0]))  # the left pixel, at first


def test_pictures_are_averaged_down() -> None:
    assert measured("image", drawn(Image(name="x", size=(56, 30, 3)), 2), Image(name="x", size=(56, 30, 3))).shape == (
        2, 28 * 28 * 3
    )  # fmt: skip


def test_words_and_pairs_are_weighted_as_scikit_learn_does() -> None:
    encoder, x = built("handcrafted", PLAIN["text"], buckets=64), drawn(PLAIN["text"], 30)
    raw = csr_matrix(encoder.measure(x).numpy())
    encoder.fit(raw)
    np.testing.assert_allclose(encoder(x).numpy(), TfidfTransformer().fit_transform(raw).toarray(), atol=1e-5)
    unseen = torch.zeros(1, encoder.width)
    unseen[0, int(np.asarray((raw > 0).sum(0)).argmin())] = 1.0
    assert not encoder.finish(unseen).any(), "what training never met weighs nothing"


def test_a_pair_is_a_pair_in_its_order_and_not_over_padding() -> None:
    found, there = hash_words(torch.tensor([[3, 4, 0, 5], [4, 3, 0, 5]]), 0, 10, 1000)
    assert there.tolist() == [[True, True, False, True, True, False, False]] * 2
    assert found[0, 4] != found[1, 4]
    assert found[:, 4:].min() >= 10
    assert found.max() < 1010


def test_options_of_the_network_are_checked() -> None:
    wide = built("wide-deep", PLAIN["image"], deep={"channels": [4]})
    assert wide.width == 4 + 12 * 10 * 3
    with pytest.raises(UsageError, match='"chanels" is not an option of encoder "conv", did you mean "channels"'):
        built("wide-deep", PLAIN["image"], deep={"chanels": [4]})


@exporting
def test_they_export(tmp_path: Path) -> None:
    """One has the other in it."""
    torch.manual_seed(0)
    encoders = {kind: build_encoder(modality, "wide-deep") for kind, modality in PLAIN.items()}
    agrees(encoders, PLAIN, tmp_path)
