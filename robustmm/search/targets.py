"""The targets of the Square attack: which modalities, together or alone, within which norms."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from robustmm.conditions.condition import check_unit
from robustmm.errors import UsageError, suggest
from robustmm.runtime.session import Session
from robustmm.search.samples import Eps
from robustmm.search.windows import UNITS, norm_size

EPS = {"image": 8 / 255, "video": 8 / 255, "audio": 0.01, "series": 0.1, "features": 0.1}
"""Norms by kind where none are given: the field's 8 / 255 for pictures, ours for the others."""
WHOLE_RANGE = {"image": 1.0, "video": 1.0, "audio": 2.0, "series": 10.0, "features": 10.0}
"""Norms as wide as the signals: the whole range, or ten standard deviations where there is none."""


@dataclass(frozen=True)
class Target:
    """Some modalities within some norms, attacked together."""

    eps: Eps
    scale: float
    queries: int

    @property
    def label(self) -> str:
        extent = "over the whole range" if self.scale == float("inf") else f"at scale {self.scale:g}"
        return f"{' + '.join(self.eps)} {extent}"


def build_targets(session: Session, on: Sequence[str], eps: Eps, scales: Sequence[float], queries: int) -> list[Target]:
    """Every modality alone, then all together, at each scale. Raises UsageError for what does not fit."""
    kinds = {m.name: m.kind for m in session.modalities}
    for name in (*on, *eps):
        if name not in kinds:
            raise UsageError(f'there is no modality "{name}"{suggest(name, kinds)}')
    for name in on:
        if kinds[name] not in UNITS:
            raise UsageError(f"the Square attack moves numbers by a norm, which {name} ({kinds[name]}) does not have")
    names = [n for n, kind in kinds.items() if (n in on if on else kind in UNITS)]
    if not names:
        listed = ", ".join(f"{name} ({kind})" for name, kind in kinds.items())
        raise UsageError(f"the Square attack serves {', '.join(sorted(UNITS))}; the model has {listed}")
    if stray := [name for name in eps if name not in names]:
        raise UsageError(f"there is a norm for {stray[0]}, which is not attacked (attacked: {', '.join(names)})")
    if queries < 1 or not scales or not all(0 < s < float("inf") for s in scales):
        raise UsageError(f"expected at least one query and positive scales, found {queries} and {list(scales)}")
    subsets = [[name] for name in names] + ([names] if len(names) > 1 else [])
    for name in names:
        check_unit(session.modality(name))
    full = {name: eps.get(name, EPS[kinds[name]]) for name in names}
    targets = [Target({n: full[n] * s for n in subset}, s, queries) for s in sorted(scales) for subset in subsets]
    for aim in targets:
        for name, norm in aim.eps.items():
            if not (norm < float("inf") and np.all(norm_size(session.modality(name), norm) > 0)):
                raise UsageError(
                    f"the norm of {name} should be positive, and at least 1 / 255 where pixels are whole numbers, "
                    f"found {norm:g}"
                )
    return targets
