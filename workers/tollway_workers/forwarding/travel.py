"""A job's record between workers: the service's own bytes, and the history of calls in headers.

The value is the job as its service wrote it, unknown fields included. The fleet adds headers alone;
they are believed on lane and retry topics only, to which nobody but the fleet may write.
"""

from datetime import datetime
from typing import NamedTuple

from tollway_schemas import headers
from tollway_schemas.codec import decode, encode
from tollway_schemas.errors import IncompleteRecord
from tollway_schemas.headers import Headers
from tollway_schemas.history import JobHistory
from tollway_schemas.job import Job, Priority, Visit
from tollway_workers.job.envelopes import instant, size_of
from tollway_workers.job.left_out import LEFT_OUT, filled_in
from tollway_workers.job.progress import JobProgress
from tollway_workers.lanes.lane_wait import LONGEST_REASON
from tollway_workers.ownership.record import ReceivedRecord

#: A bad answer that travels has at most one part in so many of a record.
_SHARES = 8


class Arrival(NamedTuple):
    """A job that came to a lane from another worker."""

    job: Job
    history: JobHistory
    #: No call before it, in seconds since 1970; 0 where it may be called at once.
    not_before: float


def arrival(record: ReceivedRecord, priority: Priority) -> Arrival:
    """The job in a record of a lane topic of `priority`, and where it has been.

    Raises:
        UndecodableRecord: it holds no job, or its history cannot be read.
        UnsupportedVersion: either was written by a newer major version.
    """
    value = headers.get(record.headers, headers.HISTORY)
    history = JobHistory() if value is None else decode(JobHistory, value.encode())
    try:
        job = decode(Job, record.value, LEFT_OUT)
    except IncompleteRecord:
        said = _said(record.headers, history, priority)
        job = decode(Job, filled_in(record.value, said))
    hops = int(headers.number(record.headers, headers.HOPS) or 0)
    job = job.model_copy(update={"priority": priority, "visits": history.visits, "hops": hops})
    return Arrival(job, history, headers.number(record.headers, headers.NOT_BEFORE) or 0.0)


def departure(
    progress: JobProgress,
    *,
    lane: str,
    not_before: float = 0.0,
    due: float | None = None,
    reason: str = "",
    most_bytes: int,
) -> list[tuple[str, bytes]]:
    """The headers of a job that leaves for `lane`, of which `not_before` is to be respected.

    `due`: when its tier lets it go, where it is written to one; `reason`: why it leaves. Records
    are to be at most about `most_bytes` long: what was tried is told with fewer words where they
    would not be.
    """
    job = progress.job
    forwarded = lane != progress.lane
    about = headers.of_the_service(progress.record.headers) + headers.encode(
        (
            (headers.JOB_ID, job.id),
            (headers.GENERATION, str(job.generation)),
            (headers.ROUTE, job.route),
            (headers.PRIORITY, job.priority.value),
            (headers.TENANT, job.tenant),
            (headers.RUN, job.run),
            (headers.DEADLINE, job.deadline.isoformat()),
            (headers.LANE, lane),
            (headers.HOPS, str(job.hops + forwarded)),
            (headers.ATTEMPTS, str(progress.calls)),
            (headers.DUE, None if due is None else f"{due:.3f}"),
            (headers.NOT_BEFORE, f"{not_before:.3f}" if not_before else None),
        )
    )
    history = JobHistory(
        created_at=job.created_at,
        attempts=tuple(progress.attempts),
        uncharged=progress.uncharged,
        bad_answers=tuple(progress.bad_answers),
        visits=(*job.visits, _visit(progress, reason)) if forwarded else job.visits,
        doubt=progress.doubt,
        lane_failures=progress.lane_failures,
        tally=progress.tally,
        waited=progress.waited,
    )
    room = most_bytes - size_of(progress.record.value, about)
    return [*about, (headers.HISTORY, _fitting(history, room))]


def deadline_of(carried: Headers) -> float | None:
    """The deadline in a travelling job's headers, in seconds since 1970; None where it is none."""
    try:
        return datetime.fromisoformat(headers.get(carried, headers.DEADLINE) or "").timestamp()
    except (ValueError, OverflowError):
        return None


def _said(carried: Headers, history: JobHistory, priority: Priority) -> dict[str, object]:
    """What a job that does not say it itself was taken to say when it was first read."""
    said: dict[str, object] = {
        "id": headers.get(carried, headers.JOB_ID),
        "route": headers.get(carried, headers.ROUTE),
        "deadline": headers.get(carried, headers.DEADLINE),
        "created_at": history.created_at,
        "priority": priority.value,
    }
    return {name: value for name, value in said.items() if value is not None}


def _visit(progress: JobProgress, reason: str) -> Visit:
    """Its stay on the lane that it leaves."""
    lane, job = progress.lane, progress.job
    calls = sum(attempt.charged for attempt in progress.attempts if attempt.lane == lane)
    before = sum(visit.attempts for visit in job.visits if visit.lane == lane)
    return Visit(
        lane=lane,
        at=instant(max(progress.record.timestamp, 0.0)),
        attempts=max(calls - before, 0),
        reason=reason[:LONGEST_REASON] or None,
    )


def _fitting(history: JobHistory, room: int) -> bytes:
    """A history as JSON, in `room` bytes where that can be done by leaving out words."""
    encoded = encode(history)
    if len(encoded) <= room:
        return encoded
    # A character of JSON takes up to six bytes.
    share = max(room, 0) // _SHARES // 6
    return encode(
        history.model_copy(
            update={
                "attempts": tuple(
                    attempt.model_copy(update={"message": None, "provider_request_id": None})
                    for attempt in history.attempts
                ),
                "bad_answers": tuple(
                    answer.shortened(share).model_copy(update={"problems": ()})
                    for answer in history.bad_answers
                ),
            }
        )
    )
