"""inforeg: InfoReg, regulated information acquisition (Huang, Wei, Yang, Hu; CVPR 2025, arXiv 2503.18595).

Early epochs decide which modality learns. While a modality that leads still gains information fast, its encoder is
pulled back towards where it stood when the epoch began.

    L        = CE(fused) + gamma sum_m CE(s_m),        s_m: the shared fusion's logits from m only
    grad    += beta_m (theta_m - theta_m at the start of the epoch)            theta_m: encoder m, projection included
    beta_m   = beta exp(tanh(B (p_m - mean over k != m of p_k)))  if m leads and its window is open, else 0
    p_m      = mean of softmax(s_m)[y] over the batch's samples that have m;  B: the batch's size
    T_m      = sum over weight matrices and kernels of the mean of the squared gradients, summed over an epoch's steps
    window   : (A - A') / A > threshold,  A: mean of T_m over the ten epochs before this one, A': one epoch earlier

Epochs before the run count as T = 0, so that for a constant trace the window is open in the first eleven epochs. In the
first epoch it is open. `window = "share"` has it open in the first `share` of the run instead: the plain control.

What differs: the published code reads the window of both modalities off one trace, and sums p over the batch, with a
constant for each modality (0.95 audio, 0.10 visual) where there is one `beta` here; B keeps the scale of its tanh.
s_m has the whole bias, there 1 / M of it. Traces are taken before gradients are clipped. For M modalities, and for
those that are missing, it is ours: a modality that no sample of the batch has is not pulled.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from robustmm import distributed
from robustmm.config.options import EpochShare
from robustmm.methods.base import METHODS, Batch, Method, TrainingData, list_encoders
from robustmm.methods.coalitions import unimodal_and_fused
from robustmm.model.fusion_model import Embedding, FusionModel

Amount = Annotated[float, Field(ge=0)]
SPAN = 10
"""Epochs that a trace is averaged over."""


@METHODS.register("inforeg")
class InfoReg(Method):
    """Encoders that lead early are held near where they stood when the epoch began."""

    terms = ("fused", "unimodal")
    grid = {"gamma": (1.0, 4.0)}
    scales_gradients = True
    traces: Tensor

    def __init__(
        self,
        *,
        gamma: Amount = 1.0,
        beta: Amount = 0.5,
        window: Literal["trace", "share"] = "trace",
        threshold: Amount = 0.05,
        share: EpochShare = 0.2,
    ) -> None:
        super().__init__()
        self.gamma, self.beta, self.window, self.threshold, self.share = gamma, beta, window, threshold, share
        self.began = -1  # the epoch that `anchors` and `squares` are of; both are made anew in every epoch
        self.anchors: dict[nn.Parameter, Tensor] = {}
        self.squares: dict[nn.Parameter, Tensor] = {}

    def setup(self, model: FusionModel, data: TrainingData) -> None:
        super().setup(model, data)
        M = len(model.modalities)
        self.register_buffer("traces", torch.zeros(SPAN + 1, M, dtype=torch.float64))  # of the epochs before, last last
        self.register_buffer("pull", torch.zeros(M, dtype=torch.float64), persistent=False)

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        unimodal, fused = unimodal_and_fused(model, embedding)
        self.pull = self.measure_pull(unimodal.detach(), batch)
        return {
            "fused": self.cross_entropy(fused, batch.target),
            "unimodal": self.gamma * self.unimodal_losses(unimodal, batch).sum(),
        }

    def measure_pull(self, logits: Tensor, batch: Batch) -> Tensor:
        """beta_m (modality,) of unimodal logits (modality, batch, class)."""
        have = batch.present.T
        p = logits.double().softmax(-1).gather(-1, batch.target.expand(have.shape).unsqueeze(-1)).squeeze(-1)
        score, count = distributed.sum_over_ranks(torch.stack([torch.where(have, p, 0.0).sum(1), have.sum(1).double()]))
        size = distributed.global_size(batch.target)
        return torch.where(self.open_windows(), pulls(score / count.clamp(min=1), count > 0, size, self.beta), 0.0)

    def open_windows(self) -> Tensor:
        """Which modalities (modality,) may be held in this epoch."""
        if self.window == "share":
            return torch.full_like(self.traces[0], int(self.epoch) < self.count_epochs(self.share)).bool()
        return information_growth(self.traces) > self.threshold

    def backward(self, model: FusionModel, losses: Mapping[str, Tensor]) -> None:
        super().backward(model, losses)
        encoders = list_encoders(model)
        if self.began != int(self.epoch):  # the first step of an epoch, of a resumed run too
            self.began = int(self.epoch)
            self.anchors = {p: p.detach().clone() for weights in encoders for p in weights}
            self.squares = {p: torch.zeros_like(p) for weights in encoders for p in weights if p.ndim > 1}
        distributed.average_gradients(p for weights in encoders for p in weights)
        for weights, beta in zip(encoders, self.pull.tolist(), strict=True):
            for p in weights:
                if p.grad is not None:
                    p.grad += beta * (p.detach() - self.anchors[p])
                    if p in self.squares:
                        self.squares[p] += p.grad.square()

    def end_epoch(self, model: FusionModel, data: TrainingData) -> None:
        super().end_epoch(model, data)
        found = [sum(float(self.squares[p].mean()) for p in w if p in self.squares) for w in list_encoders(model)]
        self.traces = torch.cat([self.traces[1:], self.traces.new_tensor([found])])


def information_growth(traces: Tensor) -> Tensor:
    """(A - A') / A (modality,) of the traces (11, modality) of the epochs before; 1 where there are none."""
    now, before = traces[1:].mean(0), traces[:-1].mean(0)
    return torch.where(now > 0, (now - before) / now.clamp(min=1e-300), 1.0)


def pulls(score: Tensor, seen: Tensor, size: int, beta: float) -> Tensor:
    """beta_m (modality,) of scores (modality,), among the modalities seen; 0 for those that do not lead."""
    score = torch.where(seen, score, 0.0)
    rivals = seen.sum() - seen.long()
    gap = score - (score.sum() - score) / rivals.clamp(min=1)
    return torch.where(seen & (rivals > 0) & (gap > 0), beta * torch.exp(torch.tanh(size * gap)), 0.0)
