"""What a worker says of the dead letter that a job was, once the redriven job has ended. Pure."""

from collections.abc import Mapping

from tollway_schemas.codec import encode
from tollway_schemas.failure import fingerprint
from tollway_schemas.mark import MOST_WHY, Fate, Mark
from tollway_schemas.redrive import MOST_WHO, LetterName
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.job.envelopes import instant
from tollway_workers.job.outcome import (
    Cancelled,
    Completed,
    DeadLettered,
    Failed,
    Forwarded,
    Outcome,
    RetryLater,
)
from tollway_workers.job.progress import JobProgress


def ending_mark(
    progress: JobProgress,
    outcome: Outcome,
    routes: Mapping[str, RouteSettings],
    *,
    worker: str,
    now: float,
) -> tuple[bytes, bytes] | None:
    """Key and value; None where the job was no dead letter, goes on, or may not speak of that one.

    `now` is seconds UTC.
    """
    job = progress.job
    if job.redrive is None or not may_speak_of(progress, job.redrive.of, routes):
        return None
    match outcome:
        case Completed():
            fate, why, cause = Fate.ANSWERED, None, None
        case Failed(failure) | Cancelled(failure) | DeadLettered(failure):
            detail = outcome.detail if isinstance(outcome, DeadLettered) else ""
            fate = Fate.FAILED
            why = f"{failure.failure_class.value}: {failure.message}"[:MOST_WHY]
            cause = fingerprint(job.route, failure.failure_class, detail)
        case Forwarded() | RetryLater():
            return None
    mark = Mark(
        letter=_bare(job.redrive.of),
        fate=fate,
        at=instant(now),
        by=worker[:MOST_WHO],
        why=why,
        next_generation=job.generation,
        next_route=job.route,
        run=job.run,
        fingerprint=cause,
    )
    return mark.key, encode(mark)


def _bare(letter: LetterName) -> LetterName:
    """The same without the unknown fields of whoever wrote it, of any size."""
    return LetterName(
        route=letter.route,
        tenant=letter.tenant,
        job_id=letter.job_id,
        generation=letter.generation,
    )


def may_speak_of(
    progress: JobProgress, letter: LetterName, routes: Mapping[str, RouteSettings]
) -> bool:
    """Whether a job may say what became of a letter: one of its own tenant, or of a record that
    held no job, on a route that is bound to the same tenant, if either is.
    """
    theirs = routes.get(letter.route)
    bound = theirs.tenant if theirs is not None else None
    return bound == progress.route.tenant and letter.tenant in (None, progress.tenant)
