"""A foreign graph's parts against the whole graph, on rows of the data that will be evaluated."""

import numpy as np

from robustmm.data.loading import collate_signals, read_samples
from robustmm.data.manifest import Manifest
from robustmm.data.sample import hash_order
from robustmm.evaluation.finite import check_finite
from robustmm.runtime.foreign.probe import is_close
from robustmm.runtime.foreign.session import ForeignSession
from robustmm.runtime.session import Session

ROWS = 4
"""Rows that are read."""


def prove_cut(session: Session, manifest: Manifest, notes: list[str]) -> Session:
    """The session where its parts answer as the whole graph does on a few rows, complete and with each modality
    missing; else one that runs the graph whole, and a note."""
    if not isinstance(session, ForeignSession) or not session.encoded:
        return session
    samples = read_samples(manifest.take(hash_order(manifest.ids)[:ROWS]), session.modalities, "missing")
    inputs = {m.name: collate_signals(m, samples.signals[m.name]) for m in session.modalities}
    patterns = [np.ones(len(inputs), bool), *~np.eye(len(inputs), dtype=bool)]
    present = np.concatenate([samples.present() & pattern for pattern in patterns])
    given = {name: np.concatenate([x] * len(patterns)) for name, x in inputs.items()}
    whole = session.reopen_whole()
    expected = whole.predict(given, present)
    check_finite(whole, expected, np.asarray(present.any(1)), samples.ids * len(patterns))
    if is_close(session.predict(given, present), expected):
        return session
    notes.append("the graph runs whole: cut into encoders and a head, it answers otherwise on rows of this data")
    return whole
