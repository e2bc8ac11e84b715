"""A toy problem with M modalities: class prototypes plus noise, modality 0 the clearest."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustmm.methods import METHODS, Batch, Method, Turn, build_method
from robustmm.methods.base import split_rows
from robustmm.model.fusion import FUSIONS
from robustmm.model.fusion_model import Embedding, FusionModel

CLASSES, WIDTH, SIZE, SAMPLES = 3, 8, 5, 96
SMALL = {"cal": {"warmup": 0}, "mce": {"hidden": 16}, "remix": {"warmup": 0.01}, "valuation": {"warmup": 0.01}}
CHAINS = ["cal+mce", "mce+cal", "joint+unimodal", "cal+guarded", "guarded+mce", "cal+guarded+mce"]
NAMES = [*METHODS, *CHAINS]

torch.set_num_threads(1)  # tensors this small only lose by sharing


class Encoder(nn.Sequential):
    width = 6

    def __init__(self) -> None:
        super().__init__(nn.Linear(SIZE, 6), nn.ReLU())


@dataclass
class Toy:
    modalities: tuple[str, ...]
    inputs: dict[str, Tensor]
    present: Tensor
    target: Tensor
    taught: bool = True
    class_weight: Tensor | None = None
    classes: int = CLASSES
    epochs: int = 100

    def unimodal_logits(self) -> Tensor:
        """The true class, but for every fifth sample; nothing at all for a resumed run."""
        logits = torch.zeros(len(self.target), len(self.modalities), self.classes)
        if self.taught:
            logits.scatter_(2, self.target.view(-1, 1, 1).expand(-1, len(self.modalities), 1), 1.0)
            logits[::5] = 0.0
        return logits

    def joint_answers(self, width: int) -> tuple[Tensor, Tensor]:
        """The true class's place, and the logits of one who knows it; nothing at all for a resumed run."""
        features, logits = torch.zeros(len(self.target), width), torch.zeros(len(self.target), CLASSES)
        if self.taught:
            features[:, :CLASSES] = F.one_hot(self.target, CLASSES).float()
            logits = 3.0 * F.one_hot(self.target, CLASSES).float()
        return features, logits

    def batch(self, rows: slice = slice(None)) -> Batch:
        index = torch.arange(len(self.target))[rows]
        inputs = {m: x[rows] for m, x in self.inputs.items()}
        return Batch(inputs, self.present[rows], self.target[rows], index)

    def samples(self) -> Iterator[Batch]:
        yield from (self.batch(slice(start, start + 40)) for start in range(0, SAMPLES, 40))

    def take(self, turn: Turn) -> Batch:
        """A turn's batch, as the loop makes it."""
        rows = turn.rows
        present = self.present[rows] if turn.kept is None else self.present[rows] & turn.kept
        return Batch({m: x[rows] for m, x in self.inputs.items()}, present, self.target[rows], rows)


def toy(M: int, missing: float = 0.0, seed: int = 0, **fields: Any) -> Toy:
    random = torch.Generator().manual_seed(seed)
    target = torch.arange(SAMPLES) % CLASSES
    names = tuple(f"m{m}" for m in range(M))
    inputs = {}
    for m, name in enumerate(names):
        prototypes = torch.randn(CLASSES, SIZE, generator=random)
        noise = torch.randn(SAMPLES, SIZE, generator=random)
        inputs[name] = prototypes[target] + (0.4 + 0.6 * m / M) * noise
    present = torch.rand(SAMPLES, M, generator=random) >= missing
    present[:, 0] |= ~present.any(1)
    return Toy(names, inputs, present, target, **fields)


def fresh(data: Toy, fusion: str = "concat", seed: int = 1) -> FusionModel:
    torch.manual_seed(seed)
    M = len(data.modalities)
    return FusionModel({m: Encoder() for m in data.modalities}, FUSIONS[fusion](M, WIDTH, CLASSES), WIDTH)


def ready(
    name: str, data: Toy, fusion: str = "concat", options: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[FusionModel, Method]:
    """A fresh model and the method set up on it, without warm-up and small, other than `options` say."""
    model = fresh(data, fusion)
    chosen = build_method(name, {key: {**SMALL.get(key, {}), **(options or {}).get(key, {})} for key in METHODS})
    chosen.setup(model, data)
    return model, chosen


def step(model: FusionModel, chosen: Method, batch: Batch, seed: int = 0) -> dict[str, Tensor]:
    """Losses and gradients of one batch."""
    torch.manual_seed(seed)
    model.zero_grad(), chosen.zero_grad()
    losses = chosen.losses(model, batch, model.embedding(batch.inputs, batch.present))
    chosen.backward(model, losses)
    return losses


def train(
    model: FusionModel, chosen: Method, data: Toy, epochs: range, optimiser: torch.optim.Optimizer
) -> list[float]:
    """Mean of the first loss term in each epoch."""
    curve = []
    for epoch in epochs:
        model.train()
        chosen.train()
        fused = []
        torch.manual_seed(epoch)
        for number, turn in enumerate(chosen.arrange(torch.arange(SAMPLES), 32)):
            losses = step(model, chosen, data.take(turn), seed=1000 * epoch + 32 * number)
            nn.utils.clip_grad_norm_([*model.parameters(), *chosen.parameters()], 1.0)
            optimiser.step()
            fused.append(float(losses[chosen.terms[0]].detach()))
        chosen.end_epoch(model, data)
        curve.append(sum(fused) / len(fused))
    return curve


def optimiser(model: FusionModel, chosen: Method, rate: float = 0.1) -> torch.optim.SGD:
    return torch.optim.SGD([*model.parameters(), *chosen.parameters()], lr=rate, momentum=0.9)


class Doubling(Method):
    """Twice the gradient."""

    terms = ("fused", "extra")

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        return {"fused": self.fused_loss(model, batch, embedding), "extra": embedding.z.square().mean()}

    def backward(self, model: FusionModel, losses: Mapping[str, Tensor]) -> None:
        (2 * sum(losses.values())).backward()  # type: ignore[union-attr]


class Steering(Method):
    def backward(self, model: FusionModel, losses: Mapping[str, Tensor]) -> None: ...


class Turns(Method):
    """Every batch twice, of which the second time the first modality only."""

    def arrange(self, order: Tensor, size: int) -> list[Turn]:
        first = torch.arange(2) == 0
        return [t for rows in split_rows(order, size) for t in (Turn(rows), Turn(rows, first.expand(len(rows), 2)))]
