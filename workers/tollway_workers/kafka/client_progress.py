"""Whether source and sink get on: what the watchdog goes by."""

from typing import Protocol

from tollway_workers.clock import Clock
from tollway_workers.health.watchdog import Progress


class Source(Protocol):
    """What a source says of itself."""

    #: Whether the group has given this member its (perhaps empty) part.
    joined: bool
    #: Monotonic seconds: when Kafka last answered a poll, or nothing was to be read.
    last_poll: float

    @property
    def last_commit(self) -> float | None:
        """Monotonic seconds: when the last commit that succeeded was sent."""
        ...

    @property
    def owned(self) -> int:
        """Partitions that are ours now."""
        ...


class Sink(Protocol):
    """What a sink says of itself."""

    @property
    def waiting_since(self) -> float | None:
        """Monotonic seconds: since when Kafka owes an acknowledgement; None where it owes none."""
        ...


class ClientProgress:
    """Turns marks of source and sink into progress. State: the last progress of commits.

    A standby owns nothing, so it commits nothing and yet gets on; a member that the group has given
    nothing for long, not even an empty part, does not.
    """

    def __init__(self, source: Source, sink: Sink, clock: Clock) -> None:
        self._source = source
        self._sink = sink
        self._clock = clock
        self._commits = clock.monotonic()

    def __call__(self) -> Progress:
        """The progress as it is now."""
        source, now = self._source, self._clock.monotonic()
        if source.joined and not source.owned:
            self._commits = now
        elif source.last_commit is not None:
            self._commits = max(self._commits, source.last_commit)
        owed = self._sink.waiting_since
        writes = now if owed is None else owed
        return Progress(commits=self._commits, polls=source.last_poll, writes=writes)
