"""One answer on a user's own files: class probabilities and what each modality contributes to this answer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from robustmm.data.loading import collate_signals
from robustmm.errors import DataError, UsageError, suggest
from robustmm.evaluation.finite import check_finite
from robustmm.metrics.classification import MIN_PROBABILITY
from robustmm.metrics.contribution import shapley, shares, subset_masks
from robustmm.results import Number, Result
from robustmm.runtime.session import Session

MIN_SUPPORT = 1e-8
"""Nats below which a sum of contributions is rounding."""


class ClassProbability(Result):
    label: str
    probability: Number


class Support(Result):
    """A modality's exact Shapley value of the log-probability of the predicted class, and its share of the support;
    null where the inputs together make the answer no likelier than the prior does."""

    name: str
    present: bool
    shapley_log_probability: Number
    share: Number
    unimodal_label: str = Field(description="class predicted from this modality alone; empty where it is missing")


class Prediction(Result):
    """The result of `robustmm predict --json`, format 2."""

    format: int = 2
    model: str
    label: str
    classes: list[ClassProbability]
    modalities: list[Support]

    def rows(self) -> list[dict[str, Any]]:
        """A row per class, the likeliest first."""
        return [{"label": c.label, "probability": c.probability} for c in self.classes]


def predict(session: Session, cells: Mapping[str, str]) -> Prediction:
    """The model's answer to one sample given as files (or text) by modality; what is left out is missing."""
    for name in cells:
        if name not in session.names:
            raise UsageError(f'the model has no modality "{name}"{suggest(name, session.names)}')
    if not cells:
        raise UsageError(f"at least one of --{', --'.join(session.names)} should be given")
    inputs = {}
    for name, cell in cells.items():
        modality = session.modality(name)
        try:
            inputs[name] = collate_signals(modality, [modality.read(cell, Path())])
        except DataError as error:
            raise DataError(f"--{name}: {error}") from error
    M = len(session.names)
    present = np.array([name in cells for name in session.names])
    z = session.embeddings(inputs, 1)
    masks = subset_masks(M) & present
    p = session.decode({name: np.repeat(part, len(masks), 0) for name, part in z.items()}, masks)
    check_finite(session, p[:, None], masks.any(1)[:, None], [""])
    p = np.where(masks.any(1)[:, None], p, session.prior)
    answer = int(p[-1].argmax())
    phi = shapley(np.log(np.maximum(p[:, answer], MIN_PROBABILITY)))
    supports = shares(phi) if phi.sum() > MIN_SUPPORT else np.full(M, np.nan)
    order = np.argsort(-p[-1], kind="stable")
    return Prediction(
        model=str(session.path),
        label=session.classes[answer],
        classes=[ClassProbability(label=session.classes[c], probability=p[-1, c]) for c in order],
        modalities=[
            Support(
                name=name,
                present=bool(present[m]),
                shapley_log_probability=phi[m],
                share=share,
                unimodal_label=session.classes[int(p[1 << m].argmax())] if present[m] else "",
            )
            for m, (name, share) in enumerate(zip(session.names, supports, strict=True))
        ],
    )
