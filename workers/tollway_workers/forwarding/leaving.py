"""Topic and headers of a job that a worker forwards. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from tollway_schemas.topics import TopicNames
from tollway_workers.forwarding.tiers import tier_for
from tollway_workers.forwarding.travel import departure
from tollway_workers.job.outcome import Forwarded
from tollway_workers.job.progress import JobProgress


class Leaving(NamedTuple):
    """A record without its key and value, which stay what they are."""

    topic: str
    headers: list[tuple[str, bytes]]
    #: Delay in seconds of the retry topic that it is; None: it is the lane's.
    tier: float | None


def leaving(
    progress: JobProgress,
    outcome: Forwarded,
    *,
    names: TopicNames,
    tiers: Sequence[float],
    now: float,
    most_bytes: int,
) -> Leaving:
    """To the lane's topic, or to a retry topic where no call may come soon; `now`: seconds UTC."""
    wait = tier_for(outcome.not_before, deadline=progress.deadline, now=now, tiers=tiers)
    lane = outcome.lane
    about = departure(
        progress,
        lane=lane,
        not_before=outcome.not_before if wait is None else wait.not_before,
        due=None if wait is None else wait.due,
        reason=outcome.why or outcome.reason,
        most_bytes=most_bytes,
    )
    if wait is None:
        return Leaving(names.lane(lane, progress.job.priority), about, None)
    return Leaving(names.retry(wait.tier), about, wait.tier)
