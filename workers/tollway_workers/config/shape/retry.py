"""`[retry]`: the topics in which jobs wait that may not be called again for a while."""

import re
from functools import cached_property
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, Field

from tollway_workers.config.shape.model import Section

_DELAY = re.compile(r"([1-9]\d{0,5})([smh])")
_UNITS = {"s": 1, "m": 60, "h": 3600}
#: Seconds: shorter waits are kept in memory; jobs hardly live longer than a day.
_SHORTEST, _LONGEST = 10, 86_400
#: What an error shows: a number with a unit, of whatever size.
_DURATION = re.compile(r"\d{1,9} ?[a-z]{0,8}")


def _seconds(delay: str) -> int:
    match = _DELAY.fullmatch(delay)
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not _SHORTEST <= seconds <= _LONGEST:
        # What is no duration at all may be anything, a key in the wrong place among it.
        what = repr(delay) if _DURATION.fullmatch(delay) else "an entry"
        raise ValueError(
            f"has {what}, which is no delay between 10s and 24h; "
            'write delays like "15s", "5m", "2h"'
        )
    return seconds


def _ascending(tiers: tuple[str, ...]) -> tuple[str, ...]:
    seconds = [_seconds(tier) for tier in tiers]
    if any(one >= next_one for one, next_one in pairwise(seconds)):
        raise ValueError("has delays out of order; give the shortest delay first, each once")
    return tiers


class RetryTopicSettings(Section):
    """`[retry]`: the topics in which jobs wait that may not be called again for a while."""

    tiers: Annotated[
        tuple[str, ...],
        Field(min_length=1, max_length=12, strict=False),
        AfterValidator(_ascending),
    ] = ("15s", "60s", "5m", "30m")
    """Delays of the retry topics, shortest first. Waits over 10 seconds are rounded up to one."""

    @cached_property
    def seconds(self) -> tuple[float, ...]:
        """The delays in seconds, ascending."""
        return tuple(float(_seconds(tier)) for tier in self.tiers)
