"""What each method's epoch costs over joint training, on ResNet-18 encoders: python benchmarks/training.py [METHOD ...]

Synthetic images, 2 and 4 modalities, one fifth of the inputs missing, batches of 32 at 64 px, SGD. Each step of a
method stands between two of joint training and is divided by their mean, so that a machine that slows down slows both;
the figure is the median of these ratios. Teachers are trained before the first epoch and only their answers are used
later: they are not in an epoch's time. Budgets: cal 1.15, mce 1.5.

    python benchmarks/training.py --loop

What the loop itself costs where the network is small: a step of `joint` in `training.loop.fit`, on views that are
vectors, over a step of a plain torch loop with the same layers, AdamW, batches and one thread, written out below (no
presence masks, no clipping). Epochs of both take turns; the median of the ratios by turn. Budget: 1.3.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustmm.config.recipe import Train
from robustmm.data.storage.split import Split
from robustmm.methods import METHODS, Batch, Method, build_method
from robustmm.modalities import Features, Image
from robustmm.model.encoders import build_encoder
from robustmm.model.fusion import FUSIONS
from robustmm.model.fusion_model import FusionModel
from robustmm.progress import Silence
from robustmm.training.data import TrainingSplit
from robustmm.training.loop import fit

SIZE, BATCH, CLASSES, WIDTH, STEPS = 64, 32, 10, 128, 9
RESNET18 = {"model_type": "resnet", "depths": [2] * 4, "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"}
SETTLED = 30  # epochs done: warm-ups are over, every term is paid


VIEWS = {"six views of 6 to 240": (240, 76, 216, 47, 64, 6), "three views of 20": (20, 20, 20)}
ROWS, SMALL_BATCH, SMALL_WIDTH, TURNS = 64 * 40, 64, 32, 9


class Data:
    """A batch that is the whole training split."""

    def __init__(self, M: int) -> None:
        random = np.random.default_rng(0)
        self.modalities = tuple(f"m{m}" for m in range(M))
        self.classes, self.class_weight, self.epochs = CLASSES, None, 100
        self.present = torch.from_numpy(random.random((BATCH, M)) > 0.2)
        self.target = torch.from_numpy(random.integers(0, CLASSES, BATCH))
        shape = (BATCH, SIZE, SIZE, 3)
        self.inputs = {m: torch.from_numpy(random.integers(0, 255, shape, dtype=np.uint8)) for m in self.modalities}

    def unimodal_logits(self) -> Tensor:
        return torch.randn(BATCH, len(self.modalities), CLASSES)

    def joint_answers(self, width: int) -> tuple[Tensor, Tensor]:
        return torch.randn(BATCH, width), torch.randn(BATCH, CLASSES)

    def samples(self) -> Iterator[Batch]:
        yield Batch(self.inputs, self.present, self.target, torch.arange(BATCH))


class Run:
    """One method with a model and an optimiser of its own."""

    def __init__(self, name: str, data: Data) -> None:
        torch.manual_seed(0)
        M = len(data.modalities)
        image = Image(name="m", kind="image", size=(SIZE, SIZE, 3))
        encoders = {m: build_encoder(image, "transformers", pretrained=False, config=RESNET18) for m in data.modalities}
        self.model = FusionModel(encoders, FUSIONS["concat"](M, WIDTH, CLASSES), WIDTH)
        self.method: Method = build_method(name, {})
        self.method.setup(self.model, data)
        for part in (self.method, *self.method.children()):
            for one in (part, *part.children()):
                if isinstance(one, Method):
                    one.epoch.fill_(SETTLED)
        self.data = data
        parameters = [p for p in (*self.model.parameters(), *self.method.parameters()) if p.requires_grad]
        self.optimiser = torch.optim.SGD(parameters, lr=1e-3, momentum=0.9)

    def step(self) -> float:
        """Seconds."""
        start = time.perf_counter()
        data = self.data
        batch = Batch(data.inputs, data.present, data.target, torch.arange(BATCH))
        losses = self.method.losses(self.model, batch, self.model.embedding(batch.inputs, batch.present))
        self.optimiser.zero_grad(set_to_none=True)
        self.method.backward(self.model, losses)
        torch.nn.utils.clip_grad_norm_([p for g in self.optimiser.param_groups for p in g["params"]], 40.0)
        self.optimiser.step()
        return time.perf_counter() - start


class Plain(nn.Module):
    """The layers of a FusionModel over features with `mlp` encoders and `concat`, and nothing else."""

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()

        def encoder(size: int) -> nn.Sequential:
            layers: list[nn.Module] = []
            for before, after in pairwise((size, 256, 128)):
                layers += [nn.Linear(before, after), nn.LayerNorm(after), nn.ReLU(), nn.Dropout(0.1)]
            return nn.Sequential(*layers, nn.Linear(128, SMALL_WIDTH))

        self.encoders = nn.ModuleList(map(encoder, sizes))
        self.head = nn.Linear(SMALL_WIDTH * len(sizes), CLASSES)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        encoded = [encoder(x) for encoder, x in zip(self.encoders, inputs, strict=True)]
        logits: Tensor = self.head(torch.cat(encoded, 1))
        return logits


def run_plain_epoch(model: Plain, optimiser: torch.optim.Optimizer, inputs: Sequence[Tensor], target: Tensor) -> float:
    """Seconds of the median step."""
    times = []
    for rows in torch.randperm(len(target)).split(SMALL_BATCH):
        start = time.perf_counter()
        loss = F.cross_entropy(model([x[rows] for x in inputs]), target[rows])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        times.append(time.perf_counter() - start)
    return median(times)


class Steps(Silence):
    """A watcher that takes the time between steps: the first of an epoch is not counted."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def step(self, count: int = 1) -> None:
        self.ends.append(time.perf_counter())


def run_joint_epoch(model: FusionModel, data: TrainingSplit, valid: TrainingSplit, settings: Train) -> float:
    """Seconds of the median step in the loop of `robustmm train`."""
    method, steps = build_method("joint", {}), Steps()
    method.setup(model, data)
    fit(model, method, data, valid, settings, steps)
    return median(after - before for before, after in pairwise(steps.ends))


def compare_loops(sizes: Sequence[int]) -> tuple[float, float]:
    """Seconds of a plain step, and the ratio."""
    random = np.random.default_rng(0)
    target = random.integers(0, CLASSES, ROWS)
    inputs = {f"v{k}": random.normal(size=(ROWS, size)).astype(np.float32) for k, size in enumerate(sizes)}
    split = Split([str(row) for row in range(ROWS)], inputs, np.ones((ROWS, len(sizes)), dtype=bool), target, [], {})
    data = TrainingSplit(split, CLASSES, torch.device("cpu"))
    valid = data.without_changes()
    valid.inputs = {name: x[:2] for name, x in data.inputs.items()}
    valid.present, valid.target = data.present[:2], data.target[:2]
    features = {n: Features(name=n, length=x.shape[1], mean=(0.0,) * x.shape[1], std=(1.0,) * x.shape[1])
                for n, x in inputs.items()}  # fmt: skip
    encoders = {name: build_encoder(one, "mlp") for name, one in features.items()}
    ours = FusionModel(encoders, FUSIONS["concat"](len(sizes), SMALL_WIDTH, CLASSES), SMALL_WIDTH)
    plain = Plain(sizes)
    optimiser = torch.optim.AdamW(plain.parameters(), lr=1e-3, weight_decay=1e-4)
    settings, plain_seconds, ratios = Train(epochs=1, batch=SMALL_BATCH, optimiser="adamw"), [], []
    for turn in range(TURNS + 1):
        theirs = run_plain_epoch(plain, optimiser, list(data.inputs.values()), data.target)
        joint = run_joint_epoch(ours, data, valid, settings)
        if turn:  # the first one warms up
            plain_seconds.append(theirs)
            ratios.append(joint / theirs)
    return median(plain_seconds), median(ratios)


def main(names: list[str]) -> None:
    if names == ["--loop"]:
        torch.set_num_threads(1)
        for views, sizes in VIEWS.items():
            seconds, ratio = compare_loops(sizes)
            print(f"{views}: a plain step takes {1000 * seconds:.2f} ms, joint {ratio:.2f} x", flush=True)
        return
    for M in (2, 4):
        data = Data(M)
        joint = Run("joint", data)
        seconds = [joint.step() for _ in range(3)][1:]
        print(f"{M} modalities, joint {median(seconds):.2f} s a step ({torch.get_num_threads()} threads)", flush=True)
        for name in names:
            run, ratios = Run(name, data), []
            run.step()  # warms up
            before = joint.step()
            for _ in range(STEPS):
                step, after = run.step(), joint.step()
                ratios.append(2 * step / (before + after))
                before = after
            print(f"  {name:16s} {median(ratios):5.2f} x", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or [*sorted(set(METHODS) - {"joint"}), "joint+unimodal", "cal+mce"])
