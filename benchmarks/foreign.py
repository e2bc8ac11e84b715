"""What cutting a foreign graph saves: python benchmarks/foreign.py [FOLDER]

Two ResNet-18s under one classifier, exported by torch, described, and audited with a factorial suite: cut into encoders
and a head, against the same session with its graph left whole (what every condition and subset of modalities cost
before graphs were cut). One run, one thread, same data; the answers are held against each other. Budget: 15 times.
"""

import csv
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from transformers import ResNetConfig, ResNetModel

from robustmm.auditing.run import CLEAN
from robustmm.conditions.cross import CrossTable
from robustmm.data.manifest import read_manifest
from robustmm.evaluation.evaluate import evaluate
from robustmm.runtime.foreign.session import ForeignSession

SIZE, SAMPLES = 64, 24
NAMES = ("left", "right")
CROSSING = CrossTable(noise=("gaussian", "contrast"), level=(0.2, 0.6, 1.0), of="all")
DESCRIPTION = 'classes = ["a", "b", "c", "d"]\n[output]\nname = "logits"\n' + "".join(
    f'[modality.{name}]\nkind = "image"\nsize = [{SIZE}, {SIZE}, 3]\nlayout = "NCHW"\ndivide = 255.0\n'
    for name in NAMES
)


class Two(torch.nn.Module):
    """Two towers and a classifier over both."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        config = ResNetConfig(depths=[2] * 4, hidden_sizes=[64, 128, 256, 512], layer_type="basic", embedding_size=64)
        self.towers = torch.nn.ModuleList(ResNetModel(config) for _ in NAMES)
        self.head = torch.nn.Linear(1024, 4)

    def forward(self, left: Any, right: Any) -> Any:
        seen = [tower(x).pooler_output.flatten(1) for tower, x in zip(self.towers, (left, right), strict=True)]
        return self.head(torch.cat(seen, 1))


def write(folder: Path) -> tuple[Path, Path, Path]:
    """The model, its description, and a manifest."""
    rng = np.random.default_rng(0)
    for name in NAMES:
        np.save(folder / f"{name}.npy", rng.integers(0, 256, (SAMPLES, SIZE, SIZE, 3), dtype=np.uint8))
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "split", "label", *NAMES])
        for i in range(SAMPLES):
            writer.writerow([f"s{i}", "test", "abcd"[i % 4], *(f"{name}.npy#{i}" for name in NAMES)])
    batch = torch.export.Dim("batch", min=1)
    given = tuple(torch.zeros(3, 3, SIZE, SIZE) for _ in NAMES)
    program = torch.onnx.export(
        Two().eval(), given, input_names=NAMES, output_names=["logits"], dynamo=True,
        dynamic_shapes={name: {0: batch} for name in NAMES}, opset_version=20, verbose=False,
    )  # fmt: skip
    assert program is not None
    onnx.save(program.model_proto, folder / "theirs.onnx")
    (folder / "theirs.toml").write_text(DESCRIPTION)
    return folder / "theirs.onnx", folder / "theirs.toml", folder / "manifest.csv"


def main(folder: Path) -> None:
    model, description, manifest = write(folder)
    rows, seconds, answers = read_manifest(manifest).split("test"), {}, {}
    for cut in (True, False):
        session = ForeignSession(model, description, threads=1, cut=cut)
        print(f"cut {cut}: encoders apart: {', '.join(session.encoded) or 'none'}")
        conditions = [CLEAN, *CROSSING.conditions(session.modalities)]
        began = time.perf_counter()
        found = evaluate(session, rows, conditions)[0]
        seconds[cut] = time.perf_counter() - began
        answers[cut] = np.stack([record.probabilities for record in found])
    assert np.abs(answers[True] - answers[False]).max() < 1e-5
    print(
        f"factorial, foreign, 2 modalities: {len(conditions)} conditions, 4 subsets, {len(rows)} samples: "
        f"whole {seconds[False]:.1f} s, cut {seconds[True]:.1f} s, "
        f"{seconds[False] / seconds[True]:.0f} times faster"
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as made:
            main(Path(made))
