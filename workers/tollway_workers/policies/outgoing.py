"""The bytes of what a worker writes: replies, journal records, dead letters.

Built by hand around parts that are JSON already (the job as it was read, the bodies as they were
sent): a job's unknown fields survive, and nothing is parsed only to be written again. Tests hold
every record to its schema.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from tollway_schemas.attempt import Attempt
from tollway_schemas.codec import encode
from tollway_schemas.dead_letter import DeadLetter, StoredElsewhere
from tollway_schemas.failure import Failure, fingerprint
from tollway_schemas.job import SCHEMA_VERSION
from tollway_workers.policies.cost import total
from tollway_workers.policies.outcome import Completed, DeadLettered
from tollway_workers.policies.progress import JobProgress

#: How much of a value that is too large is kept.
HEAD_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Exchange:
    """One call as it went over the wire, for the journal."""

    attempt: Attempt
    request: bytes
    response: bytes


def reply(
    progress: JobProgress, ending: Completed | Failure, *, dead: bool, worker: str, now: float
) -> bytes:
    """The value of a reply; `now` is seconds UTC."""
    job = progress.job
    usage, cost = total(progress.attempts)
    fields: dict[str, object] = {
        "version": SCHEMA_VERSION,
        "job_id": job.id,
        "generation": job.generation,
        "status": "failed",
        "route": job.route,
        "attempts": [orjson.Fragment(encode(attempt)) for attempt in progress.attempts],
        "created_at": job.created_at,
        "finished_at": instant(now),
        "worker": worker,
    }
    _add(fields, tenant=job.tenant, run=job.run, labels=job.labels or None)
    if usage is not None:
        fields["usage"] = orjson.Fragment(encode(usage))
    if cost is not None:
        fields["cost"] = str(cost)
    if isinstance(ending, Completed):
        fields["status"] = "completed"
        fields["answer"] = orjson.Fragment(encode(ending.answer))
        fields["provenance"] = ending.provenance.value
        _add(fields, lane=ending.lane, model=ending.model)
    else:
        fields["failure"] = orjson.Fragment(encode(ending))
        fields["dead_letter"] = dead
        _add(fields, lane=ending.lane)
    return orjson.dumps(fields)


def journal_record(
    progress: JobProgress, exchange: Exchange, *, worker: str, most_bytes: int
) -> bytes:
    """The value of a journal record, at most about `most_bytes` long."""
    job = progress.job
    fields: dict[str, object] = {
        "version": SCHEMA_VERSION,
        "job_id": job.id,
        "generation": job.generation,
        "route": job.route,
        "worker": worker,
        "attempt": orjson.Fragment(encode(exchange.attempt)),
    }
    _add(fields, tenant=job.tenant, run=job.run)
    if progress.route.journal == "full":
        room = most_bytes - 2 * HEAD_BYTES
        for name, body in (("request", exchange.request), ("response", exchange.response)):
            if body:
                fields[name] = _body(body, room)
                room -= len(body)
    return orjson.dumps(fields)


def dead_letter(
    progress: JobProgress, outcome: DeadLettered, *, worker: str, now: float, most_bytes: int
) -> bytes:
    """The value of a dead letter: the job as it was read, and all that was tried."""
    job, raw = progress.job, progress.record.value or b""
    letter = DeadLetter(
        job_id=job.id,
        generation=job.generation,
        route=job.route,
        tenant=job.tenant,
        run=job.run,
        failure=outcome.failure,
        fingerprint=fingerprint(job.route, outcome.failure.failure_class, outcome.detail),
        origin=progress.record.origin,
        dead_at=instant(now),
        worker=worker,
        attempts=tuple(progress.attempts),
        bad_answers=tuple(progress.bad_answers),
    )
    fields = orjson.loads(encode(letter))
    if len(raw) <= most_bytes - len(encode(letter)) - 1024:
        fields["job"] = orjson.Fragment(raw)
    else:
        fields["job_elsewhere"] = elsewhere(raw).model_dump()
    return orjson.dumps(fields)


def elsewhere(value: bytes) -> StoredElsewhere:
    """What stands for a value that is too large: its size, digest and head."""
    return StoredElsewhere(
        bytes=len(value),
        sha256=hashlib.sha256(value).hexdigest(),
        head=value[:HEAD_BYTES].decode("utf-8", "replace"),
    )


def instant(seconds: float) -> datetime:
    """Seconds since 1970 as an instant."""
    return datetime.fromtimestamp(seconds, UTC)


def _body(body: bytes, room: int) -> object:
    if len(body) > room:
        return elsewhere(body).model_dump()
    try:
        # Cheaper than parsing and writing it again, and as safe: dumps does not check a fragment.
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode("utf-8", "replace")
    return orjson.Fragment(body)


def _add(fields: dict[str, object], **values: object) -> None:
    fields.update((name, value) for name, value in values.items() if value is not None)
