"""The worst mix within a budget: all of them scored where they are few, else coordinate ascent from several starts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from robustmm.evaluation.finite import check_finite
from robustmm.metrics.classification import correctness, sample_nll
from robustmm.runtime.runner import split_batches
from robustmm.runtime.session import Session
from robustmm.search.choices import Choice, EmbeddingBank
from robustmm.search.outcome import SearchMethod

EXHAUSTIVE_LIMIT = 2**21
"""Decoder rows (mixes x samples) up to which every mix is scored."""
RANDOM_STARTS = 2
SLACK = 1e-9
"""Sums of levels are compared with budgets up to this."""

Array = NDArray[np.float64]
Mix = tuple[int, ...]
"""The index of a choice for each modality."""
MixScore = tuple[float, float, float, Mix]
"""What the attacker minimises: accuracy, then mean log p(true), then the levels spent, then the choices' order."""


class MixScorer:
    """Mixes scored on some samples; each is scored once."""

    def __init__(self, session: Session, arms: Mapping[str, Sequence[Choice]], bank: EmbeddingBank) -> None:
        self.session, self.bank = session, bank
        self.arms = [list(arms[name]) for name in session.names]
        self.keys: dict[Mix, MixScore] = {}

    def total_level(self, mix: Mix) -> float:
        """The sum of its levels."""
        return sum(self.arms[m][a].level for m, a in enumerate(mix))

    def score_mixes(self, mixes: Sequence[Mix]) -> Iterator[tuple[Array, Array]]:
        """Correctness and -log p(true) of the samples (samples,), for every mix in order."""
        samples = len(self.bank.target)
        for part in split_batches(np.array(mixes), max(1, self.session.decodes // samples)):
            each = {name: self.bank.z[name][part[:, m]] for m, name in enumerate(self.session.names)}
            z = {name: x.reshape(-1, *x.shape[2:]) for name, x in each.items()}
            p = self.session.decode(z, np.tile(self.bank.present, (len(part), 1)))
            check_finite(self.session, p, np.tile(self.bank.present.any(1), len(part)), self.bank.ids * len(part))
            target = np.tile(self.bank.target, len(part))
            found = (metric(p, target).reshape(len(part), samples) for metric in (correctness, sample_nll))
            yield from zip(*found, strict=True)

    def worst_mix(self, mixes: Iterable[Mix]) -> Mix:
        """The best of some mixes for the attacker."""
        listed = list(dict.fromkeys(mixes))
        new = [mix for mix in listed if mix not in self.keys]
        for mix, (right, losses) in zip(new, self.score_mixes(new) if new else (), strict=True):
            # rounded: the order of a sum must not decide
            self.keys[mix] = (float(right.mean()), -round(float(losses.mean()), 9), self.total_level(mix), mix)
        return min(listed, key=lambda mix: self.keys[mix])


def search_mixes(
    board: MixScorer, spaces: Sequence[Sequence[int]], budget: float, starts: Sequence[Mix], seed: int
) -> tuple[Mix, SearchMethod]:
    """The worst mix of choices from `spaces` (one list a modality) whose levels sum to at most `budget`, and how it was
    found. Coordinate ascent begins at `starts` and at random mixes by `seed`, and returns nothing weaker than them."""
    allowed = [[a for a in space if board.arms[m][a].level <= budget + SLACK] for m, space in enumerate(spaces)]
    if prod(map(len, allowed)) * len(board.bank.target) <= EXHAUSTIVE_LIMIT:
        return board.worst_mix(
            mix for mix in product(*allowed) if board.total_level(mix) <= budget + SLACK
        ), "exhaustive"
    rng = np.random.default_rng(seed)
    begins = [*starts, *(_draw_mix(board, allowed, budget, rng) for _ in range(RANDOM_STARTS))]
    return board.worst_mix(_ascend_coordinates(board, allowed, budget, start) for start in begins), "coordinate ascent"


def _ascend_coordinates(board: MixScorer, spaces: Sequence[Sequence[int]], budget: float, mix: Mix) -> Mix:
    """One modality at a time takes its worst choice, until none changes."""
    before = None
    while mix != before:
        before = mix
        for m in range(len(mix)):
            mix = board.worst_mix([mix, *_neighbour_mixes(board, spaces, budget, mix, m)])
    return mix


def _neighbour_mixes(
    board: MixScorer, spaces: Sequence[Sequence[int]], budget: float, mix: Mix, m: int
) -> Iterator[Mix]:
    """Every choice for modality m. Where the budget does not allow it, one other modality lowers the level of its own
    corruption as far as needed, so that a spent budget can still move."""
    for choice in spaces[m]:
        changed = (*mix[:m], choice, *mix[m + 1 :])
        if board.total_level(changed) <= budget + SLACK:
            yield changed
            continue
        for donor in range(len(mix)):
            if donor == m:
                continue
            own = board.arms[donor][mix[donor]].noise
            lower = [(*changed[:donor], a, *changed[donor + 1 :]) for a in spaces[donor]
                     if board.arms[donor][a].noise in ("", own)]  # fmt: skip
            fits = [x for x in lower if board.total_level(x) <= budget + SLACK]
            if fits:
                yield max(fits, key=board.total_level)


def _draw_mix(board: MixScorer, spaces: Sequence[Sequence[int]], budget: float, rng: np.random.Generator) -> Mix:
    """A random mix: from their lowest levels, the modalities take in random order a random choice that fits."""
    mix = tuple(lowest_choice(space, each) for space, each in zip(spaces, board.arms, strict=True))
    for m in rng.permutation(len(spaces)):
        fits = [x for a in spaces[m] if board.total_level(x := (*mix[:m], a, *mix[m + 1 :])) <= budget + SLACK]
        mix = fits[rng.integers(len(fits))]
    return mix


def lowest_choice(space: Sequence[int], each: Sequence[Choice]) -> int:
    """The choice of the lowest level."""
    return min(space, key=lambda a: each[a].level)
