"""Where a job waits for its next call: in memory, or in a retry topic so that its offset completes.

A tier lets each of its records go after one and the same delay, so those at the head of a
partition are due first and a relay looks at nothing else. Waits are rounded up: never early.
"""

from collections.abc import Sequence
from dataclasses import dataclass

#: Seconds that a job may wait in memory, its offset open.
LONGEST_IN_MEMORY = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TierWait:
    """A stay in a tier; both times in seconds since 1970."""

    #: The tier's delay in seconds.
    tier: float
    #: When the tier lets the job go.
    due: float
    #: No call before it. Later than `due` where the wait is longer than the tier.
    not_before: float


def tier_for(
    not_before: float, *, deadline: float, now: float, tiers: Sequence[float]
) -> TierWait | None:
    """Where a job waits that may not be called before `not_before`; None: in memory.

    `tiers` are delays in seconds, ascending; times are seconds since 1970. Where rounding up would
    reach the deadline, and where no tier is long enough, the job waits in parts: the longest tier
    below its wait first, what is left by this same rule.
    """
    wait = min(not_before, deadline) - now
    if wait <= LONGEST_IN_MEMORY:
        return None
    longer = [tier for tier in tiers if tier >= wait and now + tier < deadline]
    if longer:
        return TierWait(tier=longer[0], due=now + longer[0], not_before=now + longer[0])
    shorter = [tier for tier in tiers if tier <= wait]
    if not shorter:
        return None
    return TierWait(tier=shorter[-1], due=now + shorter[-1], not_before=not_before)
