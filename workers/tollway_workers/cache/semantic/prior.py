"""What is to be expected of an answer of which little is known: what is true of the others that
its tenant has on its route.

Empirical Bayes. That a part `q` of an answer's candidates is wrong varies from answer to answer:
for most it is nothing, for some it is much. Its mean and variance over those answers make a
beta distribution; what was found out about the answer itself makes of that what is to be expected.
"""

from dataclasses import dataclass, field

from tollway_workers.cache.semantic.rule import BANDS, Band, Learned, Observation, band_of

#: Observations of a band without which nothing is expected.
_LEAST = 100
#: Pairs of observations of equal variance that are there before any is: variance is found out late.
_PAIRS = 20.0
#: The beta distribution's least weight, in observations.
_LEAST_WEIGHT = 0.2


@dataclass(slots=True)
class _Moments:
    seen: int = 0
    differed: int = 0
    #: Pairs of observations of one answer, and those of which both differed.
    pairs: int = 0
    both: int = 0


@dataclass(slots=True)
class Prior:
    """Of one route and one embedder. State: the moments of each band."""

    _bands: list[_Moments] = field(default_factory=lambda: [_Moments() for _ in BANDS])

    def add(self, before: Learned, observation: Observation) -> None:
        """One more. `before`: what was known of its answer until then."""
        number = band_of(observation.similarity)
        if number is None:
            return
        moments, known = self._bands[number], before.bands[number]
        differed = not observation.agreed
        moments.seen += 1
        moments.differed += differed
        moments.pairs += known.agreed + known.differed
        moments.both += known.differed * differed

    def expected_wrong(self, known: Learned, similarity: float) -> float | None:
        """The part of an answer's candidates that is wrong, as far as that is to be expected; None:
        too little is known of others.
        """
        number = band_of(similarity)
        if number is None or self._bands[number].seen < _LEAST:
            return None
        return _expected(self._bands[number], known.bands[number])


def _expected(moments: _Moments, known: Band) -> float:
    mean = (moments.differed + 1) / (moments.seen + 2)
    square = (moments.both + mean**2 * _PAIRS) / (moments.pairs + _PAIRS)
    variance = max(square - mean**2, 1e-6)
    weight = max(mean * (1.0 - mean) / variance - 1.0, _LEAST_WEIGHT)
    return (known.differed + mean * weight) / (known.agreed + known.differed + weight)
