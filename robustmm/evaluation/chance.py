"""Whether clean answers are certainly worse than answers without inputs: most often a sign of a wrong description."""

import numpy as np

from robustmm.evaluation.records import Records
from robustmm.metrics.classification import correctness
from robustmm.metrics.statistics import wilson


def doubt_accuracy(clean: Records, classes: list[str], foreign: bool) -> list[str]:
    """A sentence where Wilson's interval of clean accuracy lies below chance, or below the commonest class's share.
    Chance is one of the classes, or the answers in random order (as in Cohen's kappa), which of them is right more."""
    n, right = len(clean), int(correctness(clean.probabilities, clean.target).sum())
    low, high = wilson(right, n)
    share = np.bincount(clean.target, minlength=len(classes)) / n
    answered = np.bincount(clean.probabilities.argmax(1), minlength=len(classes)) / n
    chance = max(1 / len(classes), float(share @ answered))
    ask = "are `classes` in the output's order?" if foreign else "was the model trained for this data?"
    found = f"Clean accuracy, {right / n:.1%} [{100 * low:.1f}, {100 * high:.1f}], is certainly below"
    if high < chance:
        return [f"{found} chance ({chance:.1%}): {ask}"]
    if high < share.max():
        return [f'{found} that of always answering "{classes[int(share.argmax())]}" ({share.max():.1%}): {ask}']
    return []
