"""A batch of samples as the graph takes them, with its correctness without an attack."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustmm.corruptions import generator
from robustmm.data.loading import Samples, collate_signals
from robustmm.evaluation.finite import check_finite
from robustmm.metrics.contribution import expected_correctness
from robustmm.modalities import Modality, Signal
from robustmm.runtime.session import Embeddings, Session
from robustmm.search.windows import bounds, draw_signs

Eps = Mapping[str, float]
"""Norms by modality, in the kind's unit; the modalities that are attacked."""
Inputs = dict[str, NDArray[Any]]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class SampleBatch:
    """A batch: inputs (samples, *shape) and embeddings of every modality. What is attacked are the signals; where the
    model takes other colours or another scale, the inputs differ from them."""

    ids: list[str]
    signals: Inputs  # of every kind but text; zeros where missing
    inputs: Inputs  # what `Modality.feed` makes of them
    present: Bools  # (samples, modality)
    target: NDArray[np.int64]
    z: Embeddings

    @classmethod
    def from_samples(cls, session: Session, samples: Samples, target: NDArray[np.int64]) -> "SampleBatch":
        inputs = {m.name: collate_signals(m, samples.signals[m.name]) for m in session.modalities}
        signals = {m.name: stack_signals(m, samples.signals[m.name]) for m in session.modalities if m.kind != "text"}
        return cls(samples.ids, signals, inputs, samples.present(), target, session.embeddings(inputs, len(target)))

    def correct_mask(self, session: Session, z: Embeddings) -> Bools:
        """(sample,): whether the answer from these embeddings is right."""
        return np.asarray(self.answer(session, z, self.present).argmax(1) == self.target)

    def answer(self, session: Session, z: Embeddings, present: Bools, rows: Sequence[int] = ()) -> NDArray[np.float64]:
        """Probabilities (rows, class), of all samples or of some. Raises DataError, with the sample, where they are
        NaN."""
        p = session.decode(z, present)
        check_finite(session, p, np.asarray(present.any(1)), [self.ids[row] for row in rows] if len(rows) else self.ids)
        return p

    def attackable_modalities(self, session: Session, attacked: Eps) -> list[list[str]]:
        """Of every sample, the attacked modalities that it has."""
        numbers = {name: session.names.index(name) for name in attacked}
        return [[name for name, m in numbers.items() if here[m]] for here in self.present]

    def correct_without(self, session: Session, attacked: Eps) -> NDArray[np.float64]:
        """(sample,): 1 where right when the presence mask drops the attacked modalities; where nothing is left, how
        often the prior is."""
        left = self.present & np.array([name not in attacked for name in session.names])
        right = self.answer(session, self.z, left).argmax(1) == self.target
        return np.where(left.any(1), right, expected_correctness(session.prior, self.target))

    def correct_under_noise(self, session: Session, eps: Eps, seed: int) -> Bools:
        """(sample,): right under random signs of the same norms on all entries, in one query: the control."""
        z = dict(self.z)
        for name in eps:
            modality = session.modality(name)
            low, high = bounds(modality, self.signals[name], eps[name])
            up = [draw_signs(generator(seed, sample, name, "square noise"), *modality.shape) for sample in self.ids]
            z[name] = session.embed(name, feed_signals(modality, np.where(up, high, low)))
        return self.correct_mask(session, z)


def stack_signals(modality: Modality, signals: Sequence[Signal | None]) -> NDArray[Any]:
    """Signals (samples, *shape) as corruptions see them, zeros where they are missing."""
    out = np.zeros((len(signals), *modality.shape), modality.dtype)
    for row, signal in enumerate(signals):
        if signal is not None:
            out[row] = signal
    return out


def feed_signals(modality: Modality, signals: NDArray[Any]) -> NDArray[Any]:
    """The graph's input for signals (samples, *shape)."""
    return np.stack([modality.feed(signal) for signal in signals])
