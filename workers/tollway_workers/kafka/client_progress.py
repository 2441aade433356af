"""Progress of source and sink, as the watchdog reads it."""

from typing import Protocol

from tollway_workers.clock import Clock
from tollway_workers.health.watchdog import Progress


class Source(Protocol):
    """A source's signs of progress."""

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
        """How many partitions this worker owns now."""
        ...


class Sink(Protocol):
    """A sink's signs of progress."""

    @property
    def waiting_since(self) -> float | None:
        """Monotonic seconds: since when an acknowledgement is outstanding; None without one."""
        ...


class ClientProgress:
    """Reads progress off a source and a sink. State: the last progress of commits.

    A standby owns no partitions, so it makes progress without committing; a member that has waited
    long for an assignment, even an empty one, makes none.
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
