"""Two modalities under one classifier, trained briefly and exported by torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from makers.data import FILLERS, SAMPLES, SIDE, TRAIN, WORDS, Samples

LENGTH = 12
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def save_tokenizer(folder: Path) -> Tokenizer:
    """A word tokenizer with BERT's special tokens, as a checkpoint has it."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(w for some in WORDS.values() for w in some), *FILLERS]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]", length=LENGTH)
    tokenizer.enable_truncation(LENGTH)
    tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer


def tokenize(tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[Any, Any]:
    """Ids and attention mask (n, LENGTH)."""
    found = tokenizer.encode_batch(list(texts))
    return np.array([e.ids for e in found]), np.array([e.attention_mask for e in found])


def train(model: torch.nn.Module, inputs: Sequence[Any], samples: Samples, epochs: int, rate: float = 3e-3) -> None:
    """Fits a model to the training samples, on one thread."""
    given = [torch.as_tensor(x[:TRAIN]) for x in inputs]
    target = torch.as_tensor(samples.label[:TRAIN])
    optimiser = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.05)
    draws = torch.Generator().manual_seed(0)
    model.train()
    for _ in range(epochs):
        for rows in torch.randperm(TRAIN, generator=draws).split(32):
            loss = torch.nn.functional.cross_entropy(model(*(x[rows] for x in given)), target[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    model.eval()


def save(model: torch.nn.Module, inputs: Sequence[Any], names: Sequence[str], path: Path, dynamo: bool) -> None:
    """Exports with either of torch's exporters, the batch left open."""
    from robustmm.exporting.graph import silence_exporter

    given = tuple(torch.as_tensor(x[:3]).clone() for x in inputs)
    with silence_exporter():
        if dynamo:
            batch = torch.export.Dim("batch", min=1)
            program = torch.onnx.export(
                model, given, input_names=names, output_names=["logits"], dynamo=True, opset_version=20, verbose=False,
                dynamic_shapes={name: {0: batch} for name in names},
            )  # fmt: skip
            assert program is not None
            onnx.save(program.model_proto, path)
        else:
            axes = {name: {0: "batch"} for name in [*names, "logits"]}
            torch.onnx.export(
                model, given, str(path), input_names=list(names), output_names=["logits"], dynamo=False,
                dynamic_axes=axes, opset_version=17,
            )  # fmt: skip


def normalise(photo: Any, mean: Any = 0.0, std: Any = 1.0) -> Any:
    """Pixels (n, H, W, 3) as torchvision hands them over: (n, 3, H, W)."""
    scaled = (photo.astype(np.float32) / np.float32(255) - np.float32(mean)) / np.float32(std)
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


def pad_end(waves: Sequence[Any]) -> Any:
    """Waves (n, SAMPLES) in [-1, 1), filled up with silence at their end, as most pipelines do."""
    return np.stack([np.pad(w.astype(np.float32) / np.float32(32768), (0, SAMPLES - len(w))) for w in waves])


class Channels(torch.nn.Module):
    """A small convolutional tower: pictures (n, 3, H, W) to (n, 16)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
            torch.nn.Conv2d(16, 16, 3, padding=1), torch.nn.ReLU(),
        )  # fmt: skip

    def forward(self, x: Any) -> Any:
        return self.layers(x).mean((2, 3))


class Keras(torch.nn.Module):
    """Channels last, a softmax inside, measurements beside: as tf2onnx converts a Keras model."""

    def __init__(self, mean: Any, std: Any) -> None:
        super().__init__()
        self.tower, self.head = Channels(), torch.nn.Linear(20, 3)
        self.register_buffer("mean", torch.as_tensor(mean))
        self.register_buffer("std", torch.as_tensor(std))

    def forward(self, photo: Any, vitals: Any) -> Any:
        seen = self.tower(photo.permute(0, 3, 1, 2))
        return self.head(torch.cat([seen, (vitals - self.mean) / self.std], 1))


class Probabilities(torch.nn.Module):
    """A model with its softmax."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Any) -> Any:
        return self.model(*inputs).softmax(1)


class BertResnet(torch.nn.Module):
    def __init__(self) -> None:
        from transformers import BertConfig, BertModel, ResNetConfig, ResNetModel

        super().__init__()
        size: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
        size |= {"intermediate_size": 64, "attn_implementation": "eager", "max_position_embeddings": LENGTH}
        self.text = BertModel(BertConfig(vocab_size=32, **size))
        self.image = ResNetModel(
            ResNetConfig(embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic")
        )
        self.head = torch.nn.Linear(64, 3)

    def forward(self, input_ids: Any, attention_mask: Any, pixel_values: Any) -> Any:
        read = self.text(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state[:, 0]
        seen = self.image(pixel_values).pooler_output.flatten(1)
        return self.head(torch.cat([read, seen], 1))


class ClipHead(torch.nn.Module):
    """CLIP's two towers and a classifier over both embeddings."""

    def __init__(self) -> None:
        from transformers import CLIPConfig, CLIPModel

        super().__init__()
        size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
        text = {
            **size,
            "vocab_size": 32,
            "max_position_embeddings": LENGTH,
            "eos_token_id": 3,
            "bos_token_id": 2,
            "pad_token_id": 0,
        }
        config = CLIPConfig(
            text_config=text, vision_config={**size, "image_size": SIDE, "patch_size": 4}, projection_dim=24
        )
        config._attn_implementation = "eager"
        self.clip, self.head = CLIPModel(config), torch.nn.Linear(48, 3)

    def forward(self, input_ids: Any, attention_mask: Any, pixel_values: Any) -> Any:
        read = self.clip.text_model(input_ids=input_ids, attention_mask=attention_mask).pooler_output
        seen = self.clip.vision_model(pixel_values=pixel_values).pooler_output
        both = [self.clip.text_projection(read), self.clip.visual_projection(seen)]
        return self.head(torch.cat([x / x.norm(dim=1, keepdim=True) for x in both], 1) * 5)


class WaveImage(torch.nn.Module):
    """A network over raw samples and one over pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.ear = torch.nn.Sequential(
            torch.nn.Conv1d(1, 16, 64, 8), torch.nn.ReLU(), torch.nn.Conv1d(16, 16, 8, 4), torch.nn.ReLU(),
        )  # fmt: skip
        self.eye, self.head = Channels(), torch.nn.Linear(16 * 28 + 16, 3)

    def forward(self, waveform: Any, photo: Any) -> Any:
        return self.head(torch.cat([self.ear(waveform[:, None]).flatten(1), self.eye(photo)], 1))
