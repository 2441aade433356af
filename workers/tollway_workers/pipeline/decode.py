"""From a record of a jobs topic to a job, or to the reason why it is none.

A service in any language may leave out what the record itself says: the id (then topic, partition
and offset), when it was made (Kafka's time), the deadline (its priority's default), route and
priority (the topic's own). What only the fleet may write is not believed here.
"""

from datetime import UTC, datetime, timedelta

from tollway_schemas.codec import decode
from tollway_schemas.errors import IncompleteRecord, UndecodableRecord
from tollway_schemas.job import Job, Priority
from tollway_workers.job.left_out import LEFT_OUT, filled_in
from tollway_workers.ownership.record import ReceivedRecord

#: How long a job waits for its answer where it does not say.
DEFAULT_DEADLINES = {
    Priority.INTERACTIVE: timedelta(minutes=2),
    Priority.BULK: timedelta(hours=24),
}

#: The year 2100, in seconds since 1970.
_LAST_INSTANT = 4_102_444_800.0


def read_job(record: ReceivedRecord, route: str, priority: Priority) -> Job:
    """The job in `record`, which was read from the topic of `route` and `priority`.

    Raises:
        UndecodableRecord: it holds no job; the text names the fields and quotes no value.
        UnsupportedVersion: it was written by a newer major version.
    """
    try:
        job = decode(Job, record.value, LEFT_OUT)
    except IncompleteRecord:
        job = decode(Job, _completed(record, route, priority))
    if job.route != route:
        raise UndecodableRecord(
            "route: is not the route of the topic that the job was published to"
        )
    if job.priority is not priority or job.visits or job.hops:
        job = job.model_copy(update={"priority": priority, "visits": (), "hops": 0})
    return job


def _completed(record: ReceivedRecord, route: str, priority: Priority) -> bytes:
    """The record's value with what it leaves out filled in."""
    # A producer may claim any time for its record.
    created = datetime.fromtimestamp(min(max(record.timestamp, 0.0), _LAST_INSTANT), UTC)
    said = {
        "id": f"{record.topic}-{record.partition}-{record.offset}",
        "created_at": created,
        "deadline": created + DEFAULT_DEADLINES[priority],
        "route": route,
        "priority": priority.value,
    }
    return filled_in(record.value, said)
