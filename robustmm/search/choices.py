"""The choices of an attacker for each modality, a corruption at a level or nothing, and the embeddings under each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustmm.conditions.condition import Condition, Noise, corrupt_signal
from robustmm.corruptions import Corruption
from robustmm.data.loading import OnBad, collate_signals, read_batches, targets
from robustmm.data.manifest import Manifest
from robustmm.errors import UsageError
from robustmm.modalities import Modality, Signal
from robustmm.runtime.session import Session

Noises = Sequence[str] | Mapping[str, Sequence[str]]
"""Names of corruptions, for every modality that they serve; or by modality."""


@dataclass(frozen=True)
class Choice:
    """A corruption at a level; nothing where there is none."""

    chosen: Corruption | None = None
    level: float = 0.0

    @property
    def noise(self) -> str:
        return self.chosen.name if self.chosen else ""


@dataclass(frozen=True)
class EmbeddingBank:
    """The embeddings of some samples under every choice of every modality."""

    z: Mapping[str, NDArray[Any]]  # by modality, (choice, samples, width)
    present: NDArray[np.bool_]  # (samples, modality)
    target: NDArray[np.int64]
    bad: list[str]
    ids: list[str]

    def take(self, rows: NDArray[np.int64]) -> "EmbeddingBank":
        z = {name: each[:, rows] for name, each in self.z.items()}
        ids = [self.ids[row] for row in rows]
        return replace(self, z=z, present=self.present[rows], target=self.target[rows], ids=ids)


def select_corruptions(modalities: Sequence[Modality], noises: Noises) -> dict[str, list[Corruption]]:
    """The attacker's corruptions by modality, in the order given. Raises UsageError for a name that is not known,
    serves no modality of the model (or not the one it is given for), or is a fault of whole samples."""
    wanted = {(): noises} if not isinstance(noises, Mapping) else {(name,): each for name, each in noises.items()}
    steps = [
        step
        for on, names in wanted.items()
        for step in Condition("", tuple(Noise(name, 1.0, on) for name in dict.fromkeys(names))).resolve_steps(
            modalities
        )
    ]
    for step in steps:
        if step.pair:
            raise UsageError(f'"{step.name}" is a fault of whole samples; a mix is made of faults of single modalities')
    if not steps:
        raise UsageError("a mix takes at least one corruption, found none")
    return {m.name: [chosen for s in steps if (chosen := s.on.get(m.name))] for m in modalities}


def build_choices(able: Mapping[str, Sequence[Corruption]], levels: Sequence[float]) -> dict[str, list[Choice]]:
    """By modality: nothing, then every corruption at every level above 0."""
    return {name: [Choice(), *(Choice(c, x) for c in each for x in levels if x > 0)] for name, each in able.items()}


def embed_choices(
    session: Session,
    manifest: Manifest,
    arms: Mapping[str, Sequence[Choice]],
    *,
    seed: int,
    batch: int,
    on_bad: OnBad,
    advance: Callable[[int], None],
) -> EmbeddingBank:
    """Samples' embeddings under every choice, a few rows at a time; noise depends on (seed, id, modality, name)."""
    z: dict[str, list[list[NDArray[Any]]]] = {name: [[] for _ in each] for name, each in arms.items()}
    present, bad = [], []
    for _, samples in read_batches(manifest, session.modalities, batch, on_bad):
        present.append(samples.present())
        bad += samples.bad
        for modality in session.modalities:
            given = samples.signals[modality.name]
            for choice, parts in zip(arms[modality.name], z[modality.name], strict=True):
                signals = [_apply_choice(x, choice, seed, i, modality) for x, i in zip(given, samples.ids, strict=True)]
                parts.append(session.embed(modality.name, collate_signals(modality, signals)))
                advance(len(given))
    stacked = {name: np.stack([np.concatenate(parts) for parts in each]) for name, each in z.items()}
    return EmbeddingBank(stacked, np.concatenate(present), targets(manifest, session.classes), bad, manifest.ids)


def _apply_choice(signal: Signal | None, choice: Choice, seed: int, sample: str, modality: Modality) -> Signal | None:
    if signal is None or choice.chosen is None:
        return signal
    return corrupt_signal(signal, choice.chosen, choice.level, seed, sample, modality)
