"""What the description of a foreign model leaves out, from the manifest's train split: the unit of noise of series and
features, and the class prior."""

import copy
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from robustmm.data.loading import read_batches
from robustmm.data.manifest import Manifest
from robustmm.data.prior import prior
from robustmm.evaluation.cut_proof import prove_cut
from robustmm.modalities import Modality, Signal
from robustmm.runtime.session import Session

PriorSource = Literal["model", "description", "train split", "uniform"]
"""Where the value of the empty set comes from. `uniform`: nobody says how frequent the classes are."""
TRAIN = "train"
BATCH = 1024


class Fitted(NamedTuple):
    """A session with what could be found out, where its prior is from, and a sentence for each thing found."""

    session: Session
    prior: PriorSource
    notes: list[str]


def fit_session(session: Session, manifest: Manifest) -> Fitted:
    """A copy of a session, its cut proved on rows of the data, completed from the train split of a whole manifest. A
    modality stays without a mean or std where no train split has it: conditions that need them are refused
    (conditions.condition.check_unit)."""
    if session.description is None:
        return Fitted(copy.copy(session), "model", list(session.notes))
    notes: list[str] = []
    fitted = copy.copy(prove_cut(session, manifest, notes))
    train = manifest.split(TRAIN) if TRAIN in manifest.split_sizes() else None
    fitted.modalities = [_fit_modality(m, train, notes) for m in session.modalities]
    if session.facts["prior"] is not None:
        return Fitted(fitted, "description", notes)
    found = _count_classes(train, session.classes, notes) if train else None
    if found is None:
        notes.append("the class prior is uniform: the description has no prior, and the manifest no train split")
        return Fitted(fitted, "uniform", notes)
    fitted.prior = found
    return Fitted(fitted, "train split", notes)


def description_text(session: Session) -> str:
    """The description of a foreign model, whole; empty for a file of ours."""
    return str(session.facts["description"]) if session.description else ""


def _fit_modality(modality: Modality, train: Manifest | None, notes: list[str]) -> Modality:
    """The modality with the mean and std that it lacks, where it has such and the train split has signals."""
    lacking = [key for key in ("mean", "std") if getattr(modality, key, None) == ()]
    if not lacking or train is None or not train.columns.keys() >= set(modality.column_names):
        return modality
    read = 0

    def signals() -> Iterator[Signal]:
        nonlocal read
        for _, samples in read_batches(train, [modality], BATCH, "missing"):
            for signal in samples.signals[modality.name]:
                if signal is not None:
                    read += 1
                    yield signal

    fitted = modality.fit_to(signals())
    if not read:
        return modality
    notes.append(
        f"{modality.name}: {' and '.join(lacking)} from the {read} rows of split {TRAIN} that have it, since the "
        "description gives none"
    )
    return modality.model_copy(update={key: getattr(fitted, key) for key in lacking})


def _count_classes(train: Manifest, classes: list[str], notes: list[str]) -> NDArray[np.float64] | None:
    """The frequencies (class,) of the train split; None where no row has a class of the model."""
    number = {label: i for i, label in enumerate(classes)}
    target = np.array([number[label] for label in train.labels if label in number], dtype=np.int64)
    if not len(target):
        return None
    strange = len(train) - len(target)
    notes.append(
        f"class prior from the {len(target)} rows of split {TRAIN}, since the description gives none"
        + (f"; {strange} rows whose labels are no class of the model are left out" if strange else "")
    )
    return prior(target, len(classes))
