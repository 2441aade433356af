"""Whether a worker that makes no progress should end: only where Kafka itself is well.

While Kafka is away a worker waits for ever: it holds paid-for answers, and its clients resume by
themselves. A client that does not resume although Kafka is well needs a new process. All times are
monotonic seconds.
"""

from dataclasses import dataclass, fields

#: Seconds without progress after which Kafka is probed.
SUSPICIOUS = 5.0
#: Sessions without progress, Kafka being well all the time, after which the process ends.
SESSIONS = 2
#: Seconds, at least: a client finds a connection dead by its requests' timeout, and mends it.
LEAST_PATIENCE = 30.0
#: Seconds between two answers of Kafka beyond which nothing is known of the time between.
_BLIND = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """When each part last made progress; a part with nothing to do always makes progress."""

    commits: float
    polls: float
    #: Of records that were handed over, those whose acknowledgement is owed for longest.
    writes: float

    def slowest(self) -> tuple[str, float]:
        """The part that has made no progress for longest, and since when."""
        parts = {field.name: float(getattr(self, field.name)) for field in fields(self)}
        name = min(parts, key=parts.__getitem__)
        return name, parts[name]


class Watchdog:
    """Compares the worker's progress with an independent client's. State: when Kafka got well."""

    def __init__(self, session: float) -> None:
        """`session`: seconds of a silent member's grace, the measure of patience."""
        self._patience = max(SESSIONS * session, LEAST_PATIENCE)
        self._well_since: float | None = None
        self._last_seen = 0.0

    def observe(self, progress: Progress, now: float) -> bool:
        """Take in the worker's progress; whether Kafka should be probed."""
        stalled = now - progress.slowest()[1] >= SUSPICIOUS
        if not stalled:
            self._well_since = None
        return stalled

    def saw(self, *, well: bool, now: float) -> None:
        """An independent client found Kafka well, or not."""
        if not well:
            self._well_since = None
        elif self._well_since is None or now - self._last_seen > _BLIND:
            self._well_since = now
        self._last_seen = now

    def verdict(self, progress: Progress, now: float) -> str | None:
        """Why the process has to end, in one sentence; None while it may go on."""
        part, since = progress.slowest()
        if self._well_since is None or now - max(since, self._well_since) < self._patience:
            return None
        return (
            f"{part} have made no progress for {now - since:.0f} s although Kafka answers others: "
            "this process ends, start a new one; nothing is lost"
        )
