"""Whether a worker is ready, and why not, in one sentence."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from tollway_workers.health.lag import MOST_LAG

#: Seconds since the last commit after which a worker that owns partitions is not ready.
STALE_COMMIT = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """The state of a worker at one moment."""

    draining: bool
    #: Kafka did not answer an independent client when it was last asked.
    kafka_away: bool
    #: The group has given it an assignment, which may be empty: a standby is ready.
    joined: bool
    #: Partitions that it reads.
    owned: int
    #: Seconds since the last commit that succeeded was sent.
    commit_age: float
    #: Seconds that the event loop was late, the worst of late.
    loop_lag: float
    #: Outcomes that Kafka has not acknowledged yet.
    held: int
    #: Seconds that partitions have stood still behind an open transaction, by name.
    stalled: Mapping[str, float] = field(default_factory=dict)


def why_not_ready(condition: Condition) -> str | None:
    """The first reason that an operator should hear; None where it is ready."""
    if condition.draining:
        return "draining: the worker was told to stop, and takes no more jobs"
    if condition.kafka_away:
        return f"Kafka is away: no call starts, {condition.held} answer(s) are held in memory"
    if not condition.joined:
        return "the worker is no stable member of its consumer group yet: it reads nothing"
    if condition.owned and condition.commit_age == inf:
        return "offsets were not committed yet: no call starts"
    if condition.owned and condition.commit_age > STALE_COMMIT:
        return f"offsets were last committed {condition.commit_age:.0f} s ago: no call starts"
    if condition.loop_lag > MOST_LAG:
        return f"the event loop was {condition.loop_lag:.1f} s late: this worker has too much to do"
    if condition.stalled:
        return _behind_transactions(condition.stalled)
    return None


def _behind_transactions(stalled: Mapping[str, float]) -> str:
    name, age = max(stalled.items(), key=lambda each: each[1])
    return (
        f"{len(stalled)} partition(s) are behind an open transaction ({name} for {age:.0f} s): "
        "Kafka gives nothing behind it until its producer ends it, or its timeout does"
    )
