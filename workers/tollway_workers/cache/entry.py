"""What is kept of an answered job, and what another job is given of it. Pure."""

import orjson
from pydantic_core import to_json

from tollway_schemas.bounds import SCHEMA_VERSION
from tollway_schemas.cache import CacheEntry, KeptPrompt
from tollway_schemas.codec import encode
from tollway_schemas.provenance import Provenance
from tollway_workers.cache.kept import Kept
from tollway_workers.cache.semantic.vectors import to_base64
from tollway_workers.job.accepted import accepted
from tollway_workers.job.envelopes import encoded_answer, instant
from tollway_workers.job.outcome import Completed, Outcome
from tollway_workers.job.progress import JobProgress
from tollway_workers.job.similar import Similar

#: The part of `ttl` by which entries differ.
_JITTER = 0.1
#: Provenances of an answer of the route's first lane.
_OF_THE_FIRST = frozenset((Provenance.LIVE, Provenance.REASKED, Provenance.REPAIRED))
#: Characters of what an entry names its job by.
_MOST_TENANT, _MOST_MODEL = 256, 256


def kept_of(job: JobProgress, outcome: Outcome, now: float) -> Kept | None:
    """What others may be given of a job's answer; None where that is nothing. `now`: UTC seconds.

    Only a call of the route's first lane made it, and it was validated.
    """
    keyed = job.keyed
    if keyed is None or keyed.key is None or job.job.no_store:
        return None
    if not isinstance(outcome, Completed) or not is_of_the_first_lane(job, outcome):
        return None
    if (outcome.body and not outcome.whole) or len(job.tenant or "") > _MOST_TENANT:
        return None
    cache = job.route.cache
    answered, read = instant(now), instant(keyed.read_at)
    # By the key: what came together does not expire together, here as in every other worker.
    lives = cache.ttl * (1.0 - _JITTER * keyed.key[0] / 255.0)
    expires = instant(now + lives)
    stale_until = instant(now + lives + cache.stale_for) if cache.has_stale else expires
    tenant = None if cache.scope == "shared" else job.tenant
    prompt = None if job.similar is None else _prompt(job.similar)
    answer = job.encoded(outcome, encoded_answer)
    said = _about(job, outcome, tenant)
    said |= {
        "key": keyed.key.hex(),
        "answer": orjson.Fragment(answer),
        "read_at": read,
        "seen": keyed.seen,
        "answered_at": answered,
        "expires_at": expires,
        "stale_until": stale_until,
    }
    if prompt is not None:
        said["prompt"] = orjson.Fragment(encode(prompt))
    return Kept(
        digest=keyed.key,
        value=orjson.dumps(said),
        size=len(answer),
        route=job.job.route,
        tenant=tenant,
        lane=outcome.lane,
        scripted=outcome.scripted,
        read_at=read,
        seen=keyed.seen,
        answered_at=answered,
        expires_at=expires,
        stale_until=stale_until,
        prompt=prompt,
    )


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


def given(
    entry: CacheEntry, rung: Provenance, now: float, similarity: float | None = None
) -> Completed:
    """The outcome of a job that is given an entry.

    The provider's own answer stands apart, as it does after a call: where a reply has no room for
    it, it has room for the rest.
    """
    answer, body = entry.answer, b""
    if answer.body is not None:
        # Not by orjson: a provider's integers may have more than 64 bits.
        body = to_json(answer.body, inf_nan_mode="null")
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
        similarity=similarity,
    )


def _prompt(similar: Similar) -> KeptPrompt | None:
    """What makes an answer known to similar prompts; None where another one is known to them that
    says the same.
    """
    if similar.vector is None or (similar.candidate is not None and not similar.differs):
        return None
    # By hand, and right already: see `Similar`.
    return KeptPrompt.trusted(
        scope=similar.scope.hex(),
        embedder=similar.embedder,
        vector=to_base64(similar.vector),
        text=similar.text,
    )


def is_of_the_first_lane(job: JobProgress, outcome: Completed) -> bool:
    """Whether a call of it made the answer."""
    called = outcome.stored is None and outcome.provenance in _OF_THE_FIRST
    return called and outcome.lane == job.route.lanes[0]


def _about(job: JobProgress, outcome: Completed, tenant: str | None) -> dict[str, object]:
    """Whose answer it is and where from, and what it took as far as that is known."""
    about, last = job.job, job.attempts[-1] if job.attempts else None
    source = {"route": about.route, "job_id": about.id, "generation": about.generation}
    said: dict[str, object] = {
        "version": SCHEMA_VERSION,
        "route": about.route,
        "provenance": outcome.provenance,
        "lane": outcome.lane,
        "scripted": outcome.scripted,
        "source": source,
    }
    if tenant is not None:
        said["tenant"] = source["tenant"] = tenant
    if outcome.model is not None:
        said["model"] = outcome.model[:_MOST_MODEL]
    if last is not None and last.usage is not None:
        said["usage"] = orjson.Fragment(job.encoded(last.usage, encode))
    if last is not None and last.cost is not None:
        said["cost"] = str(last.cost)
    return said
