"""Whether a source gets on: what the watchdog goes by."""

from typing import Protocol

from tollway_workers.clock import Clock
from tollway_workers.policies.watchdog import Progress


class Source(Protocol):
    """What a source says of itself."""

    #: Whether the group has given this member its (perhaps empty) part.
    joined: bool
    #: Monotonic seconds: when the last commit that succeeded was sent.
    last_commit: float | None
    #: Monotonic seconds: when Kafka last answered a poll, or nothing was to be read.
    last_poll: float

    @property
    def owned(self) -> int:
        """Partitions that are ours now."""
        ...


class SourceProgress:
    """Turns a source's marks into progress. State: the last progress of commits.

    A standby owns nothing, so it commits nothing and yet gets on; a member that the group has given
    nothing for long, not even an empty part, does not.
    """

    def __init__(self, source: Source, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._commits = clock.monotonic()

    def __call__(self) -> Progress:
        """The progress as it is now."""
        source = self._source
        if source.joined and not source.owned:
            self._commits = self._clock.monotonic()
        elif source.last_commit is not None:
            self._commits = max(self._commits, source.last_commit)
        return Progress(commits=self._commits, polls=source.last_poll)
