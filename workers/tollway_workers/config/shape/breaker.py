"""`[lanes.<name>.breaker]`: when a lane counts as broken, and how it comes back."""

from typing import Annotated

from pydantic import Field

from tollway_workers.config.shape.model import Section

Ratio = Annotated[float, Field(gt=0, le=1)]


class BreakerSettings(Section):
    """Each worker judges a lane by its own calls. 429s and what is the job's fault do not count."""

    window: Annotated[float, Field(ge=1, le=600)] = 30.0
    """Seconds of calls that it goes by."""
    min_calls: Annotated[int, Field(ge=1, le=100_000)] = 20
    """Calls in the window below which no ratio says anything."""
    failure_ratio: Ratio = 0.5
    """Part of the calls whose failure breaks the lane."""
    slow_ratio: Ratio = 0.8
    """Part of the calls that were slow (see `slow_after`) which breaks the lane."""
    failures_in_row: Annotated[int, Field(ge=2, le=10_000)] = 5
    """Failures without an answer in between that break a lane with few calls; of two jobs at
    least."""
    pause: Annotated[float, Field(gt=0, le=3600)] = 5.0
    """Seconds until a broken lane is tried again; doubled each time in a row, give or take a
    fifth."""
    longest_pause: Annotated[float, Field(gt=0, le=3600)] = 120.0
    """Seconds that doubling stops at."""
    probes: Annotated[int, Field(ge=1, le=1000)] = 1
    """Calls in flight at once that try a broken lane."""
    answers: Annotated[int, Field(ge=1, le=1000)] = 3
    """Answered probes that a lane needs to come back; two more failed than answered break it
    again."""
    ramp: Annotated[float, Field(ge=0, le=600)] = 4.0
    """Seconds for each of 10, 25 and 50 per cent of its usual calls in flight, until all of them
    may start: full traffic at once kills an API that recovers."""
