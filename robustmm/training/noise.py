"""Training with noise: what happens to a training sample in an epoch, drawn by (seed, epoch, id, modality)."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from numpy.typing import NDArray

from robustmm.conditions.condition import build_corruption, corrupt_signal
from robustmm.config.recipe import Corrupt, Recipe
from robustmm.corruptions import Corruption, canonical_name, generator, kinds, names, pairs
from robustmm.data.storage.split import Split
from robustmm.errors import UsageError
from robustmm.methods import Method
from robustmm.modalities import Modality

T = TypeVar("T")
U = TypeVar("U")


def effective_noise(recipe: Recipe, method: Method) -> Corrupt | None:
    """The recipe's [corrupt], its keys over those that the method asks for, with every corruption and every modality
    named; None where nothing asks for noise. Raises UsageError for what cannot be corrupted so."""
    if recipe.corrupt is None and method.corrupt is None:
        return None
    given = recipe.corrupt.model_dump(exclude_unset=True) if recipe.corrupt else {}
    table = Corrupt.model_validate({**(method.corrupt or {}), **given})
    within = [m for m in recipe.modalities if m.name in table.on or not table.on]
    chosen = dict.fromkeys(map(canonical_name, table.noise))
    for name in chosen:
        check_name(name, within)
    if not chosen:
        chosen = dict.fromkeys(n for n in names() if any(m.kind in kinds(n) for m in within))
    served = [m.name for m in within if any(m.kind in kinds(name) for name in chosen)]
    for name in table.on:
        if name not in served:
            raise UsageError(f'[corrupt] on: none of {", ".join(chosen)} serves the modality "{name}"')
    return table.model_copy(update={"noise": tuple(chosen), "on": tuple(served)})


def check_name(name: str, modalities: Sequence[Modality]) -> None:
    """Raises UsageError for a corruption that training cannot use on any of these modalities."""
    try:
        serves = pairs.supported_kinds(name)
    except UsageError as error:
        raise UsageError(f"[corrupt] noise: {error}") from error
    if pairs.is_sample_corruption(name):
        raise UsageError(f'[corrupt] noise: "{name}" is a fault of whole samples; training takes those of one modality')
    if not any(m.kind in serves for m in modalities):
        found = ", ".join(f"{m.name} ({m.kind})" for m in modalities)
        raise UsageError(f'[corrupt] noise: "{name}" serves {", ".join(serves)}; there is {found}')


class Draw(NamedTuple):
    """What happens to one modality of one sample in one epoch; `seed` is of the noise itself."""

    corruption: Corruption
    level: float
    seed: int


class TrainingNoise:
    """The corruptions of the training split. Raises UsageError for a modality without a unit of noise."""

    def __init__(self, table: Corrupt, modalities: Sequence[Modality], split: Split, seed: int) -> None:
        self.table, self.seed, self.ids, self.signals = table, seed, split.ids, split.signals
        self.modalities = [m for m in modalities if m.name in table.on]
        self.choices = {
            m.name: [build_corruption(name, m, {}) for name in table.noise if m.kind in kinds(name)]
            for m in self.modalities
        }

    def draw(self, epoch: int, sample: str, modality: str) -> Draw | None:
        """None where this sample keeps this modality as it is. The same draws whatever the batches and their order."""
        rng = generator(self.seed, sample, modality, f"training epoch {epoch}")
        happens, which, height = rng.random(3)
        if happens >= self.table.probability:
            return None
        choices, (low, high) = self.choices[modality], self.table.level
        chosen = choices[int(which * len(choices))]
        return Draw(chosen, low + (high - low) * height, int(rng.integers(2**63)))

    def apply(self, inputs: Mapping[str, NDArray[Any]], rows: Sequence[int], epoch: int) -> None:
        """Corrupts a batch in place: `inputs` by modality (batch, *shape) are the arrays of these rows of the split."""
        for modality in self.modalities:
            signals, fed = self.signals[modality.name], inputs[modality.name]
            for place, row in enumerate(rows):
                signal, drawn = signals[row], self.draw(epoch, self.ids[row], modality.name)
                if signal is not None and drawn is not None:
                    chosen, level, seed = drawn
                    fed[place] = modality.feed(corrupt_signal(signal, chosen, level, seed, self.ids[row], modality))


def look_ahead(make: Callable[[T], U], items: Iterable[T], threads: int = 1) -> Iterator[U]:
    """make(item) of every item in order; the next ones are made in threads while their forerunner is used."""
    if not threads:
        yield from map(make, items)
        return
    pool, waiting = ThreadPoolExecutor(threads), deque[Future[U]]()
    try:
        for item in items:
            waiting.append(pool.submit(make, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
