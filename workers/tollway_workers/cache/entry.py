"""What is kept of an answered job, and what another job is given of it. Pure."""

from datetime import timedelta

import orjson

from tollway_schemas.bounds import SCHEMA_VERSION
from tollway_schemas.cache import CacheEntry
from tollway_schemas.codec import encode
from tollway_schemas.provenance import Provenance
from tollway_schemas.redrive import LetterName
from tollway_schemas.reply import Answer
from tollway_workers.job.accepted import accepted
from tollway_workers.job.envelopes import instant
from tollway_workers.job.outcome import Completed, Outcome
from tollway_workers.job.progress import JobProgress

#: The part of `ttl` by which entries differ.
_JITTER = 0.1
#: Provenances of an answer of the route's first lane.
_OF_THE_FIRST = frozenset((Provenance.LIVE, Provenance.REASKED, Provenance.REPAIRED))
#: Characters of what an entry names its job by.
_MOST_TENANT, _MOST_MODEL = 256, 256


def entry_of(job: JobProgress, outcome: Outcome, now: float) -> CacheEntry | None:
    """What others may be given of a job's answer; None where that is nothing. `now`: UTC seconds.

    Only a call of the route's first lane made it, and it was validated.
    """
    keyed = job.keyed
    if keyed is None or keyed.key is None or job.job.no_store:
        return None
    if not isinstance(outcome, Completed) or not _is_of_the_first_lane(job, outcome):
        return None
    answer = _whole(outcome)
    if answer is None or len(job.tenant or "") > _MOST_TENANT:
        return None
    about, cache = job.job, job.route.cache
    answered = instant(now)
    # By the key: what came together does not expire together, here as in every other worker.
    lives = cache.ttl * (1.0 - _JITTER * keyed.key[0] / 255.0)
    expires = answered + timedelta(seconds=lives)
    tenant = None if cache.scope == "shared" else job.tenant
    last = job.attempts[-1] if job.attempts else None
    source = {
        **{"route": about.route, "tenant": tenant},
        **{"job_id": about.id, "generation": about.generation},
    }
    return CacheEntry.trusted(
        version=SCHEMA_VERSION,
        key=keyed.key.hex(),
        route=about.route,
        tenant=tenant,
        answer=answer,
        provenance=outcome.provenance,
        lane=outcome.lane,
        model=outcome.model and outcome.model[:_MOST_MODEL],
        scripted=outcome.scripted,
        usage=last and last.usage,
        cost=last and last.cost,
        source=LetterName.trusted(**source),
        read_at=instant(keyed.read_at),
        seen=keyed.seen,
        answered_at=answered,
        expires_at=expires,
        stale_until=expires + timedelta(seconds=cache.stale_for),
    )


def size_of(entry: CacheEntry) -> int:
    """Bytes of its answer."""
    return len(encode(entry.answer))


def suits(entry: CacheEntry, job: JobProgress, now: float) -> bool:
    """Whether a job takes an entry of its key, as far as that does not depend on the rung."""
    most = job.job.max_age
    if most is not None and age_of(entry, now) > most:
        return False
    # What was mended is still so for a job that takes nothing mended.
    return entry.provenance is Provenance.LIVE or entry.provenance in accepted(job)


def age_of(entry: CacheEntry, now: float) -> float:
    """Seconds since it was answered; clocks of workers differ."""
    return max(0.0, now - entry.answered_at.timestamp())


def given(entry: CacheEntry, rung: Provenance, now: float) -> Completed:
    """The outcome of a job that is given an entry.

    The provider's own answer stands apart, as it does after a call: where a reply has no room for
    it, it has room for the rest.
    """
    answer, body = entry.answer, b""
    if answer.body is not None:
        body = orjson.dumps(answer.body)
        answer = answer.model_copy(update={"body": None})
    return Completed(
        answer,
        rung,
        entry.lane,
        entry.model,
        entry.scripted,
        body,
        cached=entry,
        age=age_of(entry, now),
    )


def _is_of_the_first_lane(job: JobProgress, outcome: Completed) -> bool:
    called = outcome.stored is None and outcome.provenance in _OF_THE_FIRST
    return called and outcome.lane == job.route.lanes[0]


def _whole(outcome: Completed) -> Answer | None:
    """The answer with all that its reply had; None where that is not all there was."""
    if not outcome.body:
        return outcome.answer
    if not outcome.whole:
        return None
    return outcome.answer.model_copy(update={"body": orjson.loads(outcome.body)})
