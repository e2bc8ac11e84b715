"""The Square attack on a batch: every sample climbs on its own, one decoder call serves all that still hold."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustmm.corruptions import generator
from robustmm.runtime.session import Session
from robustmm.search.samples import Eps, Inputs, SampleBatch, feed_signals
from robustmm.search.windows import bounds, draw_start, perturb_window, window_share

NEVER = 2**31
"""Marks a sample that no query broke."""
MIN_PROBABILITY = 1e-300
"""Lowest probability whose logarithm is taken: a softmax in double precision keeps logits apart by 690."""


class HillClimb:
    """The attack's state: the worst inputs so far, their embeddings and margins, and the query that broke a sample."""

    def __init__(self, session: Session, rows: SampleBatch, eps: Eps, seed: int) -> None:
        self.session, self.rows = session, rows
        self.able = rows.attackable_modalities(session, eps)
        self.bounds = {name: bounds(session.modality(name), rows.signals[name], eps[name]) for name in eps}
        self.rng = [generator(seed, sample, "+".join(eps), "square") for sample in rows.ids]
        self.x = {name: rows.signals[name].copy() for name in eps}
        self.z = {name: z.copy() for name, z in rows.z.items()}
        self.margin = np.full(len(rows.ids), np.inf)
        self.broken = np.where(rows.correct_mask(session, rows.z), NEVER, 0)

    def run(self, queries: int) -> NDArray[np.int64]:
        """(sample,): the query that broke it, 0 where it was wrong when clean, `NEVER` where it holds."""
        within = np.array([bool(names) for names in self.able])
        for query in range(1, queries + 1):
            active = np.flatnonzero((self.broken == NEVER) & within)
            if not len(active):
                break
            self._run_query(active, query, queries)
        return self.broken

    def worst_inputs(self) -> Inputs:
        """The worst inputs found, of every modality."""
        fed = {name: feed_signals(self.session.modality(name), x) for name, x in self.x.items()}
        return {**self.rows.inputs, **fed}

    def _run_query(self, active: NDArray[np.int64], query: int, queries: int) -> None:
        """One query for each active sample, which keeps what lowers its margin."""
        tried = self._propose_inputs(active, query, queries)
        z = {name: each[active] for name, each in self.z.items()}
        encoded = {name: self._embed(name, found) for name, found in tried.items()}
        for name, found in tried.items():
            z[name][np.searchsorted(active, list(found))] = encoded[name]
        p = self.rows.answer(self.session, z, self.rows.present[active], active.tolist())
        target = self.rows.target[active]
        new, wrong = margin(p, target), p.argmax(1) != target
        kept = (new < self.margin[active]) | wrong
        self.margin[active[kept]] = new[kept]
        self.broken[active[wrong]] = query
        better = set(active[kept].tolist())
        for name, found in tried.items():
            for number, (row, candidate) in enumerate(found.items()):
                if row in better:
                    self.x[name][row], self.z[name][row] = candidate, encoded[name][number]

    def _embed(self, name: str, signals: dict[int, NDArray[Any]]) -> NDArray[Any]:
        """Embeddings of candidates of one modality, by row."""
        fed = feed_signals(self.session.modality(name), np.stack(list(signals.values())))
        return self.session.embed(name, fed)

    def _propose_inputs(
        self, active: NDArray[np.int64], query: int, queries: int
    ) -> dict[str, dict[int, NDArray[Any]]]:
        """Candidates by modality and row: the first query changes all modalities of a sample, later ones change one in
        turn."""
        tried: dict[str, dict[int, NDArray[Any]]] = {}
        for row in active.tolist():
            names = self.able[row] if query == 1 else [self.able[row][query % len(self.able[row])]]
            for name in names:
                kind, (low, high) = self.session.modality(name).kind, self.bounds[name]
                if query == 1:
                    found = draw_start(kind, low[row], high[row], self.rng[row])
                else:
                    part = window_share(query, queries)
                    found = perturb_window(kind, self.x[name][row], low[row], high[row], part, self.rng[row])
                tried.setdefault(name, {})[row] = found
        return tried


def margin(p: NDArray[np.float64], target: NDArray[np.int64]) -> NDArray[np.float64]:
    """log p(true) - max log p(other), (sample,): the paper's margin of logits, which confidence does not flatten."""
    logarithm = np.log(np.maximum(p, MIN_PROBABILITY))
    rows = np.arange(len(target))
    true = logarithm[rows, target]
    logarithm[rows, target] = -np.inf
    return np.asarray(true - logarithm.max(1))
