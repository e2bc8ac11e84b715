"""The contract of an augmentation: the decorated function draws and changes, the wrapper checks and converts.

A corruption is a fault with a level and a physical unit, which a model is tested under. An augmentation has neither: it
is a change that leaves the label true, made in training alone.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Annotated, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field

from robustmm.config.options import check_options, effective_options
from robustmm.config.registry import Registry
from robustmm.corruptions.base import RATE
from robustmm.corruptions.signals import KINDS, Signal, apply_physics, check_signal
from robustmm.errors import UsageError, suggest

Function: TypeAlias = Callable[..., Any]
Statistics: TypeAlias = npt.ArrayLike | None
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, le=1000)]


@dataclass(frozen=True)
class Augmentation:
    """A pure function of (signal, generator) on one sample of some kinds."""

    name: str
    kinds: tuple[str, ...]
    function: Function = field(repr=False)

    def __call__(
        self,
        x: Signal,
        rng: np.random.Generator,
        kind: str,
        *,
        mean: Statistics = None,
        std: Statistics = None,
        rate: int = RATE,
    ) -> Signal:
        """The augmented signal, in the dtype, shape and range of `x`, which is never written to.

        `mean` and `std` (D,) are the training statistics of series and features, whose functions see (x - mean) / std;
        `rate` is the samples per second of audio, for the functions that ask for it.
        """
        who = f'the augmentation "{self.name}" on {kind}'
        check_signal(x, kind, who)
        if 0 in (len(x), np.size(x)):  # nothing to change
            return x
        facts = {"rate": rate} if self._asks_rate else {}
        changed: Signal = apply_physics(lambda given: self.function(given, rng, **facts), x, kind, who, mean, std)
        return changed

    @cached_property
    def _asks_rate(self) -> bool:
        return "rate" in inspect.signature(self.function).parameters

    def options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Every option with the value it will have. Raises UsageError for one that the function does not take."""
        checked = check_options("augmentation", self.name, self.function, 2, given, reserved=("rate",))
        return effective_options(self.function, checked)

    def with_options(self, given: Mapping[str, Any]) -> "Augmentation":
        """This augmentation with options of its function set."""
        return replace(self, function=partial(self.function, **self.options(given)))


AUGMENTATIONS: Registry[dict[str, Augmentation]] = Registry("augmentation")
"""Name -> kind -> augmentation."""


def augmentation(name: str, *kinds: str) -> Callable[[Function], Augmentation]:
    """A decorator that turns `(x, rng) -> x'` into the augmentation `name` on these kinds, and files it. Keywords with
    defaults are the user's options; audio may ask for `rate`."""
    if wrong := [kind for kind in kinds if kind not in KINDS]:
        raise ValueError(f'"{wrong[0]}" is not a kind{suggest(wrong[0], KINDS)}')

    def add_entry(function: Function) -> Augmentation:
        entry = Augmentation(name, kinds, function)
        by_kind = AUGMENTATIONS[name] if name in AUGMENTATIONS else AUGMENTATIONS.register(name)({})
        for kind in kinds:
            if kind in by_kind:
                raise ValueError(f'augmentation "{name}" is registered twice on {kind}')
            by_kind[kind] = entry
        return entry

    return add_entry


def find_augmentation(name: str, kind: str) -> Augmentation:
    """The augmentation of this name (or `package.module:Name`) on this kind. Raises UsageError where there is none."""
    found: object = AUGMENTATIONS[name]
    if isinstance(found, Augmentation):  # a user's own, imported
        found = dict.fromkeys(found.kinds, found)
    if not isinstance(found, dict):
        raise UsageError(f'"{name}" is of type {type(found).__name__}, expected a function under @augmentation')
    if kind not in found:
        raise UsageError(f'the augmentation "{name}" does not serve {kind}, only {", ".join(sorted(found))}')
    chosen: Augmentation = found[kind]
    return chosen
