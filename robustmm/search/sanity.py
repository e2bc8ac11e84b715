"""Checks that hold for every attack that works, on a model that repeats its answers. A failed check means that the
robust accuracy beside it cannot be trusted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robustmm.metrics.statistics import paired_bootstrap, wilson
from robustmm.search.climb import NEVER
from robustmm.search.outcome import SanityCheck
from robustmm.search.samples import Bools

REPLAY_TOLERANCE = 0.01
"""Share of the samples that may answer otherwise when their adversarial inputs are run anew (kernels round)."""


@dataclass(frozen=True)
class AttackRun:
    """One run of the attack, sample by sample."""

    label: str  # what was attacked, for sentences
    broken: NDArray[np.int64]  # see HillClimb.run
    replayed: Bools  # right on the adversarial inputs, through the whole model once more
    noised: Bools  # right under random signs of the same norms

    @property
    def robust_mask(self) -> Bools:
        return np.asarray(self.broken == NEVER)


def check_not_above_clean(clean: Bools, runs: Sequence[AttackRun]) -> SanityCheck:
    """Accuracy on the adversarial inputs is not above clean accuracy beyond its interval."""
    run = max(runs, key=lambda r: r.replayed.mean())
    found, limit = float(run.replayed.mean()), wilson(int(clean.sum()), len(clean)).high
    return SanityCheck(
        name="never above clean",
        passed=found <= limit,
        measured=found,
        limit=limit,
        sentence=f"accuracy on adversarial inputs is at most {found:.1%} ({run.label}); "
        f"clean it is {clean.mean():.1%}, with its interval up to {limit:.1%}",
    )


def check_stronger_than_noise(clean: Bools, runs: Sequence[AttackRun], seed: int) -> SanityCheck:
    """No run leaves more than random signs of its norms do, beyond chance (paired bootstrap, Bonferroni over runs).
    Samples that are wrong when clean count as broken on both sides."""
    sure = 1 - 0.05 / len(runs)
    gaps = [paired_bootstrap(r.robust_mask, clean & r.noised, seed=seed, confidence=sure) for r in runs]
    worst = max(range(len(runs)), key=lambda i: gaps[i].low)
    attacked, noise = float(runs[worst].robust_mask.mean()), float((clean & runs[worst].noised).mean())
    return SanityCheck(
        name="at least as strong as noise",
        passed=gaps[worst].low <= 0,
        measured=attacked,
        limit=noise,
        sentence=f"the attack leaves {attacked:.1%}, random signs of the same norm {noise:.1%} ({runs[worst].label})",
    )


def check_reaches_chance(whole: AttackRun, without: NDArray[np.float64], classes: int) -> SanityCheck:
    """With norms as wide as the signals, accuracy falls to chance, or to what the model knows without the attacked
    modalities where others are left."""
    found, limit = float(whole.robust_mask.mean()), max(1 / classes, float(without.mean()))
    return SanityCheck(
        name="whole range reaches chance",
        passed=wilson(int(whole.robust_mask.sum()), len(without)).low <= limit,
        measured=found,
        limit=limit,
        sentence=f"with norms as wide as the signals the attack leaves {found:.1%} ({whole.label}); chance, or what is "
        f"right without the attacked modalities, is {limit:.1%}",
    )


def check_replay(runs: Sequence[AttackRun]) -> SanityCheck:
    """The adversarial inputs, run anew, give the answers that the attack counted."""
    run = max(runs, key=lambda r: (r.replayed != r.robust_mask).mean())
    found = float((run.replayed != run.robust_mask).mean())
    return SanityCheck(
        name="adversarial inputs replay",
        passed=found <= REPLAY_TOLERANCE,
        measured=found,
        limit=REPLAY_TOLERANCE,
        sentence=f"run anew, at most {found:.1%} of the samples answer otherwise than counted ({run.label})",
    )
