"""The bytes of what a worker writes: replies, journal records, dead letters.

Built by hand around parts that are JSON already (the job as it was read, the bodies as they were
sent): a job's unknown fields survive, and nothing is parsed only to be written again. Tests hold
every record to its schema.
"""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple, ParamSpec, TypeVar

import orjson

from tollway_schemas.attempt import Attempt, Draw
from tollway_schemas.bounds import SCHEMA_VERSION
from tollway_schemas.codec import decode, encode
from tollway_schemas.dead_letter import LONGEST_KEPT, DeadLetter, StoredElsewhere
from tollway_schemas.errors import SchemaError
from tollway_schemas.failure import Failure, FailureClass, fingerprint
from tollway_schemas.headers import Headers
from tollway_schemas.job import Job
from tollway_schemas.reply import Answer, Reply
from tollway_workers.job.cost import total
from tollway_workers.job.outcome import Completed, DeadLettered
from tollway_workers.job.progress import JobProgress
from tollway_workers.job.readable_json import is_too_deep

#: Instants of records are before the year 9000.
_LAST_SECOND = datetime(9000, 1, 1, tzinfo=UTC).timestamp() - 1.0
Given = ParamSpec("Given")
Made = TypeVar("Made")

#: How much of a value that is too large is kept.
HEAD_BYTES = 65_536

#: How much of a provider's answer is kept where the reply has no room for all of it.
_HEAD_OF_BODY = 256

#: Bytes left for what the size of a record's parts does not say: names, commas, headers of ours.
_MARGIN = 4_096
#: A dead letter gives each bad answer one part in so many of its room.
_SHARES = 32


def size_of(value: bytes | None, carried: Headers) -> int:
    """Bytes of a record, roughly."""
    return len(value or b"") + sum(len(name) + len(text or b"") + 16 for name, text in carried)


class Writer(NamedTuple):
    """Who writes: what dead letters say of the worker that gave a job up."""

    #: Its instance id.
    worker: str
    #: Equal for equal settings of the fleet.
    configuration: str | None = None


class Exchange(NamedTuple):
    """One call as it went over the wire, for the journal."""

    attempt: Attempt
    #: JSON of our own.
    request: bytes
    response: bytes
    #: Whether the response was read as JSON already, and need not be again.
    parsed: bool = False
    draws: tuple[Draw, ...] = ()


class Unbuildable(Exception):
    """A record could not be put together: a bug, which a second try would meet again."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(type(cause).__name__)
        self.cause = cause


def built(build: Callable[Given, Made], *given: Given.args, **named: Given.kwargs) -> Made:
    """What `build` makes of its arguments. Raises Unbuildable."""
    try:
        return build(*given, **named)
    except Exception as error:
        raise Unbuildable(error) from error


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
        "route": job.route,
        "tenant": job.tenant,
        "run": job.run,
        "labels": job.labels or None,
        "token": token_of(job),
        "attempts": [
            orjson.Fragment(progress.encoded(attempt, encode)) for attempt in progress.attempts
        ],
        "uncharged": {kind.value: calls for kind, calls in progress.uncharged.items()} or None,
        "waited": progress.waited,
        "usage": None if usage is None else orjson.Fragment(encode(usage)),
        "cost": None if cost is None else str(cost),
        "lane": ending.lane,
        "created_at": job.created_at,
        "finished_at": instant(now),
        "worker": worker,
    }
    if isinstance(ending, Completed):
        fields["status"] = "completed"
        fields["answer"] = orjson.Fragment(progress.encoded(ending, encoded_answer))
        fields["provenance"] = ending.provenance
        fields["scripted"] = ending.scripted
        fields["model"] = ending.model
        # An answer whose own topic takes nothing is a dead letter too.
        fields["dead_letter"] = dead or None
        fields["revalidated"] = True if ending.stored else None
        fields |= _given_again(ending)
    else:
        cancelled = ending.failure_class is FailureClass.CANCELLED
        fields["status"] = "cancelled" if cancelled else "failed"
        fields["failure"] = orjson.Fragment(encode(ending))
        fields["dead_letter"] = dead
    return as_json(fields)


def token_of(job: Job) -> str:
    """What a reply says of the address that it was sent to."""
    return (job.reply_to and job.reply_to.token) or ""


def reply_to_copy(value: bytes | None, copy: Job) -> bytes | None:
    """The reply to the first of two copies in the words of the second; None if it is no reply.

    Copies have one request and one address; run, labels and token are each one's own.
    """
    try:
        reply = decode(Reply, value)
    except SchemaError:
        return None
    own = {
        "tenant": copy.tenant,
        "run": copy.run,
        "labels": copy.labels,
        "token": token_of(copy),
        "created_at": copy.created_at,
    }
    if all(getattr(reply, name) == said for name, said in own.items()):
        return value
    return encode(reply.model_copy(update=own))


def journal_record(
    progress: JobProgress, exchange: Exchange, *, worker: str, most_bytes: int
) -> bytes:
    """The value of a journal record, at most about `most_bytes` long."""
    attempt = progress.encoded(exchange.attempt, encode)
    fields = _journaled(progress, worker)
    fields["attempt"] = orjson.Fragment(attempt)
    if exchange.draws:
        fields["draws"] = [orjson.Fragment(encode(each)) for each in exchange.draws]
    if progress.route.journal == "full":
        room = most_bytes - len(attempt) - _MARGIN
        for name, body, part, is_json in (
            ("request", exchange.request, 0.75, True),
            ("response", exchange.response, 1.0, exchange.parsed),
        ):
            if body:
                encoded = _body(body, int(room * part), is_json=is_json)
                fields[name] = orjson.Fragment(encoded)
                room -= len(encoded)
    return as_json(fields)


def journal_answer(
    progress: JobProgress, answered: Completed, *, worker: str, now: float, most_bytes: int
) -> bytes:
    """The same of an answer that no call was made for; `now` is seconds UTC."""
    fields = _journaled(progress, worker)
    fields["provenance"] = answered.provenance
    fields["answered_at"] = instant(now)
    fields["revalidated"] = True if answered.stored else None
    fields |= _given_again(answered)
    text = answered.answer.text or _calls_of(answered.answer)
    if progress.route.journal == "full" and text:
        fields["response"] = orjson.Fragment(
            _body(text.encode(), most_bytes - _MARGIN, is_json=False)
        )
    return as_json(fields)


def _given_again(answered: Completed) -> dict[str, object]:
    """What is said of an answer that was another job's first."""
    if answered.cached is None:
        return {}
    return {
        "age": round(answered.age, 3),
        "cached_from": orjson.Fragment(encode(answered.cached.source)),
        "similarity": answered.similarity and round(answered.similarity, 4),
    }


def dead_letter(
    progress: JobProgress, outcome: DeadLettered, *, by: Writer, now: float, most_bytes: int
) -> bytes:
    """The value of a dead letter: the job as it was read, and all that was tried.

    At most `most_bytes` long, as far as what is not the job itself allows: bad answers are whole
    where there is room for them and the job.
    """
    job, raw = progress.job, progress.record.value or b""
    letter = DeadLetter(
        job_id=job.id,
        generation=job.generation,
        route=job.route,
        lane=outcome.failure.lane or progress.lane,
        tenant=progress.tenant,
        run=job.run,
        failure=outcome.failure,
        fingerprint=fingerprint(job.route, outcome.failure.failure_class, outcome.detail),
        origin=progress.record.origin,
        dead_at=instant(now),
        worker=by.worker,
        configuration=by.configuration,
        attempts=tuple(progress.attempts),
        uncharged=progress.uncharged,
        bad_answers=tuple(progress.bad_answers),
        waited=progress.waited,
    )
    encoded = encode(letter)
    room = most_bytes - len(encoded) - _MARGIN
    if len(raw) > room and letter.bad_answers:
        share = min(LONGEST_KEPT, most_bytes // _SHARES)
        shorter = tuple(each.shortened(share) for each in letter.bad_answers)
        encoded = encode(letter.model_copy(update={"bad_answers": shorter}))
        room = most_bytes - len(encoded) - _MARGIN
    fields = orjson.loads(encoded)
    if len(raw) <= room and _is_json(raw):
        fields["job"] = orjson.Fragment(raw)
    else:
        fields["job_elsewhere"] = elsewhere(raw, _head_in(room)).model_dump()
    return orjson.dumps(fields)


def elsewhere(value: bytes, head: int = HEAD_BYTES) -> StoredElsewhere:
    """What stands for a value that is too large: its size, digest and first `head` bytes."""
    return StoredElsewhere(
        bytes=len(value),
        sha256=hashlib.sha256(value).hexdigest(),
        head=value[:head].decode("utf-8", "replace"),
    )


def instant(seconds: float) -> datetime:
    """Seconds since 1970 as an instant; what is none, as a record's producer may say, as the
    nearest.
    """
    if not 0.0 <= seconds <= _LAST_SECOND:
        seconds = _LAST_SECOND if seconds > 0.0 else 0.0
    return datetime.fromtimestamp(seconds, UTC)


def encoded_answer(ending: Completed) -> bytes:
    """The answer, and beside it the provider's own as it is, or what stands for it."""
    body = ending.body
    if not body:
        return encode(ending.answer)
    if ending.whole:
        return b'%b,"body":%b}' % (encode(ending.answer)[:-1], body)
    stored = elsewhere(body, _HEAD_OF_BODY)
    return encode(ending.answer.model_copy(update={"body_elsewhere": stored}))


def as_json(fields: dict[str, object]) -> bytes:
    """The record as JSON; what is None is left out."""
    return orjson.dumps({name: value for name, value in fields.items() if value is not None})


def _journaled(progress: JobProgress, worker: str) -> dict[str, object]:
    """What every journal record says of its job."""
    job = progress.job
    return {
        "version": SCHEMA_VERSION,
        "job_id": job.id,
        "generation": job.generation,
        "route": job.route,
        "tenant": progress.tenant,
        "run": job.run,
        "worker": worker,
        "waited": progress.waited,
    }


def _calls_of(answer: Answer) -> str:
    """The calls that an answer asks for, as JSON; empty where it asks for none."""
    calls = [orjson.Fragment(encode(call)) for call in answer.tool_calls]
    return orjson.dumps(calls).decode() if calls else ""


def _body(body: bytes, room: int, *, is_json: bool) -> bytes:
    """A body as JSON of at most `room` bytes: as it is, as text, or what stands for it."""
    if len(body) <= room:
        # Cheaper than parsing and writing it again, and as safe: dumps does not check a fragment.
        as_it_is = is_json or _is_json(body)
        encoded = body if as_it_is else orjson.dumps(body.decode("utf-8", "replace"))
        if len(encoded) <= room:
            return encoded
    return encode(elsewhere(body, _head_in(room)))


def _head_in(room: int) -> int:
    """Bytes of a head that fit in any case: a character of JSON takes up to six."""
    return min(HEAD_BYTES, max(room, 0) // 8)


def _is_json(value: bytes) -> bool:
    """Whether every reader takes it: pydantic's reads more numbers than JSON has, less depth."""
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return False
    return not is_too_deep(value)
