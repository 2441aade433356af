"""Whether a stored answer is given for a similar prompt, or the job is called to find out. Pure.

The rule of vCache (arXiv:2502.03771), from its equations. For each stored answer the chance that
it is right is a logistic function of the similarity, fitted to what was observed of this answer
alone; how sure that is follows from the fit's information. The job is called with the least chance
that keeps wrong answers within the bound: no threshold is set by hand, none holds for two answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, sqrt
from statistics import NormalDist
from typing import NamedTuple

#: Below this similarity nothing is a candidate: it is neither given nor compared.
FLOOR = 0.80
#: Observations without which nothing is given.
LEAST_OBSERVATIONS = 6
#: Observations that are fitted at most: the last ones.
MOST_FITTED = 256

#: How sure the threshold is taken to be: every level is tried, the best one counts.
_LEVELS = (0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
_QUANTILES = tuple((level, NormalDist().inv_cdf(1.0 - level)) for level in _LEVELS)
#: Keeps a fit finite where one similarity divides right from wrong.
_RIDGE = 1e-3
_ROUNDS, _CLOSE, _LONGEST_STEP = 25, 1e-6, 20.0


class Observation(NamedTuple):
    """A similar prompt that was answered anew."""

    similarity: float
    #: Whether the stored answer would have been right.
    agreed: bool


#: What holds of every answer: nothing is like it and right, and it is right for its own prompt.
_CERTAIN = (Observation(0.0, agreed=False), Observation(1.0, agreed=True))


@dataclass(frozen=True, slots=True)
class Fit:
    """What is known of one answer. It holds until the next observation: keep it beside them."""

    #: The similarity at which it is right every other time.
    threshold: float
    #: How steep the chance rises there.
    steepness: float
    #: The standard error of `threshold`.
    error: float

    def chance_to_explore(self, similarity: float, error_bound: float) -> float:
        """See `chance_to_explore`."""
        right = max(
            (1.0 - level) * _logistic(self.steepness * (similarity - self._at_most(quantile)))
            for level, quantile in _QUANTILES
        )
        return min(1.0, max(0.0, 1.0 - error_bound / max(1.0 - right, 1e-12)))

    def _at_most(self, quantile: float) -> float:
        return min(1.0, self.threshold + quantile * self.error)


def chance_to_explore(
    similarity: float, observations: Sequence[Observation], error_bound: float
) -> float:
    """The chance with which the job must be called although a candidate is there.

    Draw a number below 1: the answer is given where it is at least this. `error_bound`: the part of
    such jobs that may be given a wrong answer.
    """
    fit = fitted(observations)
    if fit is None or similarity < FLOOR:
        return 1.0
    return fit.chance_to_explore(similarity, error_bound)


def fitted(observations: Sequence[Observation]) -> Fit | None:
    """What they say, the newest last; None where that is too little, or nothing: always explore."""
    if len(observations) < LEAST_OBSERVATIONS:
        return None
    found = (*_CERTAIN, *observations[-MOST_FITTED:])
    offset, slope = _most_likely(found)
    if slope <= 0.0:
        return None
    (a, b), c = _information(found, offset, slope)
    determinant = a * c - b * b
    if determinant <= 0.0:
        return None
    # How the threshold -offset/slope varies, by the delta method.
    by_offset, by_slope = -1.0 / slope, offset / slope**2
    variance = (by_offset**2 * c - 2.0 * by_offset * by_slope * b + by_slope**2 * a) / determinant
    return Fit(-offset / slope, slope, sqrt(max(variance, 1e-12)))


def _most_likely(found: Sequence[Observation]) -> tuple[float, float]:
    """Offset and slope of the logit, by Newton's method."""
    offset, slope = -4.0, 5.0
    for _ in range(_ROUNDS):
        misses = [
            (float(each.agreed) - _logistic(offset + slope * each.similarity), each.similarity)
            for each in found
        ]
        up = sum(miss for miss, _ in misses) - _RIDGE * offset
        turn = sum(miss * similarity for miss, similarity in misses) - _RIDGE * slope
        (a, b), c = _information(found, offset, slope)
        determinant = a * c - b * b
        steps = ((c * up - b * turn) / determinant, (a * turn - b * up) / determinant)
        by_offset, by_slope = (max(-_LONGEST_STEP, min(_LONGEST_STEP, step)) for step in steps)
        offset, slope = offset + by_offset, slope + by_slope
        if max(abs(by_offset), abs(by_slope)) < _CLOSE:
            break
    return offset, slope


def _information(
    found: Sequence[Observation], offset: float, slope: float
) -> tuple[tuple[float, float], float]:
    """The Fisher information: of the offset, of both, and of the slope."""
    a, b, c = _RIDGE, 0.0, _RIDGE
    for each in found:
        right = _logistic(offset + slope * each.similarity)
        weight = right * (1.0 - right)
        a += weight
        b += weight * each.similarity
        c += weight * each.similarity**2
    return (a, b), c


def _logistic(value: float) -> float:
    return 1.0 / (1.0 + exp(-max(-30.0, min(30.0, value))))
