"""Several processes on one global batch: each holds every n-th row of it, and sums agree with a single process.

`torchrun --nproc-per-node 2 -m robustmm train ...` starts them. In one process every function here is the identity.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn


@contextmanager
def join_group() -> Iterator[None]:
    """Joins the group torchrun describes, and leaves it; nothing in a single process."""
    if is_distributed() or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


@contextmanager
def rank_folder(root: Path) -> Iterator[Path]:
    """`root` for the first rank; the other ranks write into a folder that is deleted when they are done."""
    if rank() == 0:
        yield root
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)


def is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized()


def world_size() -> int:
    return dist.get_world_size() if is_distributed() else 1


def rank() -> int:
    return dist.get_rank() if is_distributed() else 0


def wait() -> None:
    """Waits until every rank has arrived."""
    if is_distributed():
        dist.barrier()


def sum_over_ranks(x: Tensor) -> Tensor:
    """The sum of x over ranks, without a gradient: what steers gradients agrees with single-process training."""
    if world_size() > 1:
        x = x.detach().clone()
        dist.all_reduce(x)
    return x


def rank_rows(x: Tensor) -> Tensor:
    """This rank's rows of something that belongs to the whole batch."""
    return x[rank() :: world_size()]


def gather_rows(x: Tensor) -> Tensor:
    """The rows of the whole batch (global, ..) from this rank's (batch, ..), in order, without a gradient."""
    if world_size() == 1:
        return x.detach()
    counts: list[Any] = [None] * world_size()
    dist.all_gather_object(counts, len(x))
    longest = max(counts)
    padded = torch.cat([x.detach(), x.new_zeros(longest - len(x), *x.shape[1:])]).contiguous()
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded)
    out = x.new_empty(sum(counts), *x.shape[1:])
    for r, (part, count) in enumerate(zip(parts, counts, strict=True)):
        out[r :: world_size()] = part[:count]
    return out


def global_size(x: Tensor) -> int:
    """Rows of the whole batch."""
    return len(x) if world_size() == 1 else int(sum_over_ranks(torch.tensor(len(x), device=x.device)))


def draw_normal(x: Tensor) -> Tensor:
    """Standard normal noise for this rank's rows, drawn for the whole batch: every rank's generator stays in step."""
    if world_size() == 1:
        return torch.randn_like(x)
    return rank_rows(torch.randn(global_size(x), *x.shape[1:], device=x.device, dtype=x.dtype))


def draw_uniform(rows: Tensor, *shape: int) -> Tensor:
    """(len(rows), *shape) uniform numbers for this rank's rows, drawn for the whole batch on the CPU."""
    return rank_rows(torch.rand(global_size(rows), *shape)).to(rows.device)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Gradients become their mean over ranks, in one flat message; averaging twice changes nothing. A rank whose rows
    lack a modality has no gradient for its encoder while another may; what no rank has stays None, as in a single
    process: an optimiser moves a weight with a gradient of zeros, too."""
    if world_size() == 1:
        return
    trained = [p for p in parameters if p.requires_grad]
    have = torch.tensor([float(p.grad is not None) for p in trained], device=trained[0].device)
    parts = [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in trained]
    flat = torch.cat([have, *parts])
    dist.all_reduce(flat)
    have, flat = flat.split([len(trained), len(flat) - len(trained)])
    flat /= world_size()
    for p, part, ranks in zip(trained, flat.split([p.numel() for p in trained]), have.tolist(), strict=True):
        p.grad = part.view_as(p) if ranks else None


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm whose training statistics are those of the whole batch, on any device."""

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        over = [d for d in range(input.ndim) if d != 1]
        shape = [1, -1, *(1 for _ in over[1:])]
        x = input.float()
        n = sum_over_ranks(torch.tensor(x.numel() / x.shape[1], device=x.device))
        if n <= 1:  # no variance to learn from: the running statistics are used, as in encoders.base.BatchNorm
            return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        mean = sum_with_gradient(x.sum(over)) / n
        centred = x - mean.view(shape)
        var = sum_with_gradient(centred.square().sum(over)) / n
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            self.num_batches_tracked += 1
            part = 0.1 if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean.detach().to(self.running_mean.dtype), part)
            unbiased = var.detach() * n / (n - 1)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), part)
        out = centred * (var + self.eps).rsqrt().view(shape)
        return (out * self.weight.view(shape) + self.bias.view(shape)).to(input.dtype)


def synchronise_batchnorm(model: nn.Module) -> nn.Module:
    """The model, its BatchNorms replaced in place where there are several ranks; names and tensors stay the same."""
    if world_size() > 1:
        for parent in list(model.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.modules.batchnorm._BatchNorm) and not isinstance(child, BatchNorm):
                    new = BatchNorm(child.num_features, child.eps, child.momentum)
                    new.weight, new.bias = child.weight, child.bias
                    new.running_mean, new.running_var = child.running_mean, child.running_var
                    new.num_batches_tracked = child.num_batches_tracked
                    setattr(parent, name, new.train(child.training))
    return model


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return sum_over_ranks(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return sum_over_ranks(gradients[0])


def sum_with_gradient(x: Tensor) -> Tensor:
    """The sum over ranks, with its gradient."""
    whole: Tensor = _Sum.apply(x)
    return whole
