"""How true the announced time of an audit is, on models of other tools: python benchmarks/cost.py [FOLDER]

Three files are made and audited by one process on one thread: a scikit-learn pipeline on two sensors, two small
ResNets in one graph, and a small BERT beside a picture. Both sides are processor time, so that a busy machine slows
them alike; seconds on the clock stand beside them. The budget: announced over true between 1/1.5 and 1.5.
"""

import csv
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from robustmm.auditing import cost, prepare
from robustmm.auditing.spec import Spec, open_spec
from robustmm.exporting.export import silence_exporter

SAMPLES = {"sensors": 400, "resnets": 96, "bert": 96}
WORDS = ["ants", "bees", "cats", "fly", "sting", "purr", "in", "the", "sun"]


class Quiet:
    def note(self, text: str) -> None: ...

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        yield lambda steps: None


def write_manifest(folder: Path, label: np.ndarray, cells: dict[str, list[str]]) -> None:
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "split", "label", *cells])
        for i, k in enumerate(label):
            split = "train" if i % 4 == 0 else "test"
            writer.writerow([f"s{i}", split, ["no", "yes"][k], *(column[i] for column in cells.values())])


def export(folder: Path, module: torch.nn.Module, arguments: tuple[Any, ...], names: list[str]) -> None:
    batch = torch.export.Dim("batch", min=1)
    with silence_exporter():
        program = torch.onnx.export(
            module.eval(), arguments, input_names=names, output_names=["logits"],
            dynamic_shapes={name: {0: batch} for name in names}, opset_version=20, dynamo=True, verbose=False,
        )  # fmt: skip
    assert program is not None
    onnx.save(program.model_proto, folder / "theirs.onnx")


def sensors(folder: Path, n: int) -> str:
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    label = np.arange(n) % 2
    x = np.random.default_rng(0).normal(size=(n, 12)).astype("float32") + label[:, None]
    np.save(folder / "near.npy", x[:, :8])
    np.save(folder / "far.npy", x[:, 8:])
    write_manifest(folder, label, {name: [f"{name}.npy#{i}" for i in range(n)] for name in ("near", "far")})
    fitted = LogisticRegression().fit(x, label)
    model = to_onnx(fitted, x[:1], options={"zipmap": False})
    (folder / "theirs.onnx").write_bytes(model.SerializeToString())
    keys = 'kind = "features"\ninput = "X"\nmissing = "mean"\nmean = '
    return (
        'classes = ["no", "yes"]\n[output]\nname = "probabilities"\nactivation = "none"\n'
        f"[modality.near]\nlength = 8\ncolumns = [0, 8]\n{keys}{[0.5] * 8}\n"
        f"[modality.far]\nlength = 4\ncolumns = [8, 12]\n{keys}{[0.5] * 4}\n"
    )


class TwoResNets(torch.nn.Module):
    def __init__(self) -> None:
        from transformers import ResNetConfig, ResNetModel

        super().__init__()
        config = ResNetConfig(embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic")
        self.left, self.right = ResNetModel(config), ResNetModel(config)
        self.head = torch.nn.Linear(64, 2)

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        seen = [self.left(left).pooler_output, self.right(right).pooler_output]
        answer: torch.Tensor = self.head(torch.cat(seen, 1).flatten(1))
        return answer


def pictures(folder: Path, name: str, n: int, size: int) -> list[str]:
    drawn = np.random.default_rng(len(name)).integers(0, 256, (n, size, size, 3), dtype=np.uint8)
    np.save(folder / f"{name}.npy", drawn)
    return [f"{name}.npy#{i}" for i in range(n)]


def resnets(folder: Path, n: int) -> str:
    torch.manual_seed(0)
    export(folder, TwoResNets(), (torch.zeros(3, 3, 64, 64), torch.zeros(3, 3, 64, 64)), ["left", "right"])
    cells = {name: pictures(folder, name, n, 64) for name in ("left", "right")}
    write_manifest(folder, np.arange(n) % 2, cells)
    head = 'classes = ["no", "yes"]\n[output]\nname = "logits"\nactivation = "softmax"\n'
    keys = 'kind = "image"\nsize = [64, 64, 3]\nlayout = "NCHW"\ndivide = 255\n'
    return head + "".join(f"[modality.{name}]\n{keys}" for name in ("left", "right"))


class Reader(torch.nn.Module):
    """A BERT of two layers and a small convolution."""

    def __init__(self) -> None:
        from transformers import BertConfig, BertModel

        super().__init__()
        config = BertConfig(
            vocab_size=4 + len(WORDS), hidden_size=128, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=512, max_position_embeddings=64, attn_implementation="eager",
        )  # fmt: skip
        self.text = BertModel(config)
        self.image = torch.nn.Sequential(
            torch.nn.Conv2d(3, 16, 3, 2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
        )
        self.head = torch.nn.Linear(144, 2)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
        read = self.text(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state[:, 0]
        answer: torch.Tensor = self.head(torch.cat([read, self.image(pixels)], 1))
        return answer


def bert(folder: Path, n: int) -> str:
    from tokenizers import Tokenizer, models, pre_tokenizers

    torch.manual_seed(0)
    ids = torch.ones(3, 32, dtype=torch.int64)
    names = ["input_ids", "attention_mask", "pixels"]
    export(folder, Reader(), (ids, ids.clone(), torch.zeros(3, 3, 32, 32)), names)
    known = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, 12)) for _ in range(n)]
    write_manifest(folder, np.arange(n) % 2, {"text": texts, "picture": pictures(folder, "picture", n, 32)})
    return (
        'classes = ["no", "yes"]\n[output]\nname = "logits"\nactivation = "softmax"\n'
        '[modality.text]\nkind = "text"\nlength = 32\ntokenizer = "tokenizer.json"\ninput = "input_ids"\n'
        'mask = "attention_mask"\n[modality.picture]\nkind = "image"\nsize = [32, 32, 3]\ninput = "pixels"\n'
        'layout = "NCHW"\ndivide = 255\n'
    )


def compare(name: str, make: Callable[[Path, int], str], suite: str, folder: Path) -> None:
    """Announced and true seconds of one audit."""
    folder.mkdir(parents=True)
    (folder / "theirs.toml").write_text(make(folder, SAMPLES[name] * 4 // 3))
    spec = Spec(folder / "theirs.onnx", folder / "manifest.csv", folder / "theirs.toml")
    plan = prepare.build_plan(suite, spec, (), 0.9, None)
    out = folder / "audit"
    prepare.create_folder(out, fresh=False)
    audit = prepare.build_audit(spec, plan, out, 1, Quiet())
    cost.CLOCK = time.process_time
    began = time.process_time()
    price = cost.estimate_cost(open_spec(spec), plan.conditions)
    announcing = time.process_time() - began
    clock, began = time.perf_counter(), time.process_time()
    result = audit.run()
    true, clock = time.process_time() - began, time.perf_counter() - clock
    print(
        f"{name}: {len(plan.conditions)} conditions of `{suite}` on {result.samples} samples, "
        f"{len(result.breaking_levels)} sweeps: announced {price.seconds:.1f} s (which took {announcing:.1f} s), "
        f"true {true:.1f} s ({clock:.1f} on the clock), ratio {price.seconds / true:.2f}"
    )


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(temporary)
        compare("sensors", sensors, "sensors", folder / "sensors")
        compare("resnets", resnets, "quick", folder / "resnets")
        compare("bert", bert, "quick", folder / "bert")
        compare("bert", bert, "common", folder / "bert-common")


if __name__ == "__main__":
    main()
