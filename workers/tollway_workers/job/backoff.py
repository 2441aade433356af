"""How long to wait before trying again: full jitter over an exponential bound.

Formula: uniform(0, min(longest, initial * 2^failures)), "full jitter" of the AWS architecture blog
on backoff: it spreads retries best.
"""

from random import Random

#: 2^63 seconds is beyond any bound; a larger exponent would overflow a float's integer range.
_MOST_DOUBLINGS = 63


def full_jitter(failures: int, *, initial: float, longest: float, rng: Random) -> float:
    """Seconds before the try that follows `failures` failed ones (1 or more)."""
    bound = min(longest, initial * 2.0 ** min(max(failures - 1, 0), _MOST_DOUBLINGS))
    return rng.uniform(0.0, bound)


def doubling(failures: int, *, initial: float, longest: float) -> float:
    """Seconds without jitter, for one prober alone."""
    return min(longest, initial * 2.0 ** min(max(failures - 1, 0), _MOST_DOUBLINGS))
