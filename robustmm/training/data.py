"""The training split on its device: batches for the loop, and the data that methods may read."""

import copy
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robustmm import distributed
from robustmm.data.storage.rows import take_rows
from robustmm.data.storage.split import Split
from robustmm.methods import Batch, Turn
from robustmm.methods.combinations import drop_modalities
from robustmm.training.changes.epoch import Changes

T = TypeVar("T")
U = TypeVar("U")


class TeacherAnswers(Protocol):
    """Frozen teachers' answers to a split; see robustmm.training.teachers."""

    def teach_unimodal(self, data: "TrainingSplit") -> Tensor: ...
    def teach_joint(self, data: "TrainingSplit") -> tuple[Tensor, Tensor]: ...


class TrainingSplit:
    """A split as batches of tensors. `teachers` trains the frozen models a method asks for, only when it asks. The
    `changes` are made in the batches of an epoch, and in nothing else that is read here."""

    def __init__(
        self,
        split: Split,
        classes: int,
        device: torch.device,
        class_weights: str = "none",
        teachers: TeacherAnswers | None = None,
        changes: Changes | None = None,
        epochs: int = 1,
    ) -> None:
        self.modalities = tuple(split.inputs)
        self.classes = classes
        self.device = device
        self.inputs, self.workers = split.inputs, split.workers
        self.present = torch.from_numpy(split.present).to(device)
        self.target = torch.from_numpy(split.target).to(device)
        self.class_weight = balanced_weights(self.target, classes) if class_weights == "balanced" else None
        self._teachers = teachers
        self.changes, self.epochs = changes, epochs

    def __len__(self) -> int:
        return len(self.target)

    def unimodal_logits(self) -> Tensor:
        """See TrainingData. Zeros on a resumed run: the checkpoint holds what was learned from them."""
        if self._teachers is None:
            return torch.zeros(len(self), len(self.modalities), self.classes, device=self.device)
        return self._teachers.teach_unimodal(self)

    def joint_answers(self, width: int) -> tuple[Tensor, Tensor]:
        """See TrainingData; zeros on a resumed run."""
        if self._teachers is None:
            features = torch.zeros(len(self), width, device=self.device)
            return features, torch.zeros(len(self), self.classes, device=self.device)
        return self._teachers.teach_joint(self)

    def samples(self) -> Iterator[Batch]:
        """See TrainingData."""
        parts = torch.arange(len(self)).split(256)
        return self._read_ahead(parts, None)

    def batch(self, rows: Tensor) -> Batch:
        """These rows, nothing changed."""
        return self._to_batch(rows, self._read(rows.numpy(), None))

    def _read(self, rows: NDArray[np.int64], epoch: int | None) -> dict[str, NDArray[Any]]:
        """Arrays of their own for some rows; changed where an epoch is given."""
        inputs = {name: values[rows] for name, values in self.inputs.items()}
        if self.changes is not None and epoch is not None:
            self.changes.apply(inputs, rows.tolist(), epoch)
        return inputs

    def _to_batch(self, rows: Tensor, inputs: dict[str, NDArray[Any]]) -> Batch:
        at = rows.to(self.device)
        fed = {name: torch.from_numpy(values).to(self.device) for name, values in inputs.items()}
        return Batch(fed, self.present[at], self.target[at], at)

    def _read_ahead(self, parts: Sequence[Tensor], epoch: int | None) -> Iterator[Batch]:
        """The batches of these rows. What is not in memory, or is changed, is made ahead, in threads."""
        threads = self.workers or int(self.changes is not None and epoch is not None)
        read = partial(self._read, epoch=epoch)
        for rows, inputs in zip(parts, look_ahead(read, [rows.numpy() for rows in parts], threads), strict=True):
            yield self._to_batch(rows, inputs)

    def draw_order(self, weights: Tensor | None) -> Tensor:
        """The rows of an epoch in random order (with replacement under sample weights), from torch's generator."""
        if weights is None:
            return torch.randperm(len(self))
        return torch.multinomial(weights.cpu(), len(self), replacement=True)

    def batches(self, turns: Sequence[Turn], dropout: float, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch's turns; each of several ranks gets its share of every one.

        `dropout` drops each modality that is there with that probability, but never the last one of a sample.
        """
        parts = [distributed.rank_rows(turn.rows) for turn in turns]
        for turn, batch in zip(turns, self._read_ahead(parts, epoch), strict=True):
            if turn.kept is not None:
                batch.present = batch.present & distributed.rank_rows(turn.kept).to(self.device)
            if dropout:
                batch.present = drop_modalities(batch.present, dropout)
            yield batch

    def without_changes(self) -> "TrainingSplit":
        """The same split with nothing changed."""
        clean = copy.copy(self)
        clean.changes = None
        return clean

    def select_modality(self, modality: int, rows: Tensor) -> "TrainingSplit":
        """Some rows with one modality, nothing changed: what a teacher is trained on."""
        part = self.without_changes()
        name = self.modalities[modality]
        part.modalities, part.inputs = (name,), {name: take_rows(self.inputs[name], rows.cpu().numpy())}
        part.present, part.target = self.present[rows, modality : modality + 1], self.target[rows]
        return part


def balanced_weights(target: Tensor, classes: int) -> Tensor:
    """(class,) weights N / (C n_c), so that every class weighs the same; 0 for a class without samples."""
    counts = torch.bincount(target, minlength=classes).float()
    return torch.where(counts > 0, len(target) / (classes * counts.clamp(min=1)), 0.0)


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
