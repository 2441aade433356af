"""`[routes.<name>]`: what a job asks for by name."""

from typing import Annotated, Literal

from pydantic import Field

from tollway_workers.config.shape.model import Section

JournalMode = Literal["full", "metadata", "off"]


DEFAULT_MAX_ATTEMPTS = 4
#: Seconds.
DEFAULT_BACKOFF_MAX = 8.0


class RetrySettings(Section):
    """How often a job is tried, and how long it waits in between."""

    max_attempts: Annotated[int, Field(ge=1, le=20)] | None = None
    """Most calls charged to one job generation (default 4, and 3 that are all overloaded or all
    transient); 429s and closed gates are not charged. A timeout, which may have been billed, and a
    truncated answer are repeated once at most."""
    backoff_initial: Annotated[float, Field(gt=0, le=60)] = 0.5
    """Seconds before the first retry, at most: full jitter draws between 0 and this."""
    backoff_max: Annotated[float, Field(gt=0, le=600)] | None = None
    """Seconds that doubling stops at (default 8, and 20 where the provider is overloaded)."""


class RouteSettings(Section):
    """`[routes.<name>]`: what a job asks for by name. Swapping a provider touches this alone."""

    lanes: Annotated[tuple[str, ...], Field(min_length=1, max_length=1, strict=False)]
    """The lane that serves it. A list, because fallbacks to further lanes are to come."""
    tenant: str | None = None
    """Whom all of its jobs are for; what a job itself says is not believed. None: as each says."""
    journal: JournalMode = "full"
    """What is kept of each call: with prompt and answer, without, or nothing."""
    reasks: Annotated[int, Field(ge=0, le=2)] = 1
    """How often the errors of an answer are fed back to the model; each is charged."""
    retry: RetrySettings = RetrySettings()
