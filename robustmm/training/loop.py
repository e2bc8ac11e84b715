"""The training loop: every step in one function, which names no method."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from robustmm import distributed
from robustmm.config.recipe import Train
from robustmm.config.tuning import Tuning
from robustmm.data.prior import prior
from robustmm.errors import DivergedError
from robustmm.methods import Method
from robustmm.model.fusion_model import FusionModel
from robustmm.progress import Watcher
from robustmm.training import checkpoint
from robustmm.training.data import TrainingSplit
from robustmm.training.optimiser import build_optimiser, set_rate
from robustmm.training.steps.accumulation import accumulate, split_turns
from robustmm.training.steps.freezing import Freezing
from robustmm.training.validation import is_better, validate

Tensors = dict[str, Tensor]


@dataclass
class Progress:
    """The progress of a fit after an epoch; with the weights, all that a resume needs."""

    epoch: int = 0
    best: dict[str, float] | None = None
    best_epoch: int = 0


def fit(
    model: FusionModel,
    method: Method,
    data: TrainingSplit,
    valid: TrainingSplit,
    settings: Train,
    watcher: Watcher,
    *,
    tuning: Mapping[str, Tuning] = {},
    title: str = "training",
    resumed: tuple[Tensors, Progress] | None = None,
    keep: Callable[[Tensors, Progress, dict[str, float]], None] = lambda *_: None,
) -> Tensors:
    """Trains `model` with `method`; returns the weights of the best valid epoch by `settings.select`. It never sees the
    test split.

    Every epoch draws from its own seed, so a fit resumed after epoch e is bit for bit the uninterrupted one. `tuning`
    says which encoders are frozen, and which have a learning rate of their own.
    `keep` is called after each epoch with the state to checkpoint; the best weights have the prefix "best.".
    """
    distributed.synchronise_batchnorm(model), distributed.synchronise_batchnorm(method)
    freezing = Freezing(model, tuning)
    optimiser = build_optimiser(settings, model, method, tuning)
    learning = [p for group in optimiser.param_groups for p in group["params"]]
    progress, best = Progress(), {}
    if resumed:
        checkpoint.restore_state(resumed[0], model, method, optimiser)
        progress, best = resumed[1], checkpoint.select_prefix(resumed[0], "best.")
    frequencies = prior(data.target.cpu().numpy(), data.classes)
    size = settings.batch * settings.accumulate
    steps = len(method.arrange(torch.arange(len(data)), size))
    watcher.begin(title, settings.epochs, progress.epoch, steps)
    for epoch in range(progress.epoch, settings.epochs):
        if is_out_of_patience(settings, progress):
            break
        torch.manual_seed((settings.seed * 1_000_003 + epoch) % 2**63)
        model.train()
        method.train()
        freezing.begin_epoch(epoch)
        turns = method.arrange(data.draw_order(method.sample_weights(epoch)), size)
        parts, steps = split_turns(turns, settings), len(turns)
        batches = data.batches([part.turn for part in parts], settings.modality_dropout, epoch)
        sums: dict[str, float] = {}
        held: dict[torch.nn.Parameter, Tensor] = {}
        for part, batch in zip(parts, batches, strict=True):
            rate = set_rate(optimiser, settings, epoch + part.step / steps)
            with torch.autocast(data.device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
                embedding = model.embedding(batch.inputs, batch.present)
                losses = method.losses(model, batch, embedding)
            optimiser.zero_grad(set_to_none=True)
            method.backward(model, losses)
            for name, value in losses.items():
                mean = float(distributed.sum_over_ranks(value.detach())) / distributed.world_size()
                sums[name] = sums.get(name, 0.0) + mean * part.share / steps
            accumulate(learning, held, part)
            if not part.ends:
                continue
            distributed.average_gradients(learning)
            norm = torch.nn.utils.clip_grad_norm_(learning, settings.clip)
            if not torch.isfinite(norm):
                raise DivergedError(
                    f"{title}: the gradient stopped being finite in epoch {epoch + 1}, step {part.step + 1}; "
                    "try a smaller train.learning_rate or look for NaN and huge values with: robustmm data check"
                )
            optimiser.step()
            watcher.step()
        method.end_epoch(model, data)
        scores = validate(model, valid, frequencies)
        progress.epoch = epoch + 1
        if is_better(scores, progress.best, settings.select):
            progress.best, progress.best_epoch = scores, epoch + 1
            best = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        row = {"epoch": epoch + 1, "learning_rate": rate, **sums, **scores}
        kept = {f"best.{name}": tensor for name, tensor in best.items()}
        keep(checkpoint.training_state(model, method, optimiser) | kept, progress, row)
        watcher.epoch(row)
    return best


def is_out_of_patience(settings: Train, progress: Progress) -> bool:
    return settings.patience is not None and progress.epoch - progress.best_epoch >= settings.patience
