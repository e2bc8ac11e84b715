"""Models of other tools: a scikit-learn pipeline, and a transformers text and image model as one file."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from worlds import CLASSES

WORDS = ["ants", "bees", "cats", "fly", "sting", "purr"]


@pytest.fixture(scope="module", params=["logistic", "perceptron"])
def fitted(request: pytest.FixtureRequest) -> tuple[Pipeline, Any, Any]:
    """A pipeline, and the samples (40, 12) and labels it was fitted to."""
    rng = np.random.default_rng(0)
    target = rng.integers(3, size=40)
    x = (rng.normal(size=(40, 12)) * 3 + 5 + 2 * np.eye(12)[target] + 2 * np.eye(12)[target + 6]).astype(np.float32)
    last = (
        LogisticRegression()
        if request.param == "logistic"
        else MLPClassifier((6,), alpha=5, solver="lbfgs", tol=1e-3, max_iter=500, random_state=0)
    )
    pipeline = make_pipeline(StandardScaler(), last)
    return pipeline.fit(x, np.array(CLASSES)[target]), x, target


class Dual(torch.nn.Module):
    """A tiny BERT and a tiny ViT under one classifier."""

    def __init__(self) -> None:
        from transformers import BertConfig, BertModel, ViTConfig, ViTModel

        super().__init__()
        torch.manual_seed(0)
        size: dict[str, Any] = {
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 32,
        }
        size["attn_implementation"] = "eager"  # torch's other one answers otherwise where all is masked
        self.text = BertModel(BertConfig(vocab_size=4 + len(WORDS), max_position_embeddings=16, **size))
        self.image = ViTModel(ViTConfig(image_size=8, patch_size=4, **size))
        self.head = torch.nn.Linear(32, 3)

    def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any, pixel_values: Any) -> Any:
        read = self.text(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
        seen = self.image(pixel_values=pixel_values)
        return 20 * self.head(torch.cat([read.last_hidden_state[:, 0], seen.last_hidden_state[:, 0]], 1))


@pytest.fixture(scope="session")
def dual(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.nn.Module]:
    """An export as the transformers library's users make it, with its tokenizer beside it."""
    from robustmm.exporting.graph import silence_exporter

    folder = tmp_path_factory.mktemp("dual")
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])},
                                           unk_token="[UNK]"))  # fmt: skip
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    model = Dual().eval()
    ids = torch.ones(3, 9, dtype=torch.int64)
    names = ["input_ids", "attention_mask", "token_type_ids", "pixel_values"]
    with silence_exporter():
        batch = torch.export.Dim("batch", min=1)
        program = torch.onnx.export(
            model, (ids, ids.clone(), ids * 0, torch.zeros(3, 3, 8, 8)), input_names=names, output_names=["logits"],
            dynamic_shapes={name: {0: batch} for name in names}, opset_version=20, dynamo=True, verbose=False,
        )  # fmt: skip
    assert program is not None
    onnx.save(program.model_proto, folder / "theirs.onnx")
    return folder / "theirs.onnx", model
