"""Methods by name, and several at once: `cal+mce`."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from robustmm.config.options import effective_options, instantiate
from robustmm.errors import UsageError, suggest
from robustmm.methods.base import METHODS, Batch, Method, TrainingData, Turn
from robustmm.model.fusion_model import Embedding, FusionModel


def build_method(name: str, options: Mapping[str, Mapping[str, Any]]) -> Method:
    """The method, or chain of methods "a+b", registered as `name`; `options` holds each one's hyper-parameters."""
    names = [part.strip() for part in name.split("+")]
    for part in options:
        if part not in names and part not in METHODS:  # options of a registered method that is not used are allowed
            raise UsageError(
                f'options are given for "{part}", which is not a method{suggest(part, {*names, *METHODS})}'
            )
    methods = [_build_single(part, options.get(part, {})) for part in names]
    return methods[0] if len(methods) == 1 else Chain(names, methods)


def hyperparameters(name: str, options: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Every hyper-parameter by method, defaults filled in: what a run and a file record."""
    return {part: effective_options(METHODS[part], options.get(part, {})) for part in map(str.strip, name.split("+"))}


def _build_single(name: str, options: Mapping[str, Any]) -> Method:
    if not (isinstance(built := METHODS[name], type) and issubclass(built, Method)):
        raise UsageError(f'the method "{name}" should be a subclass of robustmm.methods.Method, found {built!r}')
    return instantiate("method", name, built, **options)


class Chain(Method):
    """Several methods over one shared embedding: setups in order, loss terms merged by name, "fused" counted once.

    Sampling weights multiply. Where one method has its own fused term, that one counts; a term that a method leaves to
    others is theirs. What cannot be merged is refused: a term two methods name, two fused terms of their own, two
    `backward`s or `arrange`s, a method that is `alone`, and a place of the model filled twice (see FusionModel.place).
    """

    def __init__(self, names: Sequence[str], methods: Sequence[Method]) -> None:
        super().__init__()
        for name, part in zip(names, methods, strict=True):
            if part.alone and len(methods) > 1:
                raise UsageError(f"{name} decides itself which modality learns in a step; it cannot be chained")
        self.methods = nn.ModuleList(methods)
        self.order = list(methods)
        self.kept = {part: list_kept_terms(part, methods) for part in methods}
        self.terms = _merge_terms(names, list(self.kept.values()))
        self.scales_gradients = any(part.scales_gradients for part in methods)
        self.owns_fused = any(part.owns_fused for part in methods)
        self.corrupt = {k: v for part in methods for k, v in (part.corrupt or {}).items()} or None
        for part in methods:
            part.chained = True
        self.steering = [part for part in methods if type(part).backward is not Method.backward]
        self.arranging = [part for part in methods if type(part).arrange is not Method.arrange]
        fused = [part for part in methods if part.owns_fused]
        for parts, what in (
            (self.steering, "run their own backward pass"),
            (fused, "have a fused term of their own"),
            (self.arranging, "arrange the batches"),
        ):
            if len(parts) > 1:
                own = [name for name, part in zip(names, methods, strict=True) if part in parts]
                raise UsageError(f"methods {' and '.join(own)} each {what}; chain only one")

    def setup(self, model: FusionModel, data: TrainingData) -> None:
        super().setup(model, data)
        for part in list(self.order):
            fusion = model.fusion
            part.setup(model, data)
            if model.fusion is not fusion:  # its owner goes first in a step: it fills embedding.subset_logits for all
                self.order.remove(part)
                self.order.insert(0, part)

    def sample_weights(self, epoch: int) -> Tensor | None:
        weights = [w for w in (part.sample_weights(epoch) for part in self.order) if w is not None]
        return torch.stack(weights).prod(0) if weights else None

    def arrange(self, order: Tensor, size: int) -> list[Turn]:
        return self.arranging[0].arrange(order, size) if self.arranging else super().arrange(order, size)

    def losses(self, model: FusionModel, batch: Batch, embedding: Embedding) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for part in self.order:
            terms = {k: v for k, v in part.losses(model, batch, embedding).items() if k in self.kept[part]}
            found = found | terms if part.owns_fused else terms | found
        return {term: found[term] for term in self.terms}

    def backward(self, model: FusionModel, losses: Mapping[str, Tensor]) -> None:
        if self.steering:
            self.steering[0].backward(model, losses)
        else:
            super().backward(model, losses)

    def end_epoch(self, model: FusionModel, data: TrainingData) -> None:
        super().end_epoch(model, data)
        for part in self.order:
            part.end_epoch(model, data)


def list_kept_terms(part: Method, methods: Sequence[Method]) -> list[str]:
    """The terms of a method that count beside these: not those that it leaves to one of them."""
    others = {term for other in methods if other is not part for term in other.terms}
    return [term for term in part.terms if term not in part.leaves or term not in others]


def _merge_terms(names: Sequence[str], kept: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The loss terms in order, each once."""
    owner: dict[str, str] = {}
    for name, terms in zip(names, kept, strict=True):
        for term in terms:
            if term != "fused" and term in owner:
                raise UsageError(f'methods {owner[term]} and {name} both have a loss term "{term}"; chain only one')
            owner.setdefault(term, name)
    return tuple(owner)
