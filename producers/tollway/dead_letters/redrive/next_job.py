"""From a dead letter to the record that publishes its job again, and to its mark. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from tollway.dead_letters.redrive.change import Change
from tollway.new_job import DEFAULT_DEADLINES, job_headers
from tollway_schemas import Fate, Job, LetterName, Mark, Priority, SchemaError, TopicNames
from tollway_schemas.codec import decode, encode
from tollway_schemas.headers import Headers
from tollway_schemas.job import LONGEST_DEADLINE
from tollway_schemas.keys import job_key
from tollway_schemas.mark import MOST_FINGERPRINT
from tollway_schemas.redrive import MOST_CLASS, Redrive, StoredAnswer

#: Says what is wrong with a job that is valid as such, without values; None: nothing.
JobJudge = Callable[[Job], str | None]

#: What the fleet alone writes, and a next generation begins without.
_OF_THE_FLEET = ("visits", "hops", "redrive")
_PRIORITIES = {each.value: each for each in Priority}
#: What a job has at the least, by the word for its priority.
_LEAST = {each.value: span for each, span in DEFAULT_DEADLINES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """A job that may be published again, and what is known of it."""

    letter: LetterName
    """The dead letter that it was."""
    job: Mapping[str, Any]
    """The job as it stands there, or as it was mended."""
    generation: int
    """The highest that it had so far; 0: it was no job yet."""
    origin: str
    """The topic that it was read from: it says the job's priority."""
    dead_at: datetime
    """When it was given up."""
    failure_class: str
    """Why."""
    fingerprint: str
    """Its likely cause."""
    headers: Headers = ()
    """The service's own."""
    answers: Sequence[StoredAnswer] = ()
    """Those that it is given, if it is to be revalidated."""
    by_hand: bool = False
    """Whether the job was written by hand."""
    is_mended: bool = False
    """Whether the letter was that of no job, and this one was made from its bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """The record of a job's next generation."""

    letter: LetterName
    """The dead letter that it was."""
    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    job: Job
    """As it is published, but for what it carries of its dead letter."""
    answers: int
    """Stored answers that it carries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for all jobs of one redrive."""

    names: TopicNames
    change: Change
    by: str
    """Who redrives: `user@host`."""
    most_bytes: int
    """Of one encoded job."""
    least_generation: int = 1
    """No lower one is published."""
    judge: JobJudge | None = None
    """Asked about jobs that are edited or mended."""


class Unpublishable(Exception):
    """A job that cannot be published as it is to be; the text says why, without values."""


def publication(again: Again, generation: int, terms: Terms, now: datetime) -> Publication:
    """The record. Raises Unpublishable."""
    fields = _completed(again, terms.change, now)
    fields["generation"] = generation
    left = terms.change.deadline or _time_left(fields)
    # Counted from now on, so that it has the same time again if it is given up again.
    fields["created_at"], fields["deadline"] = now.isoformat(), (now + left).isoformat()
    job, encoded = _valid(fields)
    if terms.judge is not None and (terms.change.edits or again.by_hand):
        problem = terms.judge(job)
        if problem is not None:
            raise Unpublishable(problem)
    answers = list(again.answers) if terms.change.revalidate else []
    value = _with_redrive(encoded, _redrive(again, answers, terms, now))
    while len(value) > terms.most_bytes and answers:
        # The latest are the likeliest to be right.
        answers = answers[1:]
        value = _with_redrive(encoded, _redrive(again, answers, terms, now))
    if len(value) > terms.most_bytes:
        raise Unpublishable(f"is {len(value):,} bytes long, the limit is {terms.most_bytes:,}")
    return Publication(
        letter=again.letter,
        topic=terms.names.jobs(job.route, job.priority),
        key=job_key(job.id),
        value=value,
        headers=[*again.headers, *job_headers(job)],
        job=job,
        answers=len(answers),
    )


def mark_of(again: Again, published: Publication, by: str) -> Mark:
    """What is to be said of its dead letter, in the same transaction."""
    job = published.job
    return Mark(
        letter=again.letter,
        fate=Fate.REDRIVEN,
        at=job.created_at,
        by=by,
        next_generation=job.generation,
        next_route=job.route,
        run=job.run,
        fingerprint=again.fingerprint[:MOST_FINGERPRINT],
    )


def _completed(again: Again, change: Change, now: datetime) -> dict[str, Any]:
    """The job as it is to be, with what a service may leave out because its record says it."""
    fields = change.edited(again.job)
    for name in _OF_THE_FLEET:
        fields.pop(name, None)
    of_topic = _priority_of(again.origin)
    created = fields.get("created_at")
    if created is None:
        created = min(again.dead_at, now).isoformat()
    left_out = {
        "id": again.letter.job_id,
        "route": again.letter.route,
        "tenant": again.letter.tenant,
        "priority": (of_topic or Priority.BULK).value,
        "created_at": created,
        # Then it had its default.
        "deadline": created,
    }
    if not again.is_mended:
        fields["id"] = again.letter.job_id
        if of_topic is not None and "priority" not in (change.patch or {}):
            # The topic that it was published to decided that, whatever it said itself.
            fields["priority"] = of_topic.value
    for name, said in left_out.items():
        if fields.get(name) is None and said is not None:
            fields[name] = said
    return fields


def _time_left(fields: Mapping[str, Any]) -> timedelta:
    """How long it is given now: what it was at first. Raises Unpublishable."""
    try:
        created = datetime.fromisoformat(fields["created_at"])
        given = datetime.fromisoformat(fields["deadline"]) - created
    except (TypeError, ValueError):
        # Written in another way than ours, or no times at all.
        job, _ = _valid(fields)
        given = job.deadline - job.created_at
    least = _LEAST.get(str(fields["priority"]), timedelta(0))
    return min(max(given, least), LONGEST_DEADLINE)


def _valid(fields: Mapping[str, Any]) -> tuple[Job, bytes]:
    """The job, and the fields as JSON."""
    try:
        encoded = orjson.dumps(fields)
        return decode(Job, encoded), encoded
    except SchemaError as error:
        raise Unpublishable(str(error)) from None
    except (orjson.JSONEncodeError, RecursionError):
        raise Unpublishable("holds what JSON cannot") from None


def _redrive(again: Again, answers: list[StoredAnswer], terms: Terms, now: datetime) -> bytes:
    return encode(
        Redrive(
            of=again.letter,
            answers=tuple(answers),
            only_revalidate=terms.change.only_revalidate,
            failure_class=again.failure_class[:MOST_CLASS],
            by=terms.by,
            at=now,
        )
    )


def _with_redrive(encoded: bytes, redrive: bytes) -> bytes:
    return b'%b,"redrive":%b}' % (encoded[:-1], redrive)


def _priority_of(topic: str) -> Priority | None:
    return _PRIORITIES.get(topic.rpartition(".")[2])
