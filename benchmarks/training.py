"""What each method's epoch costs over joint training, on ResNet-18 encoders: python benchmarks/training.py [METHOD ...]

Synthetic images, 2 and 4 modalities, one fifth of the inputs missing, batches of 32 at 64 px, SGD. Each step of a
method stands between two of joint training and is divided by their mean, so that a machine that slows down slows both;
the figure is the median of these ratios. Teachers are trained before the first epoch and only their answers are used
later: they are not in an epoch's time. Budgets: cal 1.15, mce 1.5.
"""

import sys
import time
from collections.abc import Iterator
from statistics import median

import numpy as np
import torch
from torch import Tensor

from robustmm.methods import METHODS, Batch, Method, build_method
from robustmm.modalities import Image
from robustmm.model.encoders import build_encoder
from robustmm.model.fusion import FUSIONS
from robustmm.model.fusion_model import FusionModel

SIZE, BATCH, CLASSES, WIDTH, STEPS = 64, 32, 10, 128, 9
RESNET18 = {"model_type": "resnet", "depths": [2] * 4, "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"}
SETTLED = 30  # epochs done: warm-ups are over, every term is paid


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


def main(names: list[str]) -> None:
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
