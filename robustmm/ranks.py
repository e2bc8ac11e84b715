"""Several processes on one global batch: each holds every n-th row of it, and sums agree with a single process.

`torchrun --nproc-per-node 2 -m robustmm train ...` starts them. In one process every function here is the identity.
"""

import os
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def start() -> None:
    """Joins the group torchrun describes; nothing in a single process."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not together():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")


def together() -> bool:
    return dist.is_available() and dist.is_initialized()


def world() -> int:
    return dist.get_world_size() if together() else 1


def rank() -> int:
    return dist.get_rank() if together() else 0


def total(x: Tensor) -> Tensor:
    """The sum of x over ranks, without a gradient: what steers gradients agrees with single-process training."""
    if world() > 1:
        x = x.detach().clone()
        dist.all_reduce(x)
    return x


def mine(x: Tensor) -> Tensor:
    """This rank's rows of something that belongs to the whole batch."""
    return x[rank() :: world()]


def gathered(x: Tensor) -> Tensor:
    """The rows of the whole batch (global, ..) from this rank's (batch, ..), in order, without a gradient."""
    if world() == 1:
        return x.detach()
    counts: list[Any] = [None] * world()
    dist.all_gather_object(counts, len(x))
    longest = max(counts)
    padded = torch.cat([x.detach(), x.new_zeros(longest - len(x), *x.shape[1:])]).contiguous()
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded)
    out = x.new_empty(sum(counts), *x.shape[1:])
    for r, (part, count) in enumerate(zip(parts, counts, strict=True)):
        out[r :: world()] = part[:count]
    return out


def size(x: Tensor) -> int:
    """Rows of the whole batch."""
    return len(x) if world() == 1 else int(total(torch.tensor(len(x), device=x.device)))


def normal_like(x: Tensor) -> Tensor:
    """Standard normal noise for this rank's rows, drawn for the whole batch: every rank's generator stays in step."""
    if world() == 1:
        return torch.randn_like(x)
    return mine(torch.randn(size(x), *x.shape[1:], device=x.device, dtype=x.dtype))


def uniform(rows: Tensor, *shape: int) -> Tensor:
    """(len(rows), *shape) uniform numbers for this rank's rows, drawn for the whole batch on the CPU."""
    return mine(torch.rand(size(rows), *shape)).to(rows.device)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Gradients become their mean over ranks, in one flat message; averaging twice changes nothing."""
    if world() == 1:
        return
    held = [p for p in parameters if p.requires_grad]
    for p in held:
        if p.grad is None:  # a rank whose rows lack a modality has no gradient for its encoder; another may
            p.grad = torch.zeros_like(p)
    flat = torch.cat([p.grad.flatten() for p in held if p.grad is not None])
    dist.all_reduce(flat)
    flat /= world()
    for p, part in zip(held, flat.split([p.numel() for p in held]), strict=True):
        p.grad = part.view_as(p)
