"""valuation: sample-level modality valuation (Wei, Feng, Wang, Hu; CVPR 2024, arXiv 2309.06255).

Each modality is valued on every training sample, and samples come again with the modalities of little value alone.

    v(S)  = |S| if argmax decode(z, S) = y, else 0;   v(nothing) = 0           in evaluation mode, after each epoch
    phi_m = sum over S without m of |S|! (M-|S|-1)! / M! [v(S + m) - v(S)]     Shapley; the sum over m is v(all)
    c_m   = ceil(2 (1 - phi_m)) within 0 .. 3: copies of the sample that keep m only
    epoch = every sample with all it has, and all copies, mixed:   L = CE(decode(z, kept), y)

For two modalities phi is -1/2, 0, 1/2, 1 or 3/2, and c the paper's 3, 2, 1, 0, 0; for more, c is ours. Subsets are of
what the sample has; what it lacks has no copies, and neither has a sample of one modality. In the warm-up, a share of
the budget (there 5 of 60 epochs) and one epoch at least, nothing is copied. Above five modalities with a fusion that is
not additive, phi is estimated over `orders` random orders an epoch.

An epoch of a model that is mostly wrong is up to 1 + 2 M times as long: compare by steps, not by epochs, and with
`dropout`, which shows single modalities without valuing them. Where the training split is answered right, nothing is
copied any more. The paper's cheaper variant, which values modalities and not samples, is not here.
"""

import torch
from torch import Tensor

from robustmm.config.options import EpochShare, Positive
from robustmm.methods.base import METHODS, Method, TrainingData, Turn, split_rows
from robustmm.methods.coalitions import all_coalitions, draw_coalitions, is_exact
from robustmm.model.fusion_model import FusionModel


@METHODS.register("valuation")
class Valuation(Method):
    """Samples come again with those of their modalities alone that add little to the answer."""

    copies: Tensor

    def __init__(self, *, warmup: EpochShare = 0.08, orders: Positive = 8) -> None:
        super().__init__()
        self.warmup, self.orders = warmup, orders

    def setup(self, model: FusionModel, data: TrainingData) -> None:
        super().setup(model, data)
        self.register_buffer("copies", torch.zeros(data.present.shape, dtype=torch.int64))  # (samples, modality)

    def arrange(self, order: Tensor, size: int) -> list[Turn]:
        wanted = self.copies.cpu()[order]  # zeros in the warm-up
        M = wanted.shape[1]
        rows = torch.cat([order, *(order.repeat_interleave(wanted[:, m]) for m in range(M))])
        alone = torch.eye(M, dtype=torch.bool).repeat_interleave(wanted.sum(0), dim=0)
        kept = torch.cat([torch.ones(len(order), M, dtype=torch.bool), alone])
        mixed = torch.randperm(len(rows)) if len(rows) > len(order) else torch.arange(len(rows))
        return [Turn(rows[part], kept[part]) for part in split_rows(mixed, size)]

    def end_epoch(self, model: FusionModel, data: TrainingData) -> None:
        super().end_epoch(model, data)
        if int(self.epoch) >= max(1, self.count_epochs(self.warmup)):
            self.value_samples(model, data)

    @torch.no_grad()
    def value_samples(self, model: FusionModel, data: TrainingData) -> None:
        """Counts the copies of every training sample that the next epoch has."""
        model.eval()
        M = len(model.modalities)
        game = all_coalitions(M) if is_exact(model) else draw_coalitions(M, self.orders, int(self.epoch))
        masks, weights = (torch.from_numpy(x) for x in game[:2])
        for batch in data.samples():
            present = batch.present
            kept = masks.to(present.device)[:, None] & present
            right = model.decode_subsets(model.embed(batch.inputs), kept).argmax(-1) == batch.target
            phi = shapley_values(right, kept, weights.to(present.device))
            valued = present & (present.sum(1, keepdim=True) > 1)
            self.copies[batch.index] = torch.where(valued, count_copies(phi), 0)


def shapley_values(right: Tensor, kept: Tensor, weights: Tensor) -> Tensor:
    """phi (batch, modality) of which subsets answer right (K, batch), what they hold of a sample (K, batch, modality),
    and the Shapley weights (modality, K)."""
    value = right * kept.sum(-1)
    return (weights @ value.to(weights.dtype)).T


def count_copies(phi: Tensor) -> Tensor:
    """c of phi, any shape; what rounding adds to a half counts for nothing."""
    return torch.ceil(2 * (1 - phi) - 1e-6).clamp(0, 3).long()
