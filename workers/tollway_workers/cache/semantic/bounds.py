"""Confidence bounds of a share that was counted in groups. Pure.

Clopper and Pearson's bounds hold for any number of independent draws. Draws about one answer are
not independent: where it is wrong once, it is wrong again. Korn and Graubard count such draws as
the fewer independent ones that would vary as much.
"""

from collections.abc import Callable, Sequence
from math import exp, lgamma, log, log1p

#: Outside of the bounds on either side.
_OUTSIDE = 0.025
_HALVINGS = 60
#: Terms of the continued fraction: it needs about the root of the number of draws.
_TERMS = 20_000
_CLOSE, _TINY = 1e-12, 1e-300
#: Independent draws beyond which bounds come no closer: there rounding would outweigh them.
_MOST_DRAWS = 1e9


def bounds(parts: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """The least and the most that the share is, with a confidence of 95 %.

    `parts`: of each group how many it has, out of how many.
    """
    part, whole = sum(part for part, _ in parts), sum(whole for _, whole in parts)
    if whole == 0:
        return 0.0, 1.0
    independent = _independent(parts, part / whole)
    return clopper_pearson(part / whole * independent, independent)


def forecast(parts: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """The least and the most that the share of the next as many will be, with a confidence of 95 %.

    Of few, chance makes more or fewer: where one was counted, none may be next time. Of two counts
    of the same rate each draw is in either with the same chance, which bounds one by the other.
    """
    part, whole = sum(part for part, _ in parts), sum(whole for _, whole in parts)
    if whole == 0:
        return 0.0, 1.0
    independent = _independent(parts, part / whole)
    rare = min(part, whole - part) / whole * independent
    least, most = (min(1.0, each / independent) for each in _next_counts(rare))
    return (least, most) if part <= whole - part else (1.0 - most, 1.0 - least)


def _next_counts(count: float) -> tuple[float, float]:
    """Between which numbers the next count is."""
    least, most = 0.0, count
    if count > 0.0 and beta_below(0.5, count, 1.0) <= _OUTSIDE:
        least = _root(lambda each: beta_below(0.5, count, each + 1.0) - _OUTSIDE, 0.0, count)
    high = 2.0 * count + 20.0
    most = _root(lambda each: _OUTSIDE - beta_below(0.5, each, count + 1.0), most, high)
    return least, most


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0.0 else (low, middle)
    return (low + high) / 2


def clopper_pearson(part: float, whole: float) -> tuple[float, float]:
    """The bounds of a share of independent draws; they need not be whole numbers."""
    least = 0.0 if part <= 0.0 else _quantile(_OUTSIDE, part, whole - part + 1.0)
    most = 1.0 if part >= whole else _quantile(1.0 - _OUTSIDE, part + 1.0, whole - part)
    return least, most


def _independent(parts: Sequence[tuple[int, int]], share: float) -> float:
    """How many independent draws would vary as much; at most as many as there are."""
    whole, groups = sum(each for _, each in parts), sum(1 for _, each in parts if each)
    most = min(float(whole), _MOST_DRAWS)
    spread = sum((part - share * each) ** 2 for part, each in parts)
    if groups < 2 or spread == 0.0:
        return most
    variance = spread / whole**2 * groups / (groups - 1)
    return min(most, max(1.0, share * (1.0 - share) / variance))


def _quantile(chance: float, a: float, b: float) -> float:
    """Where the beta distribution has that much below."""
    return _root(lambda each: beta_below(each, a, b) - chance, 0.0, 1.0)


def beta_below(at: float, a: float, b: float) -> float:
    """The regularised incomplete beta function, by its continued fraction (Lentz's method)."""
    if at <= 0.0 or at >= 1.0:
        return float(at >= 1.0)
    if at > (a + 1.0) / (a + b + 2.0):
        return 1.0 - _by_fraction(1.0 - at, b, a)
    return _by_fraction(at, a, b)


def _by_fraction(at: float, a: float, b: float) -> float:
    front = exp(a * log(at) + b * log1p(-at) - _log_beta(a, b)) / a
    fraction, c, d = 1.0, 1.0, 0.0
    for number in range(_TERMS):
        term = _term(number, at, a, b)
        d = 1.0 / _not_zero(1.0 + term * d)
        c = _not_zero(1.0 + term / c)
        fraction *= c * d
        if abs(1.0 - c * d) < _CLOSE:
            break
    return front * (fraction - 1.0)


def _term(number: int, at: float, a: float, b: float) -> float:
    m = number // 2
    if number == 0:
        return 1.0
    if number % 2:
        return -(a + m) * (a + b + m) * at / ((a + 2 * m) * (a + 2 * m + 1))
    return m * (b - m) * at / ((a + 2 * m - 1) * (a + 2 * m))


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
