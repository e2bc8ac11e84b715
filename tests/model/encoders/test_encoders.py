"""Encoders: one contract over all of them, then what each is for."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from samples import PLAIN, WORDS, agrees, built, drawn, exporting
from scipy.signal import get_window
from torch import Tensor, nn

from robustmm.errors import UsageError
from robustmm.modalities import KINDS, Audio, Features, Image, Modality, Series, Text, Video
from robustmm.model.encoders import ENCODERS, build_encoder, default_encoder
from robustmm.model.encoders.base import BatchNorm, Standardise, normalise_pixels
from robustmm.model.encoders.conv import CONV
from robustmm.model.encoders.mlp import MLPS
from robustmm.model.encoders.spectrogram import LogMel, hertz_to_mel, mel_to_hertz
from robustmm.model.encoders.wide_deep import WIDE_DEEP
from robustmm.model.fusion import FUSIONS

OWN = [("conv", kind) for kind in CONV] + [("mlp", kind) for kind in MLPS] + [("wide-deep", kind) for kind in WIDE_DEEP]
every_encoder = pytest.mark.parametrize(("name", "kind"), OWN)


# -- the contract ------------------------------------------------------------------------------------------------------


@every_encoder
@pytest.mark.parametrize("batch", [1, 2, 7])
def test_raw_batch_in_vectors_out(name: str, kind: str, batch: int) -> None:
    made = built(name, PLAIN[kind]).eval()
    out = made(drawn(PLAIN[kind], batch))
    assert out.shape == (batch, made.width)
    assert out.dtype == torch.float32
    assert out.isfinite().all()


@every_encoder
def test_one_row_and_blanks_can_be_trained_on(name: str, kind: str) -> None:
    made = built(name, PLAIN[kind]).train()
    for x in (drawn(PLAIN[kind], 1), torch.from_numpy(PLAIN[kind].blank_input())[None]):
        out = made(x)
        assert out.isfinite().all()
        out.sum().backward()


@every_encoder
def test_gradients_reach_every_parameter(name: str, kind: str) -> None:
    made = built(name, PLAIN[kind]).train()
    (made(drawn(PLAIN[kind], 16)) * torch.randn(made.width)).square().sum().backward()
    assert [n for n, p in made.named_parameters() if p.grad is None or not p.grad.any()] == []


@every_encoder
def test_rows_do_not_see_each_other_in_use(name: str, kind: str) -> None:
    made, x = built(name, PLAIN[kind]).eval(), drawn(PLAIN[kind], 5)
    torch.testing.assert_close(made(x)[2:3], made(x[2:3]), atol=1e-5, rtol=1e-4)


@every_encoder
def test_half_precision_is_near(name: str, kind: str) -> None:
    made, x = built(name, PLAIN[kind]).eval(), drawn(PLAIN[kind], 5)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = made(x)
    torch.testing.assert_close(rounded.float(), made(x), atol=0.1, rtol=0.1)


@every_encoder
def test_the_input_is_left_as_it_was(name: str, kind: str) -> None:
    x = drawn(PLAIN[kind], 3)
    before = x.clone()
    built(name, PLAIN[kind]).train()(x)
    assert torch.equal(x, before)


@every_encoder
def test_sixteen_samples_are_learned_by_heart(name: str, kind: str) -> None:
    made, modality = built(name, PLAIN[kind], dropout=0.0), PLAIN[kind]
    x, target = drawn(modality, 16), torch.arange(16) % 4
    if isinstance(modality, Text):
        x[:, 0] = 1 + torch.arange(16) % (modality.vocabulary_size - 1)  # no empty and no equal texts
        x[:, 1] = 1 + torch.arange(16) // 4
    net = nn.Sequential(made, nn.Linear(made.width, 4))
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(60):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(net(x), target)
        loss.backward()
        optimiser.step()
        if loss < 0.02:
            break
    assert loss < 0.1


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        ("conv", Image(name="x", size=(1, 1, 1))),
        ("conv", Image(name="x", size=(8, 8, 1))),
        ("conv", Image(name="x", size=(28, 28, 1))),
        ("conv", Image(name="x", size=(31, 5, 3))),
        ("conv", Image(name="x", size=(224, 224, 3))),
        ("conv", Audio(name="x", rate=1000, seconds=0.001)),
        ("conv", Audio(name="x", rate=16_000, seconds=0.01)),
        ("conv", Audio(name="x", rate=16_000, seconds=1.0)),
        ("conv", Audio(name="x", rate=44_100, seconds=0.5)),
        ("conv", Video(name="x", frames=1, size=(8, 8, 3))),
        ("conv", Video(name="x", frames=2, size=(1, 3, 1))),
        ("conv", Video(name="x", frames=7, size=(112, 96, 3))),
        ("conv", Series(name="x", steps=1, channels=1)),
        ("conv", Series(name="x", steps=301, channels=60)),
        ("conv", Text(name="x", length=1, tokenizer_json=WORDS)),
        ("conv", Text(name="x", length=130, tokenizer_json=WORDS)),
        ("wide-deep", Audio(name="x", rate=1000, seconds=0.001)),
        ("wide-deep", Video(name="x", frames=1, size=(2, 40, 3))),
        ("wide-deep", Series(name="x", steps=1, channels=1)),
        ("wide-deep", Text(name="x", length=1, tokenizer_json=WORDS)),
        ("mlp", Features(name="x", length=1)),
        ("mlp", Series(name="x", steps=1, channels=1)),
        ("mlp", Image(name="x", size=(1, 1, 1))),
    ],
    ids=lambda value: value if isinstance(value, str) else "x".join(str(side) for side in value.shape),
)
def test_odd_sizes(name: str, modality: Modality) -> None:
    made = built(name, modality)
    for batch in (1, 2):
        out = made.train()(drawn(modality, batch))
        assert out.shape == (batch, made.width)
        out.sum().backward()
    assert made.eval()(drawn(modality, 2)).isfinite().all()


@exporting
def test_every_kind_under_every_fusion_exports(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoders = {kind: build_encoder(modality, default_encoder(kind)) for kind, modality in PLAIN.items()}
    agrees(encoders, PLAIN, tmp_path, fusions=list(FUSIONS))


@exporting
@pytest.mark.slow
def test_flattening_encoders_and_sizes_without_neighbours_export(tmp_path: Path) -> None:
    torch.manual_seed(0)
    modalities: dict[str, Modality] = {
        "series": PLAIN["series"].model_copy(update={"mean": (0.1, 0.2, 0.3), "std": (1.0, 2.0, 3.0)}),
        "image": PLAIN["image"],
        "pixel": Image(name="pixel", size=(1, 1, 1)),
        "click": Audio(name="click", rate=16_000, seconds=0.001),
        "step": Series(name="step", steps=1, channels=1),
        "frame": Video(name="frame", frames=1, size=(5, 5, 3)),
    }
    encoders = {m: build_encoder(x, "mlp" if m in ("series", "image") else "conv") for m, x in modalities.items()}
    agrees(encoders, modalities, tmp_path)


# -- choosing one ------------------------------------------------------------------------------------------------------


def test_every_kind_has_a_default_that_serves_it() -> None:
    assert {kind: default_encoder(kind) for kind in KINDS} == {**dict.fromkeys(CONV, "conv"), "features": "mlp"}
    assert all(kind in ENCODERS[default_encoder(kind)] for kind in KINDS)


@pytest.mark.parametrize(
    ("name", "kind", "options", "sentence"),
    [
        ("conv", "features", {}, 'encoder "conv" serves image, audio, video, series, text, not features '),
        ("conv", "features", {}, "(encoders for features: handcrafted, mlp, wide-deep)"),
        ("mlp", "audio", {}, "(encoders for audio: conv, handcrafted, transformers, wide-deep)"),
        ("cnov", "audio", {}, '"cnov" is not an encoder, did you mean "conv"? (known: conv, handcrafted, mlp, '),
        ("conv", "image", {"chanels": [8]}, '"chanels" is not an option of encoder "conv", did you mean "channels"?'),
        ("conv", "image", {"chanels": [8]}, "(known: channels, dropout)"),
        ("conv", "image", {"channels": [8, 0]}, "option channels.1: input should be greater than 0, found 0"),
        ("conv", "image", {"channels": []}, 'modality "image": encoder "conv", option channels: '),
        ("conv", "image", {"dropout": 1.0}, "option dropout: input should be less than 1, found 1.0"),
        ("mlp", "features", {"layers": "wide"}, "option layers: input should be a valid tuple, found 'wide'"),
    ],
)
def test_wrong_choices_are_named(name: str, kind: str, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        built(name, PLAIN[kind], **options)
    assert sentence in str(error.value)


def test_options_from_toml_are_taken() -> None:
    assert built("conv", PLAIN["image"], channels=[8, 16], dropout=0).width == 16
    assert built("mlp", PLAIN["features"], layers=[8, 4, 2]).width == 2


def test_a_private_encoder_may_serve_any_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_encoder.py").write_text(
        "from torch import nn\n\nclass Mine(nn.Module):\n    def __init__(self, modality, size=3):\n"
        "        super().__init__()\n        self.width = size\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert build_encoder(PLAIN["audio"], "mine_encoder:Mine", size=5).width == 5
    with pytest.raises(UsageError, match="should say its width"):
        build_encoder(PLAIN["audio"], "torch.nn:Identity")
    with pytest.raises(UsageError, match=r'"sizes" is not an option .* did you mean "size"'):
        build_encoder(PLAIN["audio"], "mine_encoder:Mine", sizes=5)


# -- parts -------------------------------------------------------------------------------------------------------------


def test_pixels_are_centred_and_channels_first() -> None:
    x = torch.tensor([[[[0, 255]]], [[[51, 204]]]], dtype=torch.uint8)  # (2, 1, 1, 2)
    torch.testing.assert_close(normalise_pixels(x), torch.tensor([[[[-1.0]], [[1.0]]], [[[-0.6]], [[0.6]]]]))


def test_standardise_puts_what_is_not_finite_at_the_mean() -> None:
    made = Standardise((1.0, 10.0), (2.0, 5.0))
    x = torch.tensor([[3.0, 10.0], [torch.nan, torch.inf], [1.0, -torch.inf]])
    assert torch.equal(made(x), torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]))
    assert torch.equal(Standardise((), ())(x[:1]), x[:1])


@pytest.mark.parametrize("name", ["conv", "mlp"])
def test_scale_and_offset_of_a_series_do_not_matter_once_fitted(name: str) -> None:
    plain = PLAIN["series"]
    far = plain.model_copy(update={"mean": (100.0, -5.0, 0.0), "std": (50.0, 0.1, 2.0)})
    x = drawn(plain, 4)
    moved = x * torch.tensor([50.0, 0.1, 2.0]) + torch.tensor([100.0, -5.0, 0.0])
    torch.testing.assert_close(built(name, far).eval()(moved), built(name, plain).eval()(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("name", "kind"), [("conv", "series"), ("mlp", "series"), ("mlp", "features")])
def test_holes_in_numbers_stay_harmless(name: str, kind: str) -> None:
    x = drawn(PLAIN[kind], 4)
    holes = torch.where(torch.rand(x.shape) < 0.3, torch.tensor(torch.nan), x)
    assert built(name, PLAIN[kind]).train()(holes).isfinite().all()


def test_batch_norm_of_a_single_value_uses_what_it_has_learned() -> None:
    made = BatchNorm(4)
    made.running_mean.fill_(1.0)
    x = torch.randn(1, 4, 1, 1)
    torch.testing.assert_close(made(x), (x - 1) / (1 + made.eps) ** 0.5)
    assert torch.equal(made.running_mean, torch.ones(4))
    many, theirs = torch.randn(6, 4, 3), nn.BatchNorm1d(4)
    torch.testing.assert_close(BatchNorm(4)(many), theirs(many))


# -- audio -------------------------------------------------------------------------------------------------------------


def reference(wave: np.ndarray, rate: int, made: LogMel) -> np.ndarray:
    """Log-mel by FFT and by slopes between edges: another way to the same numbers."""
    window = get_window("hann", made.window)
    padded = np.pad(wave.astype(np.float64), (made.window + 1) // 2)
    edges = mel_to_hertz(np.linspace(0, hertz_to_mel(rate / 2), made.mels + 2))
    frequency = np.fft.rfftfreq(made.bins, 1 / rate)
    triangles = [np.interp(frequency, edges[i : i + 3], [0, 1, 0], left=0, right=0) for i in range(made.mels)]
    columns = []
    for start in range(0, len(padded) - made.window + 1, made.hop):
        frame = padded[start : start + made.window] * window / window.sum()
        columns.append(np.log(triangles @ np.abs(np.fft.rfft(frame, made.bins)) ** 2 + made.floor))
    return np.stack(columns, 1)


@pytest.mark.parametrize(
    ("rate", "samples", "options"),
    [
        (8000, 6400, {}),
        (16_000, 16_000, {}),
        (44_100, 20_001, {}),
        (16_000, 100, {}),
        (1000, 1, {}),
        (16_000, 4000, {"window": 400, "hop": 160, "bins": 512}),
        (16_000, 4000, {"window": 401, "hop": 100, "bins": 1024, "mels": 13}),
        (16_000, 3000, {"mels": 128}),
    ],
)
def test_log_mel_against_an_fft(rate: int, samples: int, options: dict[str, int]) -> None:
    made = LogMel(rate, **options)
    wave = np.random.default_rng(0).uniform(-1, 1, samples).astype(np.float32)
    ours = made(torch.from_numpy(wave)[None])[0].numpy()
    assert ours.shape == (made.mels, made.frame_count(samples))
    np.testing.assert_allclose(ours, reference(wave, rate, made), atol=2e-3)


@pytest.mark.parametrize("rate", [1000, 8000, 16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("mels", [20, 40, 128])
def test_no_filter_is_deaf(rate: int, mels: int) -> None:
    made = LogMel(rate, mels)
    assert made.filters.any(1).all()
    assert 0.025 <= made.window / rate <= 0.033
    assert made.hop == rate // 100


def test_a_full_scale_wave_stays_within_half_precision() -> None:
    made = LogMel(16_000)
    worst = torch.sign(torch.sin(torch.arange(16_000) * 0.3))[None]
    spectrum = nn.functional.conv1d(worst[:, None], made.basis, stride=made.hop)
    assert spectrum.abs().max() <= 1
    assert made(torch.zeros(1, 16_000)).allclose(torch.tensor(made.floor).log())
    assert made(worst).isfinite().all()


def test_a_tone_is_found_in_its_band() -> None:
    made = LogMel(16_000)
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(16_000) / 16_000)[None]
    centre = hertz_to_mel(1000.0) / hertz_to_mel(8000.0) * 41 - 1
    assert abs(int(made(tone)[0, :, 50].argmax()) - centre) <= 1


# -- text --------------------------------------------------------------------------------------------------------------


def test_text_does_not_depend_on_padding() -> None:
    short, long = PLAIN["text"], PLAIN["text"].model_copy(update={"length": 30})
    x = drawn(short, 8)
    padded = nn.functional.pad(x, (0, 21))
    torch.testing.assert_close(built("conv", long).eval()(padded), built("conv", short).eval()(x))


def test_padding_never_wins_the_maximum() -> None:
    made = built("conv", PLAIN["text"]).eval()
    with torch.no_grad():
        for conv in made.convs:
            conv.bias.fill_(5.0)  # what an all-padding window would answer
            conv.weight.mul_(0.0)
            conv.weight[:, 0, 0] = -1.0
        made.embedding.weight[1:, 0] = 3.0
    text = torch.tensor([[1, 2, 3, 0, 0, 0, 0, 0, 0], [0] * 9])
    assert made(text)[0].max().item() == pytest.approx(2.0)
    assert not made(text)[1].any()


def test_word_order_matters() -> None:
    made = built("conv", PLAIN["text"]).eval()
    one, other = made(torch.tensor([[3, 4, 5, 0, 0, 0, 0, 0, 0], [5, 4, 3, 0, 0, 0, 0, 0, 0]]))
    assert not torch.allclose(one, other)


# -- video -------------------------------------------------------------------------------------------------------------


def clips(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """A square that moves left or right; played backwards, one is the other."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 30, (count, 8, 16, 24, 1), np.uint8)
    target = rng.integers(0, 2, count)
    for clip, right in zip(frames, target, strict=True):
        top, start = rng.integers(0, 10), rng.integers(0, 5)
        for t in range(8):
            left = start + 2 * (t if right else 7 - t)
            clip[t, top : top + 5, left : left + 4] += 200
    return torch.from_numpy(frames), torch.from_numpy(target)


def test_each_frame_stands_between_its_neighbours() -> None:
    made, seen = built("conv", Video(name="v", frames=4, size=(2, 2, 1))), []
    made.maps.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0][:, :, 0, 0]))
    made(torch.tensor([0, 51, 102, 255], dtype=torch.uint8).view(1, 4, 1, 1, 1).expand(1, 4, 2, 2, 1))
    a, b, c, d = -1.0, -0.6, -0.2, 1.0
    torch.testing.assert_close(seen[0], torch.tensor([[a, a, b], [a, b, c], [b, c, d], [c, d, d]]))


def test_video_learns_which_way_time_runs() -> None:
    torch.manual_seed(0)
    made = build_encoder(Video(name="v", frames=8, size=(16, 24, 1)), "conv", channels=[8, 16, 16])
    net = nn.Sequential(made, nn.Linear(made.width, 2))
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    x, target = clips(128, 0)
    for epoch in range(14):
        for rows in torch.randperm(128, generator=torch.Generator().manual_seed(epoch)).split(32):
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(x[rows]), target[rows]).backward()
            optimiser.step()
    unseen, truth = clips(64, 1)
    assert (net.eval()(unseen).argmax(1) == truth).float().mean() >= 0.95


@pytest.mark.slow
def test_video_is_quick_on_two_cores() -> None:
    made = built("conv", Video(name="v", frames=16, size=(60, 80, 1)))
    x = drawn(Video(name="v", frames=16, size=(60, 80, 1)), 32)
    spent = []
    for _ in range(3):
        start = time.process_time()  # of all cores: what others run beside the test does not count
        made(x).sum().backward()
        spent.append(time.process_time() - start)
    assert min(spent) < 4.0
