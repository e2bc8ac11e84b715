"""One small modality of each kind, random batches of it, and the proof that encoders of it export."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from robustmm.modalities import Audio, Features, Image, Modality, Series, Text, Video
from robustmm.modalities.text import train_tokenizer
from robustmm.model.encoders import Encoder, build_encoder
from robustmm.model.fusion import build_fusion
from robustmm.model.fusion_model import FusionModel

WORDS = train_tokenizer(["the cat sat on the mat while a dog ran in the sun"], 50)
PLAIN = {
    "image": Image(name="image", size=(12, 10, 3)),
    "audio": Audio(name="audio", rate=8000, seconds=0.3),
    "video": Video(name="video", frames=5, size=(12, 14, 1)),
    "text": Text(name="text", length=9, tokenizer_json=WORDS),
    "series": Series(name="series", steps=21, channels=3),
    "features": Features(name="features", length=11),
}
exporting = pytest.mark.filterwarnings(  # torch's exporter about itself
    "ignore:# The axis name. batch will not be used:UserWarning", "ignore:.isinstance.treespec, LeafSpec:FutureWarning"
)


def drawn(modality: Modality, batch: int, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    if isinstance(modality, Text):
        ids = rng.integers(1, modality.vocabulary_size, (batch, modality.length))
        ids[np.arange(modality.length) >= rng.integers(0, modality.length + 1, batch)[:, None]] = 0
        return torch.from_numpy(ids)
    if modality.dtype == np.uint8:
        return torch.from_numpy(rng.integers(0, 256, (batch, *modality.shape), np.uint8))
    return torch.from_numpy(rng.uniform(-1, 1, (batch, *modality.shape)).astype(np.float32))


def built(name: str, modality: Modality, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return build_encoder(modality, name, **options)


class Whole(nn.Module):
    """A model as one graph, under several fusions: inputs by modality and `present`, to z and each one's logits."""

    def __init__(self, encoders: Mapping[str, Encoder], fusions: Iterable[str]) -> None:
        super().__init__()
        made = [FusionModel(encoders, build_fusion(name, len(encoders), 16, 4), 16) for name in fusions]
        self.models = nn.ModuleList(made)
        self.outputs = ["z", *(f"logits_{name}" for name in fusions)]

    def forward(self, inputs: Mapping[str, Tensor], present: Tensor) -> list[Tensor]:
        z = self.models[0].embed(inputs)
        return [z, *(model.decode(z, present) for model in self.models)]


def exported(whole: Whole, modalities: Mapping[str, Modality], path: Path) -> onnxruntime.InferenceSession:
    batch = torch.export.Dim("batch", min=1, max=4096)
    torch.onnx.export(
        whole,
        ({m: drawn(modality, 3) for m, modality in modalities.items()}, torch.ones(3, len(modalities)).bool()),
        path,
        dynamo=True,
        dynamic_shapes=({m: {0: batch} for m in modalities}, {0: batch}),
        input_names=[*modalities, "present"],
        output_names=whole.outputs,
        verbose=False,
    )
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def agrees(
    encoders: Mapping[str, Encoder],
    modalities: Mapping[str, Modality],
    folder: Path,
    fusions: Iterable[str] = ("concat",),
) -> None:
    """Asserts that the exported graph answers as torch does, at batches of other sizes than it was exported with."""
    whole = Whole(encoders, fusions).eval()
    session = exported(whole, modalities, folder / "model.onnx")
    for batch in (1, 2, 7):
        inputs = {m: drawn(modality, batch, seed=batch) for m, modality in modalities.items()}
        present = torch.rand(batch, len(modalities)) < 0.6
        with torch.no_grad():
            expected = whole(inputs, present)
        fed = {m: x.numpy() for m, x in inputs.items()} | {"present": present.numpy()}
        for ours, theirs in zip(expected, session.run(whole.outputs, fed), strict=True):
            np.testing.assert_allclose(theirs, ours.numpy(), atol=1e-4)
