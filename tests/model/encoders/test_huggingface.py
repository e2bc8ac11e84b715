"""Hugging Face backbones: tiny ones by configuration and from a folder; nothing is fetched."""

from pathlib import Path
from typing import Any

import pytest
import torch
from samples import PLAIN, agrees, built, drawn, exporting
from torch import Tensor, nn

from robustmm.errors import UsageError
from robustmm.exporting import export
from robustmm.modalities import Image, Modality, Video
from robustmm.model.encoders import build_encoder
from robustmm.model.encoders.backbone import ResizeInput
from robustmm.model.encoders.base import BatchNorm
from robustmm.model.fusion import FUSIONS
from robustmm.model.fusion_model import FusionModel

RESNET = {"model_type": "resnet", "depths": [1, 1], "hidden_sizes": [8, 16], "layer_type": "basic", "embedding_size": 4}
LAYER = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
VIT = {"model_type": "vit", "patch_size": 4, **LAYER}
AST = {"model_type": "audio-spectrogram-transformer", **LAYER}
BERT = {"model_type": "bert", **LAYER}
DISTILBERT = {"model_type": "distilbert", "dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}
VIDEOMAE = {"model_type": "videomae", "patch_size": 4, "tubelet_size": 2, **LAYER}
CLIP = Video(name="clip", frames=4, size=(12, 12, 3))
PAIRS: list[tuple[Modality, dict[str, Any]]] = [
    (PLAIN["image"], RESNET),
    (PLAIN["image"], VIT),
    (PLAIN["audio"], RESNET),
    (PLAIN["audio"], AST),
    (PLAIN["text"], BERT),
    (PLAIN["text"], DISTILBERT),
    (PLAIN["video"], RESNET),
    (CLIP, VIDEOMAE),
]
every_backbone = pytest.mark.parametrize(
    ("modality", "config"), PAIRS, ids=[f"{modality.name}-{config['model_type']}" for modality, config in PAIRS]
)


def from_scratch(modality: Modality, config: dict[str, Any], **options: Any) -> nn.Module:
    return built("transformers", modality, config=config, **options)


def saved(modality: Modality, config: dict[str, Any], folder: Path) -> nn.Module:
    made = from_scratch(modality, config)
    made.backbone.save_pretrained(folder)
    return made


@every_backbone
def test_raw_batch_in_vectors_out(modality: Modality, config: dict[str, Any]) -> None:
    made = from_scratch(modality, config)
    assert made.training
    for batch in (1, 3):
        out = made.train()(drawn(modality, batch))
        assert out.shape == (batch, made.width)
        assert out.isfinite().all()
        out.square().sum().backward()
    x = drawn(modality, 4)
    torch.testing.assert_close(made.eval()(x)[1:2], made(x[1:2]), atol=1e-5, rtol=1e-4)


@every_backbone
def test_four_samples_are_learned_by_heart(modality: Modality, config: dict[str, Any]) -> None:
    made, x = from_scratch(modality, config), drawn(modality, 4)
    if modality.kind == "text":
        x[:, 0] = torch.arange(1, 5)
    net = nn.Sequential(made, nn.LayerNorm(made.width), nn.Linear(made.width, 4))
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(net(x), torch.arange(4))
        loss.backward()
        optimiser.step()
    assert loss < 0.5


@every_backbone
def test_a_folder_gives_the_same_back(modality: Modality, config: dict[str, Any], tmp_path: Path) -> None:
    made = saved(modality, config, tmp_path)
    assert [path.suffix for path in tmp_path.glob("*model*")] == [".safetensors"]
    options = {"mels": 64} if modality.kind == "audio" else {}
    again, x = built("transformers", modality, model=str(tmp_path), **options), drawn(modality, 3)
    torch.testing.assert_close(again.eval()(x), made.eval()(x))
    torch.manual_seed(1)
    fresh = built("transformers", modality, model=str(tmp_path), pretrained=False).eval()
    assert fresh(x).shape == made(x).shape


@exporting
@pytest.mark.parametrize(
    "part",
    [
        {"image": RESNET, "audio": RESNET, "text": BERT, "video": RESNET},
        pytest.param({"image": VIT, "audio": AST, "text": DISTILBERT, "clip": VIDEOMAE}, marks=pytest.mark.slow),
    ],
    ids=["resnet-bert", "transformers"],
)
def test_backbones_export(part: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    modalities = {name: CLIP if name == "clip" else PLAIN[name] for name in part}
    encoders = {name: from_scratch(modalities[name], config) for name, config in part.items()}
    agrees(encoders, modalities, tmp_path)


def test_a_resnet_for_spectrograms_has_one_input_channel() -> None:
    made = from_scratch(PLAIN["audio"], RESNET)
    first = next(module for module in made.modules() if isinstance(module, nn.Conv2d))
    assert first.in_channels == 1


def test_resnet_18_is_resnet_18() -> None:
    full = {"depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic", "embedding_size": 64}
    made = from_scratch(PLAIN["image"], {"model_type": "resnet", **full})
    assert made.width == 512
    assert sum(p.numel() for p in made.parameters()) == 11_176_512  # torchvision's, without its classifier


def test_sizes_the_recipe_leaves_open_are_the_modalitys() -> None:
    assert tuple(from_scratch(PLAIN["image"], VIT).config.image_size) == (12, 10)
    assert from_scratch(PLAIN["text"], BERT).config.vocab_size == PLAIN["text"].vocabulary_size
    assert from_scratch(CLIP, VIDEOMAE).config.num_frames == 4
    assert from_scratch(PLAIN["image"], {**VIT, "image_size": 8}).config.image_size == 8
    ast = from_scratch(PLAIN["audio"], AST, mels=32)
    assert (ast.config.num_mel_bins, ast.config.max_length) == (32, 31)


def test_a_pretrained_backbone_is_fed_what_it_knows(tmp_path: Path) -> None:
    saved(PLAIN["image"].model_copy(update={"size": (8, 8, 3)}), VIT, tmp_path)
    grey = PLAIN["image"].model_copy(update={"size": (12, 10, 1)})
    made = built("transformers", grey, model=str(tmp_path)).eval()
    assert made.pixels.fit(torch.zeros(2, 1, 12, 10)).shape == (2, 3, 8, 8)
    assert made(drawn(grey, 2)).shape == (2, 16)


def test_pixels_are_normalised_as_imagenet() -> None:
    made = from_scratch(PLAIN["image"], RESNET)
    white = torch.full((1, 12, 10, 3), 255, dtype=torch.uint8)
    expected = (1 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(made.pixels(white)[0, :, 0, 0], expected)
    plain = from_scratch(PLAIN["image"], RESNET, mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5])
    torch.testing.assert_close(plain.pixels(white), torch.ones(1, 3, 12, 10))


def test_short_spectrograms_are_padded_and_long_ones_cut() -> None:
    short = from_scratch(PLAIN["audio"], {**AST, "max_length": 50})
    long = from_scratch(PLAIN["audio"], {**AST, "max_length": 20})
    assert short(drawn(PLAIN["audio"], 2)).shape == long(drawn(PLAIN["audio"], 2)).shape == (2, 16)


@pytest.mark.parametrize("config", [BERT, DISTILBERT])
def test_text_does_not_depend_on_padding(config: dict[str, Any]) -> None:
    made = from_scratch(PLAIN["text"], config).eval()
    x = drawn(PLAIN["text"], 6)
    torch.testing.assert_close(made(nn.functional.pad(x, (0, 5))), made(x), atol=1e-5, rtol=1e-4)
    assert made(torch.zeros(1, 9, dtype=torch.int64)).isfinite().all()


def test_the_mean_leaves_padding_out() -> None:
    made = from_scratch(PLAIN["text"], BERT, pool="mean").eval()
    x = torch.tensor([[3, 4, 0, 0, 0, 0, 0, 0, 0]])
    states: Tensor = made.backbone(input_ids=x, attention_mask=(x != 0).long()).last_hidden_state
    torch.testing.assert_close(made(x), states[:, :2].mean(1))


def test_batch_norm_is_guarded() -> None:
    made = from_scratch(PLAIN["image"].model_copy(update={"size": (2, 2, 3)}), RESNET)
    norms = [module for module in made.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert all(isinstance(module, BatchNorm) for module in norms)
    assert made.train()(torch.zeros(1, 2, 2, 3, dtype=torch.uint8)).isfinite().all()


def test_fit_leaves_what_fits_alone() -> None:
    class Config:
        image_size, num_channels = 6, 3

    x = torch.randn(2, 3, 6, 6)
    assert ResizeInput(Config)(x) is x
    assert ResizeInput(Config)(torch.ones(2, 1, 9, 7)).allclose(torch.ones(2, 3, 6, 6))


@pytest.mark.parametrize(
    ("kind", "options", "sentence"),
    [
        ("image", {}, "needs a model (a name or folder) or a config with a model_type"),
        ("image", {"config": {"model_type": "renset"}}, "transformers knows, did you mean"),
        ("image", {"config": {**RESNET, "depth": 3}}, '"depth" is not a setting of a resnet backbone, did you mean'),
        ("image", {"config": {**RESNET, "hidden_sizes": "wide"}}, "the backbone cannot be built: Validation error"),
        ("image", {"config": BERT}, "a bert backbone reads input_ids, this kind needs one for pixel_values"),
        ("text", {"config": RESNET}, "a resnet backbone reads pixel_values, this kind needs one for input_ids"),
        ("audio", {"config": {**AST, "num_mel_bins": 8}}, "backbone cannot take 2400: "),
        ("image", {"model": "./no such folder"}, 'model "./no such folder" should be a folder with a config.json or'),
        ("image", {"modle": "x"}, '"modle" is not an option of encoder "transformers", did you mean "model"?'),
        ("features", {}, 'encoder "transformers" serves image, audio, video, text, not features'),
        ("text", {"config": {**BERT, "vocab_size": 3}}, "the backbone knows 3 tokens and the tokenizer 13"),
    ],
)
def test_wrong_choices_are_named(kind: str, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        built("transformers", PLAIN[kind], **options)
    assert sentence in str(error.value)
    assert str(error.value).startswith(f'modality "{kind}": ')


def test_a_name_that_cannot_be_fetched_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoConfig

    def offline(*args: Any, **options: Any) -> None:
        raise OSError("We couldn't connect to the hub.\nCheck your internet connection\nor read the manual")

    monkeypatch.setattr(AutoConfig, "from_pretrained", offline)
    with pytest.raises(UsageError, match=r"or a name that can be fetched .* hub: We couldn't connect to the hub\.$"):
        built("transformers", PLAIN["image"], model="microsoft/resnet-18")


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    made = saved(PLAIN["image"], RESNET, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(made.backbone.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(UsageError, match=r"the weights of .* cannot be loaded"):
        built("transformers", PLAIN["image"], model=str(tmp_path))


def test_frames_must_be_the_backbones_own(tmp_path: Path) -> None:
    saved(CLIP, VIDEOMAE, tmp_path)
    with pytest.raises(UsageError, match="the backbone takes 4 frames, found 6"):
        built("transformers", CLIP.model_copy(update={"frames": 6}), model=str(tmp_path))


@pytest.mark.slow
def test_each_encoder_of_a_graph_stands_on_its_own_input() -> None:
    """A residual network on strided maps made the exporter tie every encoder to the first one's batch size."""
    cameras: list[Modality] = [Image(name=name, size=(64, 64, 3)) for name in ("left", "right")]
    encoders = {m.name: build_encoder(m, "transformers", pretrained=False, config=RESNET) for m in cameras}
    graph = export.trace_graph(FusionModel(encoders, FUSIONS["concat"](2, 8, 3), 8), cameras)
    makers = {output: node for node in graph.graph.node for output in node.output}
    for m in cameras:
        reached, left = set(), [f"z.{m.name}"]
        while left:
            name = left.pop()
            if name not in reached:
                reached.add(name)
                left += makers[name].input if name in makers else []
        assert reached & {"left", "right", "present"} == {m.name}


def test_the_bars_of_transformers_are_not_shown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from transformers.utils import logging

    saved(PLAIN["image"], RESNET, tmp_path)
    capfd.readouterr()
    for _ in range(2):
        built("transformers", PLAIN["image"], model=str(tmp_path))
    assert "Loading weights" not in capfd.readouterr().err
    assert logging.is_progress_bar_enabled(), "they are as a user's own program left them"
