"""Pretrained backbones by family, from folders of a few kilobytes: what is read from the folder, and the export."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from checkpoints import (
    AST,
    CLIP_MEAN,
    CLIP_STD,
    RATE,
    WAVES,
    WHISPER,
    clip_tokenizer,
    save,
    save_clip,
    save_waves,
    save_whisper,
    write_world,
)
from samples import PLAIN, built, drawn, exporting
from torch import Tensor
from worlds import Nobody

from robustmm.config.recipe import Recipe, build_recipe, load_recipe
from robustmm.errors import UsageError
from robustmm.exporting.export import export
from robustmm.modalities import Audio, Image, Text
from robustmm.runs import Run
from robustmm.training.build import effective_recipe
from robustmm.training.checkpoint import load_tensors
from robustmm.training.run import train

SOUND = Audio(name="audio", rate=RATE, seconds=0.075)
PICTURE = Image(name="image", size=(12, 10, 3))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def words(clip: Path) -> Text:
    return Text(name="text", length=9, tokenizer=str(clip)).fit_to([])


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.mark.parametrize("model_type", ["wav2vec2", "hubert", "wavlm"])
def test_wave_backbones_hear_what_their_extractor_gives_them(model_type: str, tmp_path: Path) -> None:
    from transformers import AutoModel

    made = built("transformers", SOUND, model=str(save_waves(tmp_path, model_type))).eval()

    def heard(x: Tensor) -> Tensor:
        found: Tensor = built("transformers", SOUND, model=str(tmp_path)).eval()(x)
        return found

    x = 0.4 + 0.1 * drawn(SOUND, 3)
    theirs = AutoModel.from_pretrained(tmp_path).eval()
    normed = (x - x.mean(1, keepdim=True)) / torch.sqrt(x.var(1, keepdim=True, correction=0) + 1e-7)
    torch.testing.assert_close(made(x), theirs(normed).last_hidden_state.mean(1), atol=1e-4, rtol=1e-4)
    assert made.pretrained
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"do_normalize": False}))
    torch.testing.assert_close(heard(x), theirs(x).last_hidden_state.mean(1), atol=1e-5, rtol=1e-4)
    (tmp_path / "preprocessor_config.json").unlink()
    torch.testing.assert_close(heard(x), made(x), msg="these extractors normalise unless they say otherwise")
    nested = {"feature_extractor": {"do_normalize": False}, "image_processor": {"do_normalize": True}}
    (tmp_path / "processor_config.json").write_text(json.dumps(nested))
    torch.testing.assert_close(heard(x), theirs(x).last_hidden_state.mean(1), atol=1e-5, rtol=1e-4)
    normalised = SOUND.model_copy(update={"normalise": "clip"})
    fed = built("transformers", normalised, config={"model_type": model_type, **WAVES})
    assert isinstance(fed.front, torch.nn.Identity), "what the modality normalises is not normalised again"


def test_a_seed_of_torch_is_all_that_a_training_draws_from() -> None:
    """SpecAugment draws from numpy, is on by default, and cannot take short clips."""
    made = built("transformers", SOUND, config={"model_type": "wav2vec2", **WAVES}).train()
    found = []
    for seed in (1, 2):
        np.random.seed(seed)
        torch.manual_seed(0)
        found.append(made(drawn(SOUND, 2)))
    torch.testing.assert_close(*found, rtol=0, atol=0)


def test_whispers_encoder_hears_its_own_spectrogram(whisper: Path) -> None:
    from transformers import AutoModel, WhisperFeatureExtractor

    made, x = built("transformers", SOUND, model=str(whisper)).eval(), drawn(SOUND, 2)
    assert not any("decoder" in name for name in made.state_dict())
    extractor = WhisperFeatureExtractor(feature_size=8)
    features = extractor([*x.numpy()], sampling_rate=RATE, return_tensors="pt", max_length=16 * 160)["input_features"]
    theirs = AutoModel.from_pretrained(whisper).eval().encoder(features).last_hidden_state.mean(1)
    torch.testing.assert_close(made(x), theirs, atol=1e-4, rtol=1e-4)
    fresh = built("transformers", SOUND.model_copy(update={"seconds": 0.5}), config={"model_type": "whisper"} | small())
    assert fresh.config.max_source_positions == 25, "a fresh one fits the modality"


def small() -> dict[str, Any]:
    return {key: value for key, value in WHISPER.items() if key != "max_source_positions"}


def test_a_pretrained_ast_hears_kaldis_spectrogram(tmp_path: Path) -> None:
    from transformers import ASTFeatureExtractor, AutoModel

    extractor = ASTFeatureExtractor(num_mel_bins=16, max_length=20, mean=-5.0, std=3.0)
    save(tmp_path, "audio-spectrogram-transformer", AST, extractor.to_dict())
    made, x = built("transformers", SOUND, model=str(tmp_path)).eval(), drawn(SOUND, 2)
    features = extractor([*x.numpy()], sampling_rate=RATE, return_tensors="pt")
    theirs = AutoModel.from_pretrained(tmp_path).eval()(**features).pooler_output
    torch.testing.assert_close(made(x), theirs, atol=2e-3, rtol=1e-3)
    assert not [name for name in made.state_dict() if not name.startswith("backbone.")], "no statistics to be learnt"


def test_clips_vision_tower_sees_its_own_colours(clip: Path) -> None:
    from transformers import CLIPModel

    eight = PICTURE.model_copy(update={"size": (8, 8, 3)})
    made, x = built("transformers", eight, model=str(clip)).eval(), drawn(eight, 2)
    pixels = ((x / 255 - torch.tensor(CLIP_MEAN)) / torch.tensor(CLIP_STD)).movedim(-1, 1)
    theirs = CLIPModel.from_pretrained(clip).eval().vision_model(pixel_values=pixels).pooler_output
    torch.testing.assert_close(made(x), theirs, atol=1e-5, rtol=1e-4)
    assert built("transformers", PICTURE, model=str(clip)).eval()(drawn(PICTURE, 2)).shape == (2, 16), "resized"
    own = built("transformers", eight, model=str(clip), mean=[0.5, 0.5, 0.5], std=[1, 1, 1])
    assert own.pixels.mean.flatten().tolist() == [0.5, 0.5, 0.5], "the recipe's go first"


@pytest.mark.parametrize("eos", [None, 2], ids=["its own id", "an old configuration"])
def test_clips_text_tower_reads_a_text_off_its_closing_token(eos: int | None, tmp_path: Path) -> None:
    """Its padding is the closing token: the first one is read, those behind it are not attended to."""
    from transformers import CLIPModel

    folder = save_clip(tmp_path, eos)
    text = Text(name="text", length=9, tokenizer=str(folder)).fit_to([])
    made, whole = built("transformers", text, model=str(folder)).eval(), CLIPModel.from_pretrained(folder).eval()
    for sentence in ("! !", "! ! ! ! ! ! ! ! ! ! !", ""):
        ids = torch.from_numpy(text.feed(sentence))[None]
        own = torch.tensor([[*clip_tokenizer().encode(sentence).ids[:8], text.padding_id]])
        length = min(9, len(clip_tokenizer().encode(sentence).ids))
        theirs = whole.text_model(input_ids=own[:, :length] if length < 9 else ids).pooler_output
        torch.testing.assert_close(made(ids), theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("family", "change", "sentence"),
    [
        ("waves", {"rate": 8000}, "the backbone hears 16000 Hz, found rate = 8000"),
        ("waves", {"seconds": 0.001}, "the wav2vec2 backbone cannot take 16: "),
        ("whisper", {"seconds": 2.0}, "the backbone hears at most 0.16 s, found seconds = 2"),
    ],
)
def test_sounds_that_a_backbone_cannot_take(
    family: str, change: dict[str, Any], sentence: str, whisper: Path, tmp_path: Path
) -> None:
    folder = whisper if family == "whisper" else save_waves(tmp_path, "wav2vec2")
    with pytest.raises(UsageError, match=f'^modality "audio": {sentence}'):
        built("transformers", SOUND.model_copy(update=change), model=str(folder))


@pytest.mark.parametrize(
    ("modality", "options", "sentence"),
    [
        (PICTURE, {"config": {"model_type": "timm_wrapper"}}, "this backbone needs timm, which is not installed"),
        (SOUND, {"config": {"model_type": "wav2vec2", "apply_spec_augment": True}}, "apply_spec_augment draws from a"),
        (SOUND, {"config": {"model_type": "wav2vec2-bert"}}, "a wav2vec2-bert backbone reads features that this enco"),
        (PLAIN["text"], {"config": {"model_type": "clip_text_model"}}, "the backbone reads a text off its closing"),
    ],
)
def test_what_cannot_be_built_is_one_sentence(modality: Any, options: dict[str, Any], sentence: str) -> None:
    config = {k: v for k, v in WAVES.items() if k in ("hidden_size", "num_hidden_layers")} | options["config"]
    if config["model_type"] == "timm_wrapper":
        config = {"model_type": "timm_wrapper", "architecture": "resnet18"}
    with pytest.raises(UsageError) as error:
        built("transformers", modality, config=config)
    assert str(error.value).startswith(f'modality "{modality.name}": {sentence}')


def test_weights_that_a_checkpoint_lacks_are_not_drawn_at_random(clip: Path) -> None:
    with pytest.raises(UsageError, match=r'the weights of ".*" lack 16 of the backbone, such as encoder.layers.1'):
        built("transformers", PICTURE, model=str(clip), config={"num_hidden_layers": 2})


def test_a_pooler_without_weights_is_not_used(tmp_path: Path) -> None:
    from transformers import ViTConfig, ViTModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    bare = ViTModel(ViTConfig(image_size=8, patch_size=4, **sizes), add_pooling_layer=False).eval()
    bare.save_pretrained(tmp_path)
    made, x = built("transformers", PICTURE, model=str(tmp_path), mean=[0] * 3, std=[1] * 3).eval(), drawn(PICTURE, 2)
    seen: Tensor = made.pixels(x)
    torch.testing.assert_close(made(x), bare(pixel_values=seen).last_hidden_state.mean(1))


def test_a_damaged_preprocessor_is_one_sentence(tmp_path: Path) -> None:
    save_waves(tmp_path, "wav2vec2")
    (tmp_path / "preprocessor_config.json").write_text("[1")
    with pytest.raises(UsageError, match=r'preprocessor_config.json of ".*" should be a table in JSON: Expecting'):
        built("transformers", SOUND, model=str(tmp_path))


def recipe_of(path: Path, encoders: dict[str, dict[str, Any]], **train_keys: Any) -> Recipe:
    """Each key of `encoders` is a modality: its kind, and what its encoder's table holds."""
    kinds: dict[str, dict[str, Any]] = {
        "image": {"kind": "image", "size": [8, 8, 3]},
        "audio": {"kind": "audio", "rate": RATE, "seconds": 0.075},
        "text": {"kind": "text", "length": 9},
    }
    tables = {
        name: {**kinds[name.split("_")[0]], "column": name.split("_")[0], "encoder": {"name": "transformers", **own}}
        for name, own in encoders.items()
    }
    settings = {"epochs": 2, "batch": 8, "threads": 1, **train_keys}
    content = {"data": {"manifest": str(path)}, "modality": tables, "method": {"name": "joint"}, "train": settings}
    return build_recipe(content, "tiny", "tiny")


class Listens(Nobody):
    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def prove(run: Run) -> None:
    proof = export(run, run.model)
    assert proof.parity_error() is None
    assert len(proof.patterns) >= 4 * len(run.read_facts()["modalities"])
    metadata = onnx.load(run.model).metadata_props
    assert str(run.folder.parent.parent) not in str(metadata), "it shows none of the user's folders"


@exporting
def test_the_recipe_of_the_page_is_trained_and_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/encoders.md: frozen encoders, one that is unfrozen, steps of several batches, bf16."""
    monkeypatch.chdir(tmp_path)
    path, clip, waves = write_world(tmp_path), save_clip(tmp_path / "clip-vit-base-patch32"), tmp_path / "wav2vec2-base"
    save_waves(waves, "wav2vec2")
    page = Path(__file__).parents[3] / "docs" / "encoders.md"
    Path("page.toml").write_text(re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL)[0])
    smaller = ["image.size=[8,8,3]", "text.length=9", "audio.seconds=0.075", "text.encoder.unfreeze=1"]
    shorter = ["train.epochs=2", "train.accumulate=2", "train.threads=1"]
    recipe, watcher = load_recipe(Path("page.toml"), [*(f"modality.{each}" for each in smaller), *shorter]), Listens()
    run = train(recipe, path, tmp_path / "runs", watcher)
    assert watcher.notes[0] == "tokenizer of text: the backbone's own, in clip-vit-base-patch32"
    carried = run.read_facts()["modalities"][1]["tokenizer_json"]
    assert json.loads(carried)["model"] == json.loads((clip / "tokenizer.json").read_text())["model"]
    weights, _ = load_tensors(run.weights)
    for name, tensor in built("transformers", SOUND, model=str(waves)).state_dict().items():
        assert torch.equal(weights[f"encoders.audio.{name}"], tensor), name
    assert all(np.isfinite(list(row.values())).all() for row in watcher.rows)
    prove(run)


@exporting
def test_whisper_hubert_wavlm_and_ast_export(whisper: Path, tmp_path: Path) -> None:
    path = write_world(tmp_path / "data")
    told = {"mean": -4.27, "std": 4.57, "sampling_rate": RATE}
    encoders = {
        "audio_a": {"model": str(whisper)},
        "audio_b": {"model": str(save_waves(tmp_path / "hubert", "hubert", "group"))},
        "audio_c": {"model": str(save_waves(tmp_path / "wavlm", "wavlm"))},
        "audio_d": {"model": str(save(tmp_path / "ast", "audio-spectrogram-transformer", AST, told))},
    }
    prove(train(recipe_of(path, encoders, epochs=1), path, tmp_path / "runs", Nobody()))


def test_a_text_backbone_needs_its_tokenizer(tmp_path: Path, clip: Path) -> None:
    effective = effective_recipe(recipe_of(tmp_path, {"text": {"model": str(clip)}}))
    assert effective.modality["text"]["tokenizer"] == str(clip)
    assert effective_recipe(effective) == effective
    for options in ({"model": str(clip), "pretrained": False}, {"config": {"model_type": "bert"}}):
        assert "tokenizer" not in effective_recipe(recipe_of(tmp_path, {"text": options})).modality["text"]
    (tmp_path / "bare").mkdir()
    with pytest.raises(UsageError, match=r'modality "text": the backbone ".*bare" knows its own tokens only'):
        effective_recipe(recipe_of(tmp_path, {"text": {"model": str(tmp_path / "bare")}}))


def test_the_tokenizer_of_a_name_is_fetched(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []

    def fetch(model: str, name: str, **_: object) -> str:
        fetched.append((model, name))
        return str(clip / name)

    recipe = recipe_of(tmp_path, {"text": {"model": "org/name"}})
    monkeypatch.setattr("transformers.utils.hub.cached_file", fetch)
    assert effective_recipe(recipe).modality["text"]["tokenizer"] == str(clip)
    assert fetched[0] == ("org/name", "tokenizer.json")
    assert ("org/name", "tokenizer_config.json") in fetched, "which says with what it pads"
    for nothing in (lambda *_, **__: None, raise_no_network):
        monkeypatch.setattr("transformers.utils.hub.cached_file", nothing)
        with pytest.raises(UsageError, match=r'backbone "org/name" knows .* nor a name under which one can be fetched'):
            effective_recipe(recipe)


def raise_no_network(*_: object, **__: object) -> None:
    raise OSError("no network")


def test_random_weights_are_not_frozen(tmp_path: Path) -> None:
    path = write_world(tmp_path / "data")
    random = {"config": {"model_type": "vit", "patch_size": 4, "hidden_size": 16, "num_attention_heads": 2}}
    for encoder in ({**random, "freeze": True}, {"name": "conv", "freeze": True}):
        with pytest.raises(UsageError, match=r'^modality "image": freeze would keep the random weights that encoder'):
            train(recipe_of(path, {"image": encoder}), path, tmp_path / "runs", Nobody())
