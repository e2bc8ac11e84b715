"""How small a change n samples can show, and how many samples a decision takes, before anything is run.

A paired test sees only the samples on which two runs differ. With n samples, a share s of them answered rightly by one
run only, and a true difference of accuracy e, McNemar's exact test finds it with probability `power` where

    e - 1/n = (z_alpha sqrt(s) + z_power sqrt(s - e^2)) / sqrt(n),    z_alpha = z(1 - alpha/2), z_power = z(power)

(Connor 1987; 1/n is the continuity correction, for the test is exact and counts are whole: without it the power falls
up to 5 points short of what was asked). Where n s is below 30 it errs on the safe side: the effect is found more often.
"""

import math

from scipy.special import ndtri


def minimum_detectable_effect(n: int, discordant: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Smallest difference of accuracy, a fraction, that McNemar's two-sided test on n paired samples finds.

    `discordant` is the share of samples on which exactly one of the two runs is right. Infinite where not even
    differences that all point one way, a change of `discordant`, would be found.
    """
    z_alpha, z_power = _quantiles(alpha, power)
    _check_share(discordant)
    if n < 1:
        raise ValueError(f"expected at least 1 sample, got {n}")
    if required_samples(discordant, discordant, alpha=alpha, power=power) > n:
        return math.inf
    chance = z_alpha * math.sqrt(discordant) + 1 / math.sqrt(n)
    spread = (n + z_power**2) * discordant - chance**2
    return (math.sqrt(n) * chance + z_power * math.sqrt(spread)) / (n + z_power**2)


def required_samples(effect: float, discordant: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Fewest paired samples on which McNemar's two-sided test finds a difference of accuracy `effect`, a fraction.

    The sign of the effect does not matter; its size cannot exceed the share `discordant` of samples that differ.
    """
    z_alpha, z_power = _quantiles(alpha, power)
    _check_share(discordant)
    size = abs(effect)
    if not 0 < size <= discordant:
        raise ValueError(f"expected an effect that is not 0 and at most the discordant {discordant}, got {effect}")
    noise = z_alpha * math.sqrt(discordant) + z_power * math.sqrt(discordant - size**2)
    return math.ceil(((noise + math.sqrt(noise**2 + 4 * size)) / (2 * size)) ** 2)


def samples_to_decide(p: float, threshold: float, confidence: float = 0.95) -> float:
    """Samples until Wilson's interval around an observed share p lies on one side of the threshold; infinite if p is
    the threshold.

    Wilson's bounds are the shares t with |p - t| = z sqrt(t (1 - t) / n), which solves for n at t = threshold.
    """
    for name, value in (("share", p), ("threshold", threshold)):
        if not 0 <= value <= 1:
            raise ValueError(f"expected a {name} between 0 and 1, got {value}")
    if not 0 < confidence < 1:
        raise ValueError(f"expected a confidence between 0 and 1, got {confidence}")
    gap = (p - threshold) ** 2
    if gap == 0:
        return math.inf
    z = float(ndtri((1 + confidence) / 2))
    return max(1, math.ceil(z**2 * threshold * (1 - threshold) / gap))


def paired_samples_to_decide(n: int, score: float, confidence: float = 0.95) -> float:
    """Samples until a paired score statistic, of `score` on n samples, leaves the interval around 0; infinite at 0.

    Among more samples in the same proportions the score grows with the root of their number.
    """
    if n < 1 or not 0 < confidence < 1:
        raise ValueError(f"expected at least 1 sample and a confidence between 0 and 1, got {n} and {confidence}")
    if score == 0:
        return math.inf
    return max(1, math.ceil(n * (float(ndtri((1 + confidence) / 2)) / score) ** 2))


def samples_to_clear(n: int, value: float, end: float, bound: float) -> float:
    """Samples until the end of an interval, which lies at `end` with n samples, no longer reaches beyond a bound on its
    side of the value; infinite where the value is the bound.

    An interval's half width shrinks with the root of the number of samples.
    """
    if n < 1:
        raise ValueError(f"expected at least 1 sample, got {n}")
    reach = (end - value) / (bound - value) if value != bound else math.inf
    found = n * reach * reach
    return max(1, math.ceil(found)) if math.isfinite(found) else math.inf


def _quantiles(alpha: float, power: float) -> tuple[float, float]:
    if not 0 < alpha < 1:
        raise ValueError(f"expected an alpha between 0 and 1, got {alpha}")
    if not 0.5 <= power < 1:
        raise ValueError(f"expected a power from 0.5 to below 1, got {power}")
    return float(ndtri(1 - alpha / 2)), float(ndtri(power))


def _check_share(discordant: float) -> None:
    if not 0 < discordant <= 1:
        raise ValueError(f"expected a discordant share above 0 and at most 1, got {discordant}")
