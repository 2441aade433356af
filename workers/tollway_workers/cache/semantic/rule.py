"""Whether a stored answer is given for a similar prompt, or the job is called to find out. Pure.

vCache's question (arXiv:2502.03771): with which chance must a job be called, so that of all jobs
that have this answer as their candidate at most so many are given a wrong one? It is asked of each
answer alone, and of each band of similarity alone: what is most similar may well be wrong (a
swapped order) where what is less so is right (other words). Prompts nearby that were given the same
answer are one: else each wording that a guard refused would have to be asked for as often.

Nothing is assumed of how that depends on similarity. Say a part `q` of the candidates of a band is
wrong, and of `n` that were found out about `k` were. Given with the chance `bound * (n+1) / (k+1)`,
a part `q * bound * E[(n+1) / (k+1)]` of all is wrong: at most `bound`, whatever `q` and `n` are.
What stands below is the same, bolder where nothing was wrong yet and shyer elsewhere; a test holds
it to the bound over whole histories. (An answer that was lucky is explored less, and stays so.)

So an answer has to be asked for dozens of times before it is given, whatever is true of all others.
Where that is known (`prior.py`) it is given, once it was right, with the chance that keeps to the
bound if the part that is wrong were twice what is to be expected.
"""

from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

#: Where each band of similarity begins. Below the first nothing is a candidate: it is neither given
#: nor compared. What differs in the order of words alone, or in one, is in the last.
BANDS = (0.7, 0.85, 0.97)
FLOOR = BANDS[0]
#: The least chance with which a job is called: what turns wrong later is found out.
LEAST_EXPLORED = 0.02
#: Nothing is given of a band of which more seems to be wrong than this, or twice the bound: that
#: would stay within the bound, but most of the little that is saved would be.
_MOST_WRONG = 0.1

#: What one wrong answer weighs, and what stands for those that were not met yet.
_WRONG, _UNSEEN = 1.4, 0.7
#: How much more than expected may be wrong.
_WORSE = 2.0


class Observation(NamedTuple):
    """A similar prompt that was answered anew."""

    similarity: float
    #: Whether the stored answer would have been right.
    agreed: bool


class Band(NamedTuple):
    """What was found out about candidates of one band."""

    agreed: int = 0
    differed: int = 0

    def __add__(self, other: tuple[int, ...]) -> "Band":  # type: ignore[override] # both are counts
        agreed, differed = other
        return Band(self.agreed + agreed, self.differed + differed)


class Learned(NamedTuple):
    """What is known of one stored answer, in the order of BANDS."""

    bands: tuple[Band, ...] = (Band(),) * len(BANDS)

    @classmethod
    def of(cls, observations: Iterable[Observation]) -> "Learned":
        """What these say."""
        learned = cls()
        for each in observations:
            learned = learned.having_seen(each)
        return learned

    @classmethod
    def together(cls, known: "Iterable[Learned]") -> "Learned":
        """What is known of several stored answers that say the same."""
        columns = zip(*(each.bands for each in known), strict=True)
        bands = tuple(Band(*map(sum, zip(*column, strict=True))) for column in columns)
        return cls(bands) if bands else cls()

    def having_seen(self, observation: Observation) -> "Learned":
        """The same with one more; below FLOOR it says nothing."""
        number = band_of(observation.similarity)
        if number is None:
            return self
        seen = Band(1, 0) if observation.agreed else Band(0, 1)
        return self.with_band(number, seen)

    def with_band(self, number: int, seen: Band) -> "Learned":
        """The same with more in one band."""
        bands = list(self.bands)
        bands[number] += seen
        return Learned(tuple(bands))

    def chance_to_explore(
        self, similarity: float, error_bound: float, expected_wrong: float | None = None
    ) -> float:
        """See `chance_to_explore`. `expected_wrong`: the part of its candidates, by `Prior`."""
        number = band_of(similarity)
        if number is None:
            return 1.0
        agreed, differed = self.bands[number]
        expected = expected_wrong if agreed else None
        if differed or expected is None:
            seems = (differed + 0.5) / (agreed + differed + 1)
            if seems > max(_MOST_WRONG, 2.0 * error_bound):
                return 1.0
        given = error_bound * (agreed + differed) / (_WRONG * differed + _UNSEEN)
        if expected is not None:
            given = max(given, error_bound / (_WORSE * expected))
        return max(LEAST_EXPLORED, 1.0 - given)


def band_of(similarity: float) -> int | None:
    """The number of its band; None below FLOOR."""
    number = bisect_right(BANDS, similarity) - 1
    return number if number >= 0 else None


def chance_to_explore(
    similarity: float, observations: Iterable[Observation], error_bound: float
) -> float:
    """The chance with which a job must be called although it has a candidate.

    Draw a number below 1: the answer is given where it is at least this. `error_bound`: the part of
    such jobs that may be given a wrong answer. Keep a `Learned` where the same answer is asked for
    again: it takes one more observation at a time.
    """
    return Learned.of(observations).chance_to_explore(similarity, error_bound)
