"""Checkpoints as the Hugging Face hub holds them, of random weights and a few kilobytes, and data for them."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from signals import WORDS

LAYER = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
WAVES = {
    "conv_dim": [8, 8], "conv_stride": [8, 8], "conv_kernel": [16, 8], "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2, **LAYER,
}  # fmt: skip
WHISPER = {
    "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "num_mel_bins": 8, "vocab_size": 20,
    "max_source_positions": 8, "max_target_positions": 8, "pad_token_id": 1, "bos_token_id": 1, "eos_token_id": 1,
    "decoder_start_token_id": 1,
}  # fmt: skip
AST = {"num_mel_bins": 16, "max_length": 20, "frequency_stride": 8, "time_stride": 8, "patch_size": 8, **LAYER}
CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
CLASSES = ("ant", "bee")
RATE = 16_000


def save(folder: Path, model_type: str, settings: dict[str, Any], preprocessor: dict[str, Any] | None = None) -> Path:
    """A checkpoint of this type in a new folder, with a preprocessor_config.json beside it."""
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(0)
    AutoModel.from_config(AutoConfig.for_model(model_type, **settings)).save_pretrained(folder)
    if preprocessor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder


def save_waves(folder: Path, model_type: str, norm: str = "layer") -> Path:
    """`norm` "group" takes no notice of a wave's offset and scale; "layer" does."""
    settings = {**WAVES, "feat_extract_norm": norm, "conv_bias": True}
    return save(folder, model_type, settings, {"sampling_rate": RATE, "do_normalize": True})


def save_whisper(folder: Path) -> Path:
    return save(folder, "whisper", WHISPER, {"sampling_rate": RATE, "feature_size": 8})


def save_clip(folder: Path, eos: int | None = None) -> Path:
    """CLIP with both towers and a tokenizer that closes, and pads, with its last token; `eos` 2 is an old one's."""
    content = clip_tokenizer()
    words = content.get_vocab_size()
    text = {**LAYER, "vocab_size": words, "max_position_embeddings": 12, "bos_token_id": words - 2, "pad_token_id": 1}
    text["eos_token_id"] = words - 1 if eos is None else eos
    vision = {**LAYER, "image_size": 8, "patch_size": 4}
    colours = {"image_mean": CLIP_MEAN, "image_std": CLIP_STD, "do_normalize": True}
    save(folder, "clip", {"vision_config": vision, "text_config": text, "projection_dim": 16}, colours)
    content.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "<|endoftext|>"}))
    return folder


def clip_tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    names = ["[UNK]", "!", *sorted(set(WORDS)), "<|startoftext|>", "<|endoftext|>"]
    ids = {name: i for i, name in enumerate(names)}
    made = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="<|startoftext|> $A <|endoftext|>", special_tokens=[(name, ids[name]) for name in names[-2:]]
    )
    return made


def write_world(folder: Path, samples: int = 24, length: int = 1200) -> Path:
    """A manifest of pictures, sounds and words of two classes; no column tells everything."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    target = np.arange(samples) % 2
    pictures = rng.integers(0, 200, (samples, 8, 8, 3)) + 50 * target[:, None, None, None]
    np.save(folder / "image.npy", pictures.astype(np.uint8))
    sounds = 0.2 * rng.normal(size=(samples, length)) + 0.2 * np.sin(np.arange(length) * (0.2 + 0.2 * target[:, None]))
    np.save(folder / "audio.npy", sounds.clip(-1, 1).astype(np.float32))
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "split", "label", "image", "audio", "text"])
        for i in range(samples):
            split = ("train", "train", "valid")[i // 2 % 3]
            text = " ".join(WORDS[(i + k) % 5 + 5 * target[i]] for k in range(1 + i % 4))
            writer.writerow([f"s{i}", split, CLASSES[target[i]], f"image.npy#{i}", f"audio.npy#{i}", text])
    return folder / "manifest.csv"
